"""Step 3 of the verification: does the signature hold, and who signed?

Belongs here: one module for each signing method, with a `Verifier` that holds its trust
anchor and turns an unverified bundle into a signed payload, or raises. Importing this
package imports none of them, so that a check by key does not load sigstore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from validator.bundle import Bundle, Method


class ProvenSigner(NamedTuple):
    """The signer, as far as the signature proves who it is; for the report.

    Attributes:
        method: The signing method.
        identity: The certificate's identity or subject, or the key's fingerprint.
        issuer: The party that vouches for the identity; None for keys.
        log_id: Id of the transparency log, hexadecimal.
        log_index: The entry's index in the log's tree, as the proof of inclusion has it.
        global_log_index: Its index over all trees of the log (Rekor v1), where the log's
            promise proves it.
        signed_at: Proven time of the signature; None where there is none.
        time_source: The proof of that time: SET (the log's promise) or RFC 3161.
        trusted_root: Digest, source and age of the root of trust, in words.
        notes: Remarks for a reviewer, one sentence each.
    """

    method: Method
    identity: str
    issuer: str | None = None
    log_id: str | None = None
    log_index: int | None = None
    global_log_index: int | None = None
    signed_at: datetime | None = None
    time_source: Literal["SET", "RFC 3161"] | None = None
    trusted_root: str | None = None
    notes: tuple[str, ...] = ()


class Signed(NamedTuple):
    """A payload whose signature holds."""

    payload: bytes
    payload_type: str
    signer: ProvenSigner


class Verifier(Protocol):
    """Holds a trust anchor and verifies bundles of its method."""

    @property
    def method(self) -> Method:
        """The signing method that it verifies."""
        ...

    def verify(self, bundle: Bundle, *, now: datetime, allow_legacy: bool) -> Signed:
        """Return the bundle's payload, if its signature holds.

        Raises:
            SignatureError: The signature or its signer does not hold.
            Undecided: The trust anchor cannot be used.
        """
        ...


def notes(bundle: Bundle, *, legacy: bool) -> tuple[str, ...]:
    """Return the remarks on a signature by a key or certificate, for the report."""
    remarks = {
        "signed in the form of v0.2": legacy,
        "the transparency log's entry in the bundle was not verified: only keyless signatures "
        "rest on one": bool(bundle.log_entries),
    }
    return tuple(remark for remark, applies in remarks.items() if applies)


def pae(payload_type: str, payload: bytes) -> Iterator[bytes]:
    """Yield the bytes that DSSE signs, its pre-authentication encoding (DSSE v1.0)."""
    kind = payload_type.encode()
    yield b"DSSEv1 %d %b %d " % (len(kind), kind, len(payload))
    yield payload


_REPR_BYTES: Final = 64 * 1024


def legacy_pae(payload_type: str, payload: bytes) -> Iterator[bytes]:
    """Yield the bytes that model_signing v0.2 signed: the payload as Python's repr of bytes.

    In pieces, since the whole may be four times as long as the payload.
    """
    kind = payload_type.encode()
    quote = '"' if b"'" in payload and b'"' not in payload else "'"
    yield b"DSSEV1 %d %b %d b%b" % (len(kind), kind, len(payload), quote.encode())
    for start in range(0, len(payload), _REPR_BYTES):
        # Python chooses the quotes, and what it escapes, by the whole: so add what the whole has.
        piece = payload[start : start + _REPR_BYTES] + (b"'" if quote == '"' else b"\"'")
        yield repr(piece)[2 : -2 if quote == '"' else -4].encode()
    yield quote.encode()
