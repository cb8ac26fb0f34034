"""Texts in DER, as certificates carry names and claims."""

from __future__ import annotations

import pytest
from asn1crypto.core import IA5String, PrintableString, UTF8String

from validator.signatures.certificate_names import text_of


@pytest.mark.parametrize("kind", [UTF8String, PrintableString, IA5String])
@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 70_000])
def test_a_string_of_any_length_is_read(kind: type[UTF8String], length: int) -> None:
    """Its length is one byte, or says how many bytes of length follow."""
    assert text_of(kind("a" * length).dump()) == "a" * length


@pytest.mark.parametrize(
    "der",
    [
        *(b"", b"\x0c", b"a", b"\x04\x01a", b"\x1e\x02\0a"),
        *(b"\x0c\x02a", b"\x0c\x01ab", b"\x0c\x80a", b"\x0c\x81\x02a", b"\x0c\x82\x01a"),
        b"\x0c\xff" + b"a" * 300,
    ],
)
def test_what_is_no_string_has_no_text(der: bytes) -> None:
    """Another type, or a length that is not its content's."""
    assert text_of(der) is None


def test_bytes_that_are_not_the_encodings_are_shown_as_such() -> None:
    """A name that cannot be read is not the name that it resembles."""
    assert text_of(b"\x0c\x02a\xff") == "a\ufffd"
    assert text_of(b"\x13\x02a\xc3") == "a\ufffd"
