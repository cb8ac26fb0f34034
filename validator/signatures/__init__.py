"""Step 3 of the verification: who signed this payload?

One module for each way of signing; each has a `Verifier` that holds its trust
anchor and turns an unverified bundle into a signed payload, or raises. Loading
this package loads none of them: a check by key must not pay for sigstore.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from validator.bundle import Bundle, Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed, as far as the signature proves it; for the report.

    Attributes:
        method: The way of signing.
        identity: The certificate's identity or subject, or the key's fingerprint.
        issuer: Who vouches for the identity; None for keys.
        log_index: The entry's global index in the transparency log.
        signed_at: Trusted time of the signature; None where there is none.
        trusted_root: What is known of the root of trust: digest and date.
        notes: What a reviewer should know, one sentence each.
    """

    method: Method
    identity: str
    issuer: str | None = None
    log_index: int | None = None
    signed_at: datetime | None = None
    trusted_root: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A payload whose signature holds."""

    payload: bytes
    payload_type: str
    signer: Signer


class Verifier(Protocol):
    """Holds a trust anchor and judges bundles of its method."""

    @property
    def method(self) -> Method:
        """The way of signing that it judges."""
        ...

    def verify(self, bundle: Bundle, *, now: datetime, allow_legacy: bool) -> Signed:
        """Return the bundle's payload, if its signature holds.

        Raises:
            SignatureError: The signature or its signer does not hold.
            Undecided: The trust anchor cannot be had.
        """
        ...


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that DSSE signs, its pre-authentication encoding (DSSE v1.0)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def legacy_pae(payload_type: str, payload: bytes) -> bytes:
    """Return what model_signing v0.2 signed instead: the payload as Python shows bytes."""
    kind = payload_type.encode()
    return b"DSSEV1 %d %b %d %a" % (len(kind), kind, len(payload), payload)
