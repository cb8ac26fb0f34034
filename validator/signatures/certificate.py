"""Signatures by a certificate: the trust anchors are the given authorities, never the system's.

`validator.signatures.path` verifies the path. The rules of signing are here: valid now,
`digitalSignature` where a key usage is given, and `codeSigning` where extended usages are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from validator.bundle import Method
from validator.errors import PolicyError, SignatureError, SignerError
from validator.signatures import ProvenSigner, Signed, ecdsa, notes, path
from validator.signatures.certificate_names import names
from validator.signatures.matching import compiled, matches_any
from validator.text import few, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Self

    from cryptography.hazmat.primitives.asymmetric import ec

    from validator.bundle import Bundle
    from validator.policy.schema.expressions import Expression

IDENTITY_LIMIT = 1024
"""Characters of an identity in the report; as many as a policy's may have."""


@dataclass(frozen=True, slots=True)
class CertificateVerifier:
    """Verify by a path to one of the given certificate authorities.

    Attributes:
        anchors: The authorities.
        identity: Accepted subject (RFC 4514) or subject alternative name; None for any.
        identity_regexp: The same by a regular expression, as it was given.
        expression: The same, compiled; matched in full.
    """

    anchors: tuple[x509.Certificate, ...]
    identity: str | None = None
    identity_regexp: str | None = None
    expression: Expression | None = None

    @classmethod
    def from_pem(
        cls,
        pem: bytes,
        *,
        source: str,
        identity: str | None = None,
        identity_regexp: str | None = None,
    ) -> Self:
        """Build it from one or more PEM certificates, and who may have signed below them.

        Raises:
            PolicyError: There is none, or one that cannot be read or is no authority; or the
                expression cannot be used.
        """
        if b"PRIVATE KEY" in pem:  # also beside a certificate, whose file others may read
            raise PolicyError(f"{source}: {_flaw(pem)}")
        try:
            anchors = tuple(map(_parsed, x509.load_pem_x509_certificates(pem)))
        except MemoryError:
            raise
        # A malformed certificate makes cryptography raise errors of many classes.
        except Exception as error:
            raise PolicyError(f"{source}: {_flaw(pem)}") from error
        not_authorities = [anchor for anchor in anchors if not path.is_authority(anchor)]
        if not_authorities:
            raise PolicyError(
                f"{source}: {path.name(not_authorities[0])} is not a certificate authority, so it "
                "cannot be a trust anchor: name the authority that issued it, and the signer by "
                "its identity"
            )
        expression = None
        if identity_regexp is not None:
            expression = compiled(identity_regexp, what="identity")
        return cls(anchors, identity, identity_regexp, expression)

    @property
    def method(self) -> Method:
        """Signed by a certificate."""
        return Method.CERTIFICATE

    def verify(self, bundle: Bundle, *, now: datetime, allow_legacy: bool) -> Signed:
        """Return the bundle's payload, if a certificate of the authorities signed it.

        Raises:
            SignatureError: None did, or the certificate is not meant for it, or is not the
                accepted signer's.
        """
        chain = load_chain(bundle.certificates)
        leaf = chain[0]
        key = signing_key(chain, now=now)
        path.verify(leaf, chain[1:], anchors=self.anchors, now=now)
        self._check_identity(leaf)
        legacy = ecdsa.verify(key, bundle, allow_legacy=allow_legacy)
        return Signed(
            payload=bundle.payload,
            payload_type=bundle.payload_type,
            signer=ProvenSigner(
                method=Method.CERTIFICATE,
                identity=quoted(names(leaf)[0], limit=IDENTITY_LIMIT)[1:-1],
                issuer=leaf.issuer.rfc4514_string(),
                notes=(*_notes(leaf), *notes(bundle, legacy=legacy)),
            ),
        )

    def _check_identity(self, leaf: x509.Certificate) -> None:
        found = names(leaf)
        if self.identity is not None and self.identity not in found:
            accepted = quoted(self.identity)
        elif self.expression is not None and not matches_any(self.expression, found):
            accepted = quoted(self.identity_regexp)
        else:
            return
        raise SignerError(
            f"the model was signed by somebody else: {few(found)}, and {accepted} is accepted"
        )


def load_chain(certificates: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    """Return a bundle's DER certificates, each fully parsed.

    Raises:
        SignatureError: One of them cannot be read.
    """
    loaded = []
    for number, der in enumerate(certificates):
        try:
            loaded.append(_parsed(x509.load_der_x509_certificate(der)))
        except MemoryError:
            raise
        except Exception as error:  # as above
            raise SignatureError(
                f"certificate {number + 1} of the bundle's chain cannot be read: sign again with a "
                "certificate in DER form"
            ) from error
    return tuple(loaded)


def signing_key(chain: Sequence[x509.Certificate], *, now: datetime) -> ec.EllipticCurvePublicKey:
    """Return the key of the signer, the first of a chain, whom a policy could accept.

    Raises:
        SignatureError: No policy could: the certificate is out of its time, or not meant for
            signing models.
    """
    leaf = chain[0]
    _check_dates(leaf, now)
    _check_usage(leaf, chain)
    return _public_key(leaf)


def _parsed(certificate: x509.Certificate) -> x509.Certificate:
    """Read all of a certificate now, since cryptography would fail later on a malformed part."""
    _ = certificate.extensions, certificate.subject, certificate.issuer
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return certificate


def _public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    try:
        return ecdsa.supported(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(
            "the signer's certificate holds a key that is not supported: ECDSA on P-256, P-384 or "
            "P-521 is needed"
        ) from error


def _check_dates(leaf: x509.Certificate, now: datetime) -> None:
    # Signatures of this method carry no trusted time, so today's date decides.
    if now > leaf.not_valid_after_utc:
        raise SignatureError(
            f"the certificate of {path.name(leaf)} expired on "
            f"{leaf.not_valid_after_utc:%Y-%m-%d}: sign again with a valid one"
        )
    if now < leaf.not_valid_before_utc:
        raise SignatureError(
            f"the certificate of {path.name(leaf)} is not valid before "
            f"{leaf.not_valid_before_utc:%Y-%m-%d}: compare the clocks"
        )


def _check_usage(leaf: x509.Certificate, chain: Sequence[x509.Certificate]) -> None:
    # RFC 5280: only usages that are given restrict a key.
    usage = path.extension(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise SignatureError(
            f"the certificate of {path.name(leaf)} is not meant for signatures: its key usage "
            f"lacks digitalSignature{path.order_hint(leaf, chain[1:])}"
        )
    if not path.may_sign_code(leaf):
        raise SignatureError(
            f"the certificate of {path.name(leaf)} is not meant for signing code: its extended "
            "key usage lacks codeSigning"
        )


def _notes(leaf: x509.Certificate) -> tuple[str, ...]:
    constraints = path.extension(leaf, x509.BasicConstraints)
    remarks = {
        "the signer's certificate is an authority itself (CA:TRUE)": bool(
            constraints and constraints.ca
        ),
        "the signer's certificate names itself as its issuer": leaf.subject == leaf.issuer,
    }
    return tuple(remark for remark, applies in remarks.items() if applies)


def _flaw(pem: bytes) -> str:
    """Return why a text holds no PEM certificates."""
    if b"PRIVATE KEY" in pem:
        return "not certificates in PEM form (it looks like a private key): name its certificate"
    if b"PUBLIC KEY-----" in pem:
        return (
            "not certificates in PEM form (it is a public key): use `verify key`, or "
            "publicKeyConfig in a policy"
        )
    if b"BEGIN CERTIFICATE-----" in pem:
        return (
            "certificates in PEM form, of which one cannot be read: name the file as it was issued"
        )
    if pem.startswith(ecdsa.DER_SEQUENCE):
        return (
            "not certificates in PEM form (they look like DER): convert them by `openssl x509 "
            "-inform DER`"
        )
    return "not certificates in PEM form" + (" (it is empty)" if not pem.strip() else "")
