"""Signing keys of logs, and the names that logs go by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from typing import Self


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh P-256 key, the kind that Sigstore's clients sign with."""
    return ec.generate_private_key(ec.SECP256R1())


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as DER SubjectPublicKeyInfo."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log's key and its name: SHA-256 of the public key (RFC 6962, 3.2)."""

    private: ec.EllipticCurvePrivateKey
    key_id: bytes

    @classmethod
    def new(cls) -> Self:
        """Make a key that goes by its own name."""
        private = new_key()
        return cls(private, hashlib.sha256(spki(private.public_key())).digest())

    def impersonated(self) -> Self:
        """Return another key that goes by this one's name."""
        return replace(self, private=new_key())

    @property
    def public(self) -> bytes:
        """The public key as DER SubjectPublicKeyInfo."""
        return spki(self.private.public_key())

    def sign(self, data: bytes) -> bytes:
        """Return the DER ECDSA signature over SHA-256 of the data."""
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))
