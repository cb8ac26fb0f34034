"""The certificate authority: short-lived leaves that bind a key to an identity.

Shaped like Fulcio's (its certificate specification and the production root's own
certificates): root, intermediate, and ten-minute leaves with a critical subject
alternative name, the OIDC issuer, codeSigning, and one embedded precertificate
timestamp (RFC 6962) by a certificate transparency log of our own.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from asn1crypto.core import OctetString, UTF8String
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from tests.sigstore.keys import LogKey, new_key, sized, spki

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from cryptography.hazmat.primitives.asymmetric import ec

ISSUER: Final = "https://accounts.example.com"
"""The identity provider's name in tokens and certificates; nobody connects to it."""

FULCIO_ARC: Final = "1.3.6.1.4.1.57264.1"
"""Fulcio's extensions (its page oid-info): .1 the issuer, raw; .8 the same as UTF8String."""

USER_NAME: Final = x509.ObjectIdentifier(f"{FULCIO_ARC}.7")
"""The kind of alternative name that is a user name of an issuer's domain."""

FIRST_DER_EXTENSION: Final = 8
"""Extensions of the arc below this number hold raw text, the others a DER UTF8String."""

LEAF_LIFETIME: Final = timedelta(minutes=10)
CA_AGE: Final = timedelta(days=1)
CA_LIFETIME: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Identity:
    """A signer: an e-mail address, a URI or a user name, and the issuer that vouches for it.

    `claims` are further extensions of Fulcio's arc, last number to text, such as
    `{5: "owner/repository", 12: "https://github.com/owner/repository"}`; None leaves one out.
    """

    name: str
    issuer: str = ISSUER
    claims: Mapping[int, str | None] = field(default_factory=dict)

    def extensions(self) -> list[x509.ExtensionType]:
        """Return the issuer's and the claims' extensions."""
        values: dict[int, str | None] = {1: self.issuer, 8: self.issuer, **self.claims}
        return [
            x509.UnrecognizedExtension(
                x509.ObjectIdentifier(f"{FULCIO_ARC}.{number}"),
                UTF8String(text).dump() if number >= FIRST_DER_EXTENSION else text.encode(),
            )
            for number, text in sorted(values.items())
            if text is not None
        ]

    def alternative_name(self) -> x509.SubjectAlternativeName:
        """Return the identity as the certificate's only name; user names are user!domain."""
        if "!" in self.name:
            encoded = UTF8String(self.name).dump()
            return x509.SubjectAlternativeName([x509.OtherName(USER_NAME, encoded)])
        of_kind = x509.UniformResourceIdentifier if "://" in self.name else x509.RFC822Name
        return x509.SubjectAlternativeName([of_kind(self.name)])


@dataclass(frozen=True, slots=True)
class LeafProfile:
    """The form of a leaf certificate; the defaults are honest, anything else is an attack."""

    age: timedelta = timedelta()
    digital_signature: bool = True
    code_signing: bool = True
    timestamped: bool = True


HONEST: Final = LeafProfile()


def key_usage(*, digital_signature: bool = False, ca: bool = False) -> x509.KeyUsage:
    """Return key usages of a leaf or a CA; a leaf without digitalSignature has nonRepudiation."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=not (digital_signature or ca),
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True, slots=True)
class Issuing:
    """A CA certificate together with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def root(cls, organization: str) -> Self:
        """Make a self-signed root."""
        key, name = new_key(), distinguished_name(organization, "root")
        draft = draft_of(key.public_key(), key.public_key(), subject=name, issuer=name)
        draft = draft.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        draft = draft.add_extension(key_usage(ca=True), critical=True)
        return cls(draft.sign(key, hashes.SHA256()), key)

    def intermediate(self, organization: str) -> Self:
        """Issue a CA for code signing leaves only."""
        key = new_key()
        draft = draft_of(
            key.public_key(),
            self.key.public_key(),
            subject=distinguished_name(organization, "intermediate"),
            issuer=self.certificate.subject,
        )
        draft = draft.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        draft = draft.add_extension(key_usage(ca=True), critical=True)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        return type(self)(self.sign(draft.add_extension(usage, critical=False)), key)

    def sign(self, draft: x509.CertificateBuilder) -> x509.Certificate:
        """Issue what the draft says."""
        return draft.sign(self.key, hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Authority:
    """Root, intermediate, and the certificate transparency log that watches them."""

    root: Issuing
    intermediate: Issuing
    ct_log: LogKey

    @classmethod
    def new(cls, *, organization: str = "private.sigstore.test") -> Self:
        """Make an authority; two of one organization bear the same names."""
        root = Issuing.root(organization)
        return cls(root, root.intermediate(organization), LogKey.new())

    @property
    def chain(self) -> tuple[x509.Certificate, x509.Certificate]:
        """The certificates above a leaf, root last."""
        return self.intermediate.certificate, self.root.certificate

    def issue(
        self,
        key: ec.EllipticCurvePublicKey,
        identity: Identity,
        *,
        profile: LeafProfile = HONEST,
    ) -> x509.Certificate:
        """Issue a leaf that says that the key speaks for the identity."""
        # Attacks combine parts of two bundles, of which one was made a moment before the other.
        begin = datetime.now(UTC) - profile.age - timedelta(minutes=1)
        draft = draft_of(
            key,
            self.intermediate.key.public_key(),
            subject=x509.Name([]),
            issuer=self.intermediate.certificate.subject,
            validity=(begin, begin + LEAF_LIFETIME),
        )
        draft = draft.add_extension(
            key_usage(digital_signature=profile.digital_signature), critical=True
        )
        purpose = ExtendedKeyUsageOID.CODE_SIGNING
        if not profile.code_signing:
            purpose = ExtendedKeyUsageOID.CLIENT_AUTH
        draft = draft.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        draft = draft.add_extension(identity.alternative_name(), critical=True)
        for extension in identity.extensions():
            draft = draft.add_extension(extension, critical=False)
        if profile.timestamped:
            precertificate = self.intermediate.sign(draft)
            draft = draft.add_extension(self._timestamp(precertificate), critical=False)
        return self.intermediate.sign(draft)

    def _timestamp(self, precertificate: x509.Certificate) -> x509.UnrecognizedExtension:
        # RFC 6962, 3.3. cryptography reads this extension but cannot make it.
        issuer = spki(self.intermediate.key.public_key())
        milliseconds, signature = self.ct_log.promise_certificate(
            precertificate.tbs_certificate_bytes, issuer=issuer
        )
        timestamp = b"\0" + self.ct_log.key_id + struct.pack("!QH", milliseconds, 0) + signature
        listed = OctetString(sized(sized(timestamp))).dump()
        return x509.UnrecognizedExtension(
            ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS, listed
        )


def distinguished_name(organization: str, role: str) -> x509.Name:
    """Return the name of an authority's certificate."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{organization} {role}"),
        ]
    )


def draft_of(
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    *,
    subject: x509.Name,
    issuer: x509.Name,
    validity: tuple[datetime, datetime] | None = None,
) -> x509.CertificateBuilder:
    """Return what all certificates have; valid for ten years unless told otherwise."""
    now = datetime.now(UTC)
    begin, end = validity or (now - CA_AGE, now + CA_LIFETIME)
    draft = x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), begin, end
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return draft.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
    )
