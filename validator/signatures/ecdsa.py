"""ECDSA over DSSE, as the OMS specification defines it: the hash follows from the curve."""

from __future__ import annotations

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
