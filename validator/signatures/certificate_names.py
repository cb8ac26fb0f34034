"""The names in a signer's certificate, as texts that a policy can be compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509

from validator.signatures.path import extension

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEXT_TAGS: Final = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii"}
"""DER tags of UTF8String, PrintableString and IA5String, with their encodings."""

_SHORT_FORM: Final = 0x80
"""A DER length of one byte is below this; else it says how many bytes of length follow."""


def names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the subject (RFC 4514), where it is not empty, then every alternative name.

    A certificate without any name has one, the empty text.
    """
    subject = certificate.subject.rfc4514_string()
    found = ((subject,) if subject else (), tuple(_alternative_names(certificate)))
    return (*found[0], *found[1]) or ("",)


def _alternative_names(certificate: x509.Certificate) -> Iterator[str]:
    for general in extension(certificate, x509.SubjectAlternativeName) or ():
        match general:
            case x509.DirectoryName():
                yield general.value.rfc4514_string()
            case x509.RegisteredID():
                yield general.value.dotted_string
            case x509.OtherName():
                yield from filter(None, (text_of(general.value),))
            case _:  # mail, DNS, URI, and IP addresses or networks
                yield str(general.value)


def text_of(der: bytes) -> str | None:
    """Return the text of a DER string; None for other types, and for a wrong length."""
    if len(der) < 2 or der[0] not in _TEXT_TAGS:  # noqa: PLR2004 — tag and length
        return None
    start, length = 2, der[1]
    if length >= _SHORT_FORM:
        start += length - _SHORT_FORM
        length = int.from_bytes(der[2:start], "big")
    if start + length != len(der):
        return None
    return der[start:].decode(_TEXT_TAGS[der[0]], errors="replace")
