"""Certificate authorities of every kind, and what they certify."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.signed_model import PAYLOAD_TYPE, Document, b64, dsse_bundle
from validator.signatures.certificate import CertificateVerifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NOW: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY: Final = timedelta(days=1)
CODE_SIGNING: Final = ExtendedKeyUsageOID.CODE_SIGNING

_USAGES: Final = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The content of a certificate; None leaves an extension out.

    `extensions` are further ones, each with its criticality; `hash` is the issuer's, and None
    for an issuer with an Ed25519 key.
    """

    starts: timedelta = -DAY
    ends: timedelta = 30 * DAY
    ca: bool | None = False
    usage: Sequence[str] | None = ("digital_signature",)
    purposes: Sequence[x509.ObjectIdentifier] | None = (CODE_SIGNING,)
    path_length: int | None = None
    issuer: str | None = None
    names: Sequence[x509.GeneralName] = ()
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = ()
    key_ids: bool = False
    hash: Any = field(default_factory=hashes.SHA256)


LEAF: Final = Profile()
LASTING: Final = Profile(ends=10000 * DAY)
"""For programs that look at the clock; everything else is verified as of `NOW`."""

CA: Final = Profile(
    starts=-1000 * DAY, ends=20000 * DAY, ca=True, usage=("key_cert_sign",), purposes=None
)


def named(name: str) -> x509.Name:
    """Return a distinguished name, which may be empty."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])


@dataclass(frozen=True, slots=True)
class Party:
    """A certificate and its key: an authority, or a signer."""

    certificate: x509.Certificate
    key: Any

    @classmethod
    def root(cls, name: str = "root", profile: Profile = CA, *, key: Any = None) -> Party:
        """Make one that certifies itself."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        return cls(_certificate(name, key.public_key(), profile, by=name, key=key), key)

    def issue(
        self,
        name: str = "signer",
        profile: Profile = LEAF,
        *,
        key: Any = None,
    ) -> Party:
        """Certify a signer or another authority."""
        held = key or ec.generate_private_key(ec.SECP256R1())
        by = profile.issuer or self.certificate.subject.rfc4514_string().removeprefix("CN=")
        made = _certificate(name, held.public_key(), profile, by=by, key=self.key)
        return Party(made, held)

    @property
    def pem(self) -> bytes:
        """The certificate, PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The certificate, DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def verifier(self) -> CertificateVerifier:
        """A verifier that trusts this authority."""
        return CertificateVerifier.from_pem(self.pem, source="authority")

    def bundle(
        self,
        payload: Document | bytes,
        *chain: Party | bytes,
        edit: Callable[[Document], object] | None = None,
    ) -> bytes:
        """Sign a payload; `chain` is what follows one's own certificate in the bundle."""
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        made = dsse_bundle(
            content, self.key, payload_type=PAYLOAD_TYPE, material=material(self, *chain)
        )
        if edit:
            edit(made)
        return json.dumps(made).encode()


def material(*chain: Party | bytes) -> Document:
    """Return the verification material with a chain."""
    ders = [item if isinstance(item, bytes) else item.der for item in chain]
    return {"x509CertificateChain": {"certificates": [{"rawBytes": b64(der)} for der in ders]}}


def _certificate(
    name: str, public: Any, profile: Profile, *, by: str, key: Any
) -> x509.Certificate:
    draft = x509.CertificateBuilder(
        named(by),
        named(name),
        public,
        x509.random_serial_number(),
        NOW + profile.starts,
        NOW + profile.ends,
    )
    if profile.ca is not None:
        constraints = x509.BasicConstraints(ca=profile.ca, path_length=profile.path_length)
        draft = draft.add_extension(constraints, critical=True)
    if profile.usage is not None:
        usage = x509.KeyUsage(**{name: name in profile.usage for name in _USAGES})
        draft = draft.add_extension(usage, critical=True)
    if profile.purposes is not None:
        draft = draft.add_extension(x509.ExtendedKeyUsage(profile.purposes), critical=False)
    if profile.names:
        draft = draft.add_extension(x509.SubjectAlternativeName(profile.names), critical=False)
    if profile.key_ids:
        own = x509.SubjectKeyIdentifier.from_public_key(public)
        issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        draft = draft.add_extension(own, critical=False).add_extension(issuers, critical=False)
    for extension, critical in profile.extensions:
        draft = draft.add_extension(extension, critical=critical)
    return draft.sign(key, profile.hash)
