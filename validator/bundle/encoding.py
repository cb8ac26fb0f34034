"""Each form that DSSE and ProtoJSON allow for bytes and for long integers, turned into one."""

from __future__ import annotations

import binascii
import io
import re
from typing import Any, Final

_PADDED: Final = 4
"""Characters of a group in base64 (RFC 4648, 4)."""

_CHUNK: Final = 96 * 1024
"""Characters that are decoded at once; whole groups."""

_FOR_URLS: Final = bytes.maketrans(b"-_", b"+/")


def decoded(text: bytes | memoryview, *, padding: bytes = b"") -> bytes | None:
    """Decode base64 in the standard or URL alphabet, padded or not, as DSSE and ProtoJSON allow.

    Args:
        text: The digits, and perhaps their padding.
        padding: More of it, if it does not stand there.

    Returns:
        The content; None where the text is neither, or a mixture of both.
    """
    tail = bytes(text[-_PADDED:])
    end = len(text) - (len(tail) - len(tail.rstrip(b"=")))
    needed = b"=" * (-end % _PADDED)
    if bytes(text[end:]) + padding not in {b"", needed}:
        return None
    content = io.BytesIO()
    standard = url = False
    try:
        for start in range(0, end, _CHUNK):
            chunk = bytes(text[start : min(start + _CHUNK, end)])
            standard = standard or b"+" in chunk or b"/" in chunk
            url = url or b"-" in chunk or b"_" in chunk
            # Padding at the end of a chunk would be taken for that of the whole.
            if (standard and url) or b"=" in chunk:
                return None
            if url:
                chunk = chunk.translate(_FOR_URLS)
            last = needed if start + _CHUNK >= end else b""
            content.write(binascii.a2b_base64(chunk + last, strict_mode=True))
    except binascii.Error:
        return None
    return content.getvalue()


def encoded(content: bytes) -> str:
    """Encode in padded standard base64."""
    return binascii.b2a_base64(content, newline=False).decode()


def is_standard(digits: bytes | memoryview) -> bool:
    """Tell whether digits of base64 need no padding, and are none of the URL alphabet's."""
    return len(digits) % _PADDED == 0 and not re.search(rb"[-_]", digits)


_BYTES: Final = frozenset(
    {"canonicalizedBody", "hashes", "keyId", "rawBytes", "rootHash"}
    | {"signedEntryTimestamp", "signedTimestamp"}
)
"""Fields of Sigstore's verification material that are bytes, or lists of them."""

_INTEGERS: Final = frozenset({"integratedTime", "logIndex", "treeSize"})
"""Its fields that are integers of 64 bits, which JSON has as text or as numbers."""


def in_standard_form(value: Any, *, is_bytes: bool = False) -> Any:
    """Return verification material whose bytes are in padded standard base64, integers in text.

    Args:
        value: Any part of it; text that is not base64 stays as it is.
        is_bytes: Whether its text stands for bytes.
    """
    if isinstance(value, dict):
        return {
            name: str(each)
            if name in _INTEGERS and type(each) is int
            else in_standard_form(each, is_bytes=name in _BYTES)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [in_standard_form(each, is_bytes=is_bytes) for each in value]
    if not is_bytes or not isinstance(value, str):
        return value
    content = decoded(value.encode(errors="replace"))
    return value if content is None else encoded(content)
