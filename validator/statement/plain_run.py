"""The resources at the head of a long statement that are written alike, read by one expression.

Signers write thousands of entries in one way: the same keys in one order, the same spaces, names
without escapes. Such entries are found by a regular expression that is made from the first one,
without a Python object for each; all others are left to `json_stream`.
"""

from __future__ import annotations

import os
import re
from binascii import unhexlify
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WINDOW: Final = 64 * 1024
"""Bytes that are looked at together. Shorter statements are not worth an expression."""

_REST_BYTES: Final = 1024 * 1024
"""What may follow the run, at most: it is copied."""

_BEGIN: Final = rb'"resources"[ \t\n\r]*:[ \t\n\r]*\[[ \t\n\r]*'

_KEY: Final = rb'([ \t\n\r]*"(name|algorithm|digest)"[ \t\n\r]*:[ \t\n\r]*")([^"\\\x00-\x1f]*)"'
_COMMA: Final = rb"([ \t\n\r]*,)"
_FIRST: Final = (
    rb"\{" + _KEY + _COMMA + _KEY + _COMMA + _KEY + rb"([ \t\n\r]*\}[ \t\n\r]*,[ \t\n\r]*)\{"
)

_VALUES: Final = {
    b"digest": rb"((?:[0-9a-f]{64}){1,2})",
    b"name": rb'([^"\\\x00-\x1f]+)',
}
"""A digest of 32 or 64 bytes; and a text without escapes."""

_NO_PATHS: Final = (b"//", b"/./", b"/../")
"""What stands in no relative path of the shortest form, with a slash before and after it."""


class Run(NamedTuple):
    """Resources that need no further look at their form.

    Attributes:
        names: Their names in UTF-8, which are relative paths in their shortest form.
        digests: One after the other.
        algorithm: That of all.
    """

    names: list[bytes]
    digests: bytes
    algorithm: str

    def fits(self, algorithm: str, *, width: int) -> bool:
        """Tell whether all digests are of one algorithm and of its length in bytes."""
        return self.algorithm == algorithm and len(self.digests) == width * len(self.names)


class Cut(NamedTuple):
    """A statement without its run.

    Attributes:
        run: What was cut out.
        rest: The document with one text in place of the run.
        mark: That text, which nobody can foresee. Where the reader of the rest finds it as the
            first entry of a list, the run stood there, and nowhere else.
    """

    run: Run
    rest: bytes
    mark: str


def cut(payload: bytes, *, name_bytes: int) -> Cut | None:
    """Return a statement without the resources that are written alike, if nearly all are.

    Args:
        payload: The statement.
        name_bytes: Length of a name, at most.
    """
    begin = re.search(_BEGIN, payload) if len(payload) > _WINDOW else None
    first = re.compile(_FIRST).match(payload, begin.end()) if begin else None
    if begin is None or first is None or len(first[0]) > _WINDOW:  # no window has a longer entry
        return None
    values = dict(zip(first.group(2, 6, 10), first.group(3, 7, 11), strict=True))
    if len(values) < len(first.group(2, 6, 10)) or not values[b"algorithm"].isascii():
        return None
    names: list[bytes] = []
    digests = bytearray()
    end = begin.end()
    for window_end, found, texts in _windows(payload, first, name_bytes=name_bytes):
        names += found
        digests += unhexlify(texts)
        end = window_end
    if not names or len(payload) - end > _REST_BYTES:
        return None
    mark = os.urandom(16).hex()
    rest = b'%b"%b",%b' % (payload[: begin.end()], mark.encode(), payload[end:])
    return Cut(Run(names, bytes(digests), values[b"algorithm"].decode()), rest, mark)


def _windows(
    payload: bytes, first: re.Match[bytes], *, name_bytes: int
) -> Iterator[tuple[int, list[bytes], bytes]]:
    """Yield for each window its end, its names, and its digests in hexadecimal, without a gap."""
    keys = first.group(2, 6, 10)
    same = {b"algorithm": re.escape(first[3 + 4 * keys.index(b"algorithm")])}
    forms = [(_VALUES | same)[key] for key in keys]
    heads = (b"{" + first[1], first[4] + first[5], first[8] + first[9])
    tail = b'"' + first[12]
    entry = re.compile(
        b'"'.join(re.escape(head) + form for head, form in zip(heads, forms, strict=True))
        + re.escape(tail)
    )
    name_at, digest_at = (0, 1) if keys.index(b"name") < keys.index(b"digest") else (1, 0)
    around = (
        first.end()
        - 1
        - first.start()
        - sum(len(first[3 + 4 * keys.index(key)]) for key in (b"name", b"digest"))
    )
    start = first.start()
    while (end := payload.rfind(tail, start, start + _WINDOW)) >= 0:
        end += len(tail)
        text = payload[start:end]
        columns = list(zip(*entry.findall(text), strict=True))
        if not columns:
            return
        names, digests = columns[name_at], b"".join(columns[digest_at])
        covered = around * len(names) + len(b"".join(names)) + len(digests)
        if covered != len(text) or max(map(len, names)) > name_bytes or not _are_paths(names):
            return
        yield end, list(names), digests
        start = end


def _are_paths(names: Sequence[bytes]) -> bool:
    """Tell whether names without line feeds are relative paths in UTF-8 and in shortest form."""
    joined = b"/%b/" % b"/\n/".join(names)
    try:
        joined.decode()
    except UnicodeDecodeError:
        return False
    return not any(flaw in joined for flaw in _NO_PATHS)
