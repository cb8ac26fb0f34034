"""Signing keys of logs, and the names that logs go by."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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


def sized(data: bytes) -> bytes:
    """Return bytes after their length, as TLS writes a vector of up to 64 KiB."""
    return struct.pack("!H", len(data)) + data


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

    def promise_certificate(self, precertificate: bytes, *, issuer: bytes) -> tuple[int, bytes]:
        """Return a certificate timestamp's milliseconds and its signature (RFC 6962, 3.2).

        Args:
            precertificate: The TBSCertificate that is to be logged.
            issuer: Its issuer's key as DER SubjectPublicKeyInfo.

        Returns:
            Milliseconds since 1970, and the signature as TLS's digitally-signed struct.
        """
        milliseconds = int(datetime.now(UTC).timestamp() * 1000)
        entry = hashlib.sha256(issuer).digest()
        entry += len(precertificate).to_bytes(3, "big") + precertificate
        head = struct.pack("!BBQH", 0, 0, milliseconds, 1)  # v1, timestamp, time, precert_entry
        signature = self.sign(head + entry + b"\0\0")
        return milliseconds, b"\4\3" + sized(signature)  # SHA-256, ECDSA
