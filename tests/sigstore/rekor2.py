"""The signature log in the shape of Rekor v2: tiles, no promise, an Ed25519 checkpoint.

An entry over a DSSE envelope is a hashedrekord of its pre-authentication encoding
(rekor-v2-spec, 6.1.4). The log gives no time: a timestamp authority does. Its checkpoint is
a C2SP signed note, and its id the whole SHA-256 that the note's key hash begins.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.sigstore.log import (
    EARLIER_ENTRIES,
    b64,
    canonical,
    inclusion_path,
    leaf_hash,
    tree_hash,
)

if TYPE_CHECKING:
    from cryptography import x509

ORIGIN: Final = "log2.private.sigstore.test"
ED25519_SIGNATURE: Final = b"\x01"
"""The signature type in a note's key hash (C2SP signed-note)."""


@dataclass(frozen=True, slots=True)
class TileLog:
    """An append-only log that signs checkpoints and nothing else."""

    private: Ed25519PrivateKey
    _leaves: list[bytes] = field(default_factory=lambda: [*map(leaf_hash, EARLIER_ENTRIES)])

    @classmethod
    def new(cls) -> TileLog:
        """Make a log with a key of its own."""
        return cls(Ed25519PrivateKey.generate())

    @property
    def public(self) -> bytes:
        """The public key as DER SubjectPublicKeyInfo."""
        return self.private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def log_id(self) -> bytes:
        """The log's id, whose first four bytes are the note's key hash."""
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return hashlib.sha256(ORIGIN.encode() + b"\n" + ED25519_SIGNATURE + raw).digest()

    def append(self, body: bytes) -> dict[str, Any]:
        """Log a canonical body, and return the entry as a bundle holds it."""
        self._leaves.append(leaf_hash(body))
        leaves = tuple(self._leaves)
        index, root = len(leaves) - 1, tree_hash(leaves)
        note = f"{ORIGIN}\n{len(leaves)}\n{b64(root)}\n"
        signature = b64(self.log_id[:4] + self.private.sign(note.encode()))
        return {
            "logIndex": str(index),
            "logId": {"keyId": b64(self.log_id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": {
                "logIndex": str(index),
                "rootHash": b64(root),
                "treeSize": str(len(leaves)),
                "hashes": [b64(sibling) for sibling in inclusion_path(index, leaves)],
                "checkpoint": {"envelope": f"{note}\n\N{EM DASH} {ORIGIN} {signature}\n"},
            },
            "canonicalizedBody": b64(body),
        }


def hashedrekord_body(encoded: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    """Return the canonical body that Rekor v2 keeps of an envelope.

    Args:
        encoded: The envelope's pre-authentication encoding.
        signature: Over it, by a P-256 key.
        certificate: The signer's.
    """
    verifier = {
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        "x509Certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))},
    }
    spec = {
        "data": {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(encoded).digest())},
        "signature": {"content": b64(signature), "verifier": verifier},
    }
    return canonical(
        {"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": spec}}
    )
