"""ECDSA over DSSE, as the OMS specification defines it: the hash follows from the curve."""

from __future__ import annotations

import binascii
import contextlib
import re
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from validator.errors import SignatureError
from validator.signatures import legacy_pae, pae

if TYPE_CHECKING:
    from collections.abc import Iterable

    from validator.bundle import Bundle

_HASHES: Final = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


_INFO: Final = {
    "secp256r1": "3059301306072a8648ce3d020106082a8648ce3d030107034200",
    "secp384r1": "3076301006072a8648ce3d020106052b81040022036200",
    "secp521r1": "30819b301006072a8648ce3d020106052b8104002303818600",
}
"""The DER of a SubjectPublicKeyInfo on each curve (RFC 5480), before its uncompressed point."""

DER_SEQUENCE: Final = b"\x30"
"""The first byte of a key or certificate in DER form; no PEM begins with it."""

_CURVES: Final = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
_PEM: Final = re.compile(
    rb"\s*-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----\s*"
)


def from_pem(pem: bytes) -> object:
    """Return a public key from its PEM form.

    In its usual form the key is read here: cryptography's reader of all forms takes 15 ms to
    load.

    Raises:
        ValueError: It is not a public key.
        cryptography.exceptions.UnsupportedAlgorithm: It is of a kind that is not known.
    """
    if match := _PEM.fullmatch(pem):
        with contextlib.suppress(ValueError):  # said by the other reader
            info = binascii.a2b_base64(b"".join(match[1].split()), strict_mode=True)
            for curve in _CURVES:
                start = bytes.fromhex(_INFO[curve.name])
                if info.startswith(start) and len(info) == len(start) + _point_bytes(curve):
                    return ec.EllipticCurvePublicKey.from_encoded_point(curve, info[len(start) :])
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 — see above
        load_pem_public_key,
    )

    return load_pem_public_key(pem)


def to_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the PEM form of a supported key, as cryptography and OpenSSL write it."""
    numbers = key.public_numbers()
    half = _point_bytes(key.curve) // 2
    point = b"\x04" + b"".join(each.to_bytes(half, "big") for each in (numbers.x, numbers.y))
    text = binascii.b2a_base64(bytes.fromhex(_INFO[key.curve.name]) + point, newline=False)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return b"\n".join((b"-----BEGIN PUBLIC KEY-----", *lines, b"-----END PUBLIC KEY-----", b""))


def _point_bytes(curve: ec.EllipticCurve) -> int:
    """Return the length of an uncompressed point: a byte that says so, and two coordinates."""
    return 1 + 2 * ((curve.key_size + 7) // 8)


def supported(key: object) -> ec.EllipticCurvePublicKey:
    """Return `key` if it is of a kind that OMS signs with.

    Raises:
        SignatureError: It is of another kind or curve.
    """
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HASHES:
        return key
    raise SignatureError(
        f"{kind(key)} cannot verify a model: ECDSA on P-256, P-384 or P-521 is needed"
    )


def kind(key: object) -> str:
    """Return the kind of a public key, for a sentence."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"an elliptic-curve key on {key.curve.name}"
    return f"a key of type {type(key).__name__.removesuffix('PublicKey').lstrip('_')}"


def verify(key: ec.EllipticCurvePublicKey, bundle: Bundle, *, allow_legacy: bool) -> bool:
    """Check the bundle's one DSSE signature by `key`.

    Returns:
        Whether it holds in the form of model_signing v0.2 only.

    Raises:
        SignatureError: It does not hold.
    """
    if _holds(
        key, bundle.signature, pae(bundle.payload_type, bundle.payload), _HASHES[key.curve.name]
    ):
        return False
    # v0.2 signed by SHA-256, whatever the curve.
    if _holds(
        key, bundle.signature, legacy_pae(bundle.payload_type, bundle.payload), hashes.SHA256()
    ):
        if allow_legacy:
            return True
        raise SignatureError(
            "the signature is of the form that model_signing v0.2 made, which says less: sign "
            "again, or accept it with --allow-legacy"
        )
    raise SignatureError(
        "the signature does not match the signed payload: it was made by another key, or "
        "payload or signature were changed"
    )


def _holds(
    key: ec.EllipticCurvePublicKey,
    signature: bytes,
    message: Iterable[bytes],
    hash_: hashes.HashAlgorithm,
) -> bool:
    digest = hashes.Hash(hash_)
    for piece in message:
        digest.update(piece)
    try:
        key.verify(signature, digest.finalize(), ec.ECDSA(Prehashed(hash_)))
    except InvalidSignature:
        return False
    return True
