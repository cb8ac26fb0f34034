"""Regular expressions in a policy, in RE2's language.

The API server's rules (CEL) read them in that language too, so that both accept the same
expressions and mean the same by them; and RE2 takes linear time and bounded memory for any
expression, which Python's `re` does not (decision 0019).
"""

from __future__ import annotations

import re
from typing import Final

import re2

MEMORY_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of one expression, compiled; RE2's own default."""

_NOT_IN_GO: Final = re.compile(r"\\C|\{\d{5}|\{\d+,\d{5}")
r"""Syntax that RE2 takes, and Go's port of it, which the API server uses, does not: `\C` (a byte),
and repetitions so large that RE2 takes them for plain text. `\\C` is refused with them."""

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = MEMORY_LIMIT


class Expression:
    """A regular expression, compiled."""

    def __init__(self, pattern: str) -> None:
        """Compile the expression.

        Raises:
            ValueError: RE2 cannot read it, or it takes more than `MEMORY_LIMIT`.
        """
        if _NOT_IN_GO.search(pattern):
            raise ValueError(f"not an expression of RE2: {pattern!r}")
        try:
            self._compiled = re2.compile(pattern, _OPTIONS)
        except (re2.error, UnicodeEncodeError) as error:
            raise ValueError(f"not an expression of RE2: {pattern!r}") from error

    def matches(self, text: str) -> bool:
        """Tell whether it matches a text in full."""
        return self._compiled.fullmatch(text) is not None


def usable(pattern: str | None) -> bool:
    """Tell whether an expression can be read, and says something about its subject.

    Args:
        pattern: The expression; `None` says nothing that could be wrong.
    """
    if pattern is None:
        return True
    try:
        return not Expression(pattern).matches("")
    except ValueError:
        return False


def usable_cel(field: str) -> str:
    """Return the CEL expression for the same, of a field by its JSON name."""
    return f"!has(self.{field}) || !''.matches('^(?:' + self.{field} + ')$')"
