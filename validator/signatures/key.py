"""Signatures by a key pair: the policy's public key is the trust anchor, never the bundle's."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm

from validator.bundle import Method
from validator.errors import PolicyError, SignatureError
from validator.signatures import ProvenSigner, Signed, ecdsa, notes
from validator.text import quoted

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from cryptography.hazmat.primitives.asymmetric import ec

    from validator.bundle import Bundle


class KeyVerifier(NamedTuple):
    """Verify by one ECDSA public key."""

    key: ec.EllipticCurvePublicKey

    @classmethod
    def from_pem(cls, pem: bytes, *, source: str) -> Self:
        """Build it from a PEM public key.

        Raises:
            PolicyError: It is not a public key, or of a kind that OMS does not sign with.
        """
        if b"PRIVATE KEY" in pem:  # also beside the public one, whose file others may read
            raise PolicyError(f"{source}: {_flaw(pem)}")
        if (count := pem.count(b"-----BEGIN ")) > 1:
            raise PolicyError(
                f"{source}: holds {count} keys or certificates in PEM form, and exactly one public "
                "key is expected: give each key a signer of its own"
            )
        try:
            return cls(ecdsa.supported(ecdsa.from_pem(pem)))
        except SignatureError as error:
            raise PolicyError(f"{source}: {error}") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise PolicyError(f"{source}: {_flaw(pem)}") from error

    @property
    def method(self) -> Method:
        """Signed by a key."""
        return Method.KEY

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the PEM form, as the reference writes it into the bundle's hint."""
        return hashlib.sha256(ecdsa.to_pem(self.key)).hexdigest()

    def verify(self, bundle: Bundle, *, now: datetime, allow_legacy: bool) -> Signed:  # noqa: ARG002 — a key has no dates
        """Return the bundle's payload, if this key signed it.

        Raises:
            SignatureError: It did not.
        """
        try:
            legacy = ecdsa.verify(self.key, bundle, allow_legacy=allow_legacy)
        except SignatureError as error:
            # Nothing rests on the hint; where it differs, the sentence is the more helpful one.
            if bundle.key_hint in {None, self.fingerprint} or "not match" not in str(error):
                raise
            raise SignatureError(
                f"the model was signed by another key, or changed since: the bundle names the key "
                f"{quoted(bundle.key_hint)}, and '{self.fingerprint}' is accepted"
            ) from error
        return Signed(
            payload=bundle.payload,
            payload_type=bundle.payload_type,
            signer=ProvenSigner(
                method=Method.KEY,
                identity=f"sha256:{self.fingerprint}",
                notes=notes(bundle, legacy=legacy),
            ),
        )


def _flaw(pem: bytes) -> str:
    """Return why a text is no PEM public key."""
    if b"PRIVATE KEY" in pem:
        return (
            "not a public key in PEM form (it looks like a private key): name its public half, "
            "which `openssl pkey -pubout` prints"
        )
    if b"BEGIN CERTIFICATE" in pem:
        return (
            "not a public key in PEM form (it is a certificate): use `verify certificate`, or "
            "pkiConfig in a policy"
        )
    if b"PUBLIC KEY-----" in pem:
        return "a public key in PEM form that cannot be read: an ECDSA key is needed"
    if pem.startswith(ecdsa.DER_SEQUENCE):
        return (
            "not a public key in PEM form (it looks like DER): convert it by `openssl pkey -pubin "
            "-inform DER`"
        )
    return "not a public key in PEM form" + (" (it is empty)" if not pem.strip() else "")
