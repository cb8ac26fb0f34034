"""Foreign text, made fit for a sentence, a log line or a terminal.

Imports nothing of ours: every program shares it.
"""

from __future__ import annotations

import errno
import json
import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# What is left out: controls, soft hyphen, zero-width and bidirectional marks, line
# separators, surrogates, private use, byte order marks, and all beyond the first plane.
# `re` compiles it once, when the first text needs it: that takes 3 ms.
_UNPRINTABLE: Final = (
    r"[^\x20-\x7e\xa1-\xac\xae-\u061b\u061d-\u200a\u2010-\u2027\u202f-\u205f\u2070-\ud7ff"
    r"\uf900-\ufefe\uff00-\ufff8\ufffc\ufffd]"
)

_VALUES: Final = (bool, list, dict)

QUOTE_LIMIT: Final = 200
"""Characters of foreign text that a sentence repeats."""


def quoted(text: object, *, limit: int = QUOTE_LIMIT) -> str:
    """Return foreign text fit for a sentence: quoted, printable, bounded; values as in JSON."""
    is_value = text is None or isinstance(text, _VALUES)
    whole = json.dumps(text, default=str) if is_value else str(text)
    return f"'{printable(whole[:limit])}{'…' if len(whole) > limit else ''}'"


SHOWN: Final = 3
"""Names that a sentence repeats: a certificate may have thousands, a system 150 authorities."""


def few(names: Sequence[object]) -> str:
    """Return the first of some names, quoted, and the number of the others."""
    shown = ", ".join(map(quoted, names[:SHOWN]))
    more = len(names) - SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


def printable(text: str) -> str:
    """Return text in one line that shows what it holds; twice is the same as once.

    Control, invisible, bidirectional and private-use characters, and what stands
    for bytes that are not UTF-8, are escaped, so that a file's name cannot write
    a log line of its own.
    """
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_UNPRINTABLE, lambda match: ascii(match.group())[1:-1], text)


def unreadable(what: str, error: OSError) -> str:
    """Return the sentence that something cannot be read, with what to do if it is forbidden."""
    sentence = f"{what} cannot be read: {error.strerror}"
    if error.errno not in {errno.EACCES, errno.EPERM}:
        return sentence
    # Root of a container whose capabilities are dropped reads no more than others do.
    who = f"user {os.geteuid()}" if os.geteuid() else "user 0, also without capabilities,"
    return f"{sentence}: let {who} read it"


def size(count: int) -> str:
    """Return a number of bytes as people read it, in powers of 1024."""
    number = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:  # noqa: PLR2004
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
