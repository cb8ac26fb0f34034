"""Signatures by a key pair: the policy's public key is the trust anchor, never the bundle's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from validator.bundle import Method
from validator.errors import PolicyError, SignatureError
from validator.signatures import ProvenSigner, Signed, ecdsa
from validator.text import quoted

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from cryptography.hazmat.primitives.asymmetric import ec

    from validator.bundle import Bundle


@dataclass(frozen=True, slots=True)
class KeyVerifier:
    """Verify by one ECDSA public key."""

    key: ec.EllipticCurvePublicKey

    @classmethod
    def from_pem(cls, pem: bytes, *, source: str) -> Self:
        """Build it from a PEM public key.

        Raises:
            PolicyError: It is none, or of a kind that OMS does not sign with.
        """
        try:
            return cls(ecdsa.supported(load_pem_public_key(pem)))
        except SignatureError as error:
            raise PolicyError(f"{source}: {error}") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            hint = " (it looks like a private key)" if b"PRIVATE KEY" in pem else ""
            raise PolicyError(f"{source}: not a public key in PEM form{hint}") from error

    @property
    def method(self) -> Method:
        """Signed by a key."""
        return Method.KEY

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the PEM form, as the reference writes it into the bundle's hint."""
        pem = self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(pem).hexdigest()

    def verify(self, bundle: Bundle, *, now: datetime, allow_legacy: bool) -> Signed:  # noqa: ARG002 — a key has no dates
        """Return the bundle's payload, if this key signed it.

        Raises:
            SignatureError: It did not.
        """
        # Said first, because it is the more helpful sentence; nothing rests on the hint.
        if bundle.key_hint and bundle.key_hint != self.fingerprint:
            raise SignatureError(
                f"the model was signed by another key: the bundle names {quoted(bundle.key_hint)}, "
                f"and the policy's is '{self.fingerprint}'"
            )
        legacy = ecdsa.verify(self.key, bundle, allow_legacy=allow_legacy)
        return Signed(
            payload=bundle.payload,
            payload_type=bundle.payload_type,
            signer=ProvenSigner(
                method=Method.KEY,
                identity=f"sha256:{self.fingerprint}",
                notes=("signed in the form of v0.2",) if legacy else (),
            ),
        )
