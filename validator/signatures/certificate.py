"""Signatures by a certificate: the trust anchors are the given authorities, never the system's.

cryptography verifies the path. Its profile for the web would refuse certificates that
signers really have (leaves that are CAs, or without a subject alternative name), so every
extension that it knows is permitted, and the rules of signing are added here: valid now,
`digitalSignature`, and `codeSigning` where extended usages are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from validator.bundle import Method
from validator.errors import PolicyError, SignatureError
from validator.signatures import ProvenSigner, Signed, ecdsa
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Self

    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.verification import Policy

    from validator.bundle import Bundle

_E = TypeVar("_E", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class CertificateVerifier:
    """Verify by a path to one of the given certificate authorities."""

    anchors: tuple[x509.Certificate, ...]

    @classmethod
    def from_pem(cls, pem: bytes, *, source: str) -> Self:
        """Build it from one or more PEM certificates.

        Raises:
            PolicyError: There is none, or one that cannot be read.
        """
        try:
            return cls(tuple(x509.load_pem_x509_certificates(pem)))
        except ValueError as error:
            raise PolicyError(f"{source}: not certificates in PEM form") from error

    @property
    def method(self) -> Method:
        """Signed by a certificate."""
        return Method.CERTIFICATE

    def verify(self, bundle: Bundle, *, now: datetime, allow_legacy: bool) -> Signed:
        """Return the bundle's payload, if a certificate of the authorities signed it.

        Raises:
            SignatureError: None did, or the certificate is not meant for it.
        """
        chain = load_chain(bundle.certificates)
        leaf = chain[0]
        _check_dates(leaf, now)
        _check_usage(leaf, chain)
        self._check_path(leaf, chain[1:], now)
        legacy = ecdsa.verify(_public_key(leaf), bundle, allow_legacy=allow_legacy)
        return Signed(
            payload=bundle.payload,
            payload_type=bundle.payload_type,
            signer=ProvenSigner(
                method=Method.CERTIFICATE,
                identity=_names(leaf),
                issuer=leaf.issuer.rfc4514_string(),
                notes=_notes(leaf, legacy=legacy),
            ),
        )

    def _check_path(
        self, leaf: x509.Certificate, others: Sequence[x509.Certificate], now: datetime
    ) -> None:
        authority = (
            ExtensionPolicy.permit_all()
            .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
            .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_issue)
        )
        verifier = (
            PolicyBuilder()
            .store(Store(list(self.anchors)))
            .time(now)
            .extension_policies(ca_policy=authority, ee_policy=ExtensionPolicy.permit_all())
            .build_client_verifier()
        )
        try:
            verifier.verify(leaf, list(others))
        except (VerificationError, x509.UnsupportedGeneralNameType, ValueError) as error:
            raise SignatureError(
                f"the certificate of {_names(leaf)} does not lead to an accepted authority "
                f"({', '.join(_names(anchor) for anchor in self.anchors)}): {_reason(error)}"
                f"{_order_hint(leaf, others)}"
            ) from error


def load_chain(certificates: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    """Return a bundle's DER certificates, each fully parsed.

    Raises:
        SignatureError: One of them cannot be read.
    """
    loaded = []
    for number, der in enumerate(certificates):
        try:
            certificate = x509.load_der_x509_certificate(der)
            # Parsed lazily, so a malformed one is found here.
            _ = certificate.extensions, certificate.subject, certificate.issuer
            _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        except (
            ValueError,
            OverflowError,
            UnsupportedAlgorithm,
            x509.DuplicateExtension,
            x509.InvalidVersion,
            x509.UnsupportedGeneralNameType,
        ) as error:
            raise SignatureError(
                f"certificate {number + 1} of the bundle's chain cannot be read: sign again with a "
                "certificate in DER form"
            ) from error
        loaded.append(certificate)
    return tuple(loaded)


def _public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    try:
        return ecdsa.supported(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError("the signer's certificate holds a key that cannot be read") from error


def _check_dates(leaf: x509.Certificate, now: datetime) -> None:
    # Signatures of this method carry no trusted time, so today's date decides.
    if now > leaf.not_valid_after_utc:
        raise SignatureError(
            f"the certificate of {_names(leaf)} expired on {leaf.not_valid_after_utc:%Y-%m-%d}: "
            "sign again with a valid one"
        )
    if now < leaf.not_valid_before_utc:
        raise SignatureError(
            f"the certificate of {_names(leaf)} is not valid before "
            f"{leaf.not_valid_before_utc:%Y-%m-%d}: compare the clocks"
        )


def _check_usage(leaf: x509.Certificate, chain: Sequence[x509.Certificate]) -> None:
    usage = _extension(leaf, x509.KeyUsage)
    if usage is None or not usage.digital_signature:
        raise SignatureError(
            f"the certificate of {_names(leaf)} is not meant for signatures: its key usage "
            f"lacks digitalSignature{_order_hint(leaf, chain[1:])}"
        )
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    if extended is not None and ExtendedKeyUsageOID.CODE_SIGNING not in extended:
        raise SignatureError(
            f"the certificate of {_names(leaf)} is not meant for signing code: its extended key "
            "usage lacks codeSigning"
        )


def _may_issue(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    """Refuse an issuer whose key must not issue: a signer's own certificate may be CA:TRUE."""
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an issuer's key usage lacks keyCertSign, so it may not issue")


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _order_hint(leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> str:
    """Return a hint on the most common mistake: a chain that starts with the authority."""
    for other in others:
        if other.issuer == leaf.subject and other.subject != leaf.subject:
            return "; the chain is in the wrong order: the signer's certificate comes first"
    return ""


def _names(certificate: x509.Certificate) -> str:
    return quoted(certificate.subject.rfc4514_string() or "a certificate without a name")


def _reason(error: Exception) -> str:
    text = str(error).removeprefix("validation failed: ")
    return text.partition(" (encountered processing")[0] or type(error).__name__


def _notes(leaf: x509.Certificate, *, legacy: bool) -> tuple[str, ...]:
    constraints = _extension(leaf, x509.BasicConstraints)
    notes = {
        "the signer's certificate is an authority itself (CA:TRUE)": bool(
            constraints and constraints.ca
        ),
        "the signer's certificate names itself as its issuer": leaf.subject == leaf.issuer,
        "signed in the form of v0.2": legacy,
    }
    return tuple(note for note, applies in notes.items() if applies)
