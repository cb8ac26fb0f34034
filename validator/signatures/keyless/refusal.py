"""Sentences for what sigstore-python refuses, in words of ours.

Its own messages name its types and change between releases. A message that is not known
here is a refusal all the same, with a general sentence.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_der_x509_certificate
from sigstore.errors import CertValidationError

from validator.errors import SignatureError, UnknownToRootError
from validator.signatures import ecdsa
from validator.signatures.keyless.root import UPDATE

if TYPE_CHECKING:
    from sigstore_models.trustroot.v1 import TrustedRoot as LibraryRoot

    from validator.signatures.keyless.claims import Claims

_NO_TIME: Final = ("sources of verified time", "no Timestamp Authorities")

_KNOWN: Final = (
    ("inclusion promise", "the transparency log's promise was not made by the log"),
    ("root hash signature", "the log's checkpoint is of another tree than the proof of inclusion"),
    ("malformed", "the log's checkpoint cannot be read"),
    ("note must contain", "the log's checkpoint cannot be read"),
    ("padding", "the log's checkpoint cannot be read"),  # of a signature's base64
    ("base64-encoded", "the log's checkpoint cannot be read"),
    ("checkpoint", "the log's checkpoint was not signed by the log"),
    ("inclusion proof", "the proof of inclusion in the transparency log does not hold"),
    ("SCT verify", "the certificate's timestamp (SCT) was not made by the CT log"),
    (
        "certificate timestamp",
        "the signer's certificate does not carry exactly one timestamp of a CT log (SCT)",
    ),
    ("Key usage", "the signer's certificate is not meant for signatures (digitalSignature)"),
    ("Extended usage", "the signer's certificate is not meant for signing code (codeSigning)"),
    ("DSSE", "the signature does not match the signed payload"),
    ("payload hash", "the transparency log's entry is over another payload"),
    ("do not match bundle", "the transparency log's entry is of another signature"),
    ("inconsistent with other", "the transparency log's entry is of another signature"),
    ("log entry", "the transparency log's entry cannot be read"),
    ("duplicate timestamp", "it carries the same timestamp twice"),
    ("too many signed timestamp", "it carries too many timestamps"),
    ("expired at time of signing", "the signer's certificate was not valid at the time"),
)
"""Fragments of sigstore-python's messages (4.3 to 4.5), the more telling one first."""


def explained(
    error: Exception, claims: Claims, root: LibraryRoot, *, described: str
) -> SignatureError:
    """Return the refusal for an error that sigstore-python raised over a bundle.

    Args:
        error: Of any class: hostile bundles make its dependencies fail in their own ways.
        claims: The bundle.
        root: The whole trusted root.
        described: Its digest, source and age.
    """
    if isinstance(error, CertValidationError):
        return SignatureError(
            "the signer's certificate does not lead to an authority of the trusted root "
            f"{described}, or was not valid when it signed"
        )
    text = str(error)
    if any(part in text for part in _NO_TIME):
        return _without_time(claims, root, described=described)
    known = next((said for part, said in _KNOWN if part in text), None)
    if (known is None or "DSSE" in text) and (kind := _other_kind(claims)):
        return SignatureError(
            f"{kind} cannot verify a keyless signature here: sign again with ECDSA on P-256, as "
            "Sigstore's clients do"
        )
    return SignatureError(
        f"the keyless signature does not hold: {known or 'it cannot be verified'}"
    )


def _other_kind(claims: Claims) -> str | None:
    """Return the kind of the signer's key, where it is one that sigstore-python does not use."""
    with suppress(ValueError, UnsupportedAlgorithm):
        key = claims.parsed.signing_certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            return ecdsa.kind(key)
    return None


def _without_time(claims: Claims, root: LibraryRoot, *, described: str) -> SignatureError:
    """Return why no timestamp counts: an unknown authority, a retired one, or a false stamp."""
    known = [
        authority
        for authority in root.timestamp_authorities
        if any(
            (one.issuer, one.serial_number) in claims.stamp_signers
            for one in map(
                load_der_x509_certificate,
                (raw.raw_bytes for raw in authority.cert_chain.certificates),
            )
        )
    ]
    if not known:
        return UnknownToRootError(
            f"the signature was timestamped by an authority that the trusted root {described} "
            f"does not know: {UPDATE}"
        )
    return SignatureError(
        "the keyless signature does not hold: no timestamp over it is of an authority that was "
        f"in use at its time by the trusted root {described}"
    )
