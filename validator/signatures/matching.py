"""Texts of a certificate, matched by a regular expression in full."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from validator.errors import PolicyError
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable


def compiled(expression: str, *, what: str) -> re.Pattern[str]:
    """Return the compiled expression; `what` names the matched text in the sentence.

    Raises:
        PolicyError: It is not a regular expression that Python can use.
    """
    try:
        return re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise PolicyError(
            f"the regular expression for the signer's {what}, {quoted(expression)}, cannot be "
            f"used: {error}"
        ) from error


def matches_any(expression: re.Pattern[str], texts: Iterable[str]) -> bool:
    """Tell whether one of the texts matches from its first to its last character."""
    return any(expression.fullmatch(text) for text in texts)
