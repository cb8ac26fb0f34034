"""Public keys in their usual form, which we read ourselves, beside cryptography's reader."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from tests.support.desk import loaded
from validator.signatures import ecdsa

if TYPE_CHECKING:
    from collections.abc import Callable

CURVES = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())


def public_key(curve: ec.EllipticCurve, secret: int = 7) -> ec.EllipticCurvePublicKey:
    """Return a key that is the same each time."""
    return ec.derive_private_key(secret, curve).public_key()


def pem_of(key: ec.EllipticCurvePublicKey, form: PublicFormat | None = None) -> bytes:
    """Return a key as cryptography writes it."""
    return key.public_bytes(Encoding.PEM, form or PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
@pytest.mark.parametrize("secret", [1, 7, 12345])
def test_a_key_is_read_and_written_as_cryptography_does(
    curve: ec.EllipticCurve, secret: int
) -> None:
    """The PEM form is hashed for the fingerprint, so that each byte counts."""
    pem = pem_of(public_key(curve, secret))
    key = ecdsa.supported(ecdsa.from_pem(pem))
    assert key == load_pem_public_key(pem)
    assert ecdsa.to_pem(key) == pem


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_a_key_in_its_usual_form_loads_no_other_reader(curve: ec.EllipticCurve) -> None:
    """A gate's start is short."""
    pem = pem_of(public_key(curve))
    code = f"from validator.signatures.key import KeyVerifier as K; K.from_pem({pem!r}, source='')"
    assert "cryptography.hazmat.primitives.serialization" not in loaded(code)


@pytest.mark.parametrize(
    "change",
    [
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: b"\n\n" + pem + b"\n",
        lambda pem: b"of the team\n" + pem,
        lambda pem: pem.replace(b"-\n", b"-\nA: b\n\n", 1),
        lambda pem: pem.replace(b"\n-----END", b"=\n-----END"),
        lambda pem: pem.replace(b"M", b"N", 1),
        lambda pem: pem[:-60] + pem[-56:],
        lambda pem: pem[:100] + bytes([pem[100] ^ 1]) + pem[101:],
    ],
)
def test_another_form_is_cryptographys_to_read(change: Callable[[bytes], bytes]) -> None:
    """What is accepted, and as which key, is no matter of who reads it."""
    pem = change(pem_of(public_key(CURVES[0])))
    try:
        expected = load_pem_public_key(pem)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            ecdsa.from_pem(pem)
    else:
        assert ecdsa.from_pem(pem) == expected


def test_a_point_off_the_curve_is_no_key() -> None:
    """Whoever reads it."""
    key = public_key(CURVES[0])
    good = ecdsa.to_pem(key)
    numbers = key.public_numbers()
    info = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
    point = b"\x04" + numbers.x.to_bytes(32, "big") + (numbers.y ^ 1).to_bytes(32, "big")
    assert ecdsa.from_pem(good) == key
    with pytest.raises(ValueError, match=r"."):
        ecdsa.from_pem(in_pem(info + point))


def in_pem(der: bytes) -> bytes:
    """Return DER as a public key in PEM form."""
    text = base64.encodebytes(der)
    return b"-----BEGIN PUBLIC KEY-----\n" + text + b"-----END PUBLIC KEY-----\n"


def test_a_compressed_point_is_the_same_key() -> None:
    """It is rare, and read by the other reader."""
    key = public_key(CURVES[0])
    x = key.public_numbers().x.to_bytes(32, "big")
    info = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    sign = bytes([2 + key.public_numbers().y % 2])
    assert ecdsa.supported(ecdsa.from_pem(in_pem(info + sign + x))) == key
