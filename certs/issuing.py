"""Keys and certificates as values: make an authority, issue from it, judge the age.

Belongs here: pure cryptography, with time as an argument. Does not belong here:
where the values are kept, who trusts them, when anybody looks.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

AUTHORITY_LIFETIME: Final = dt.timedelta(days=365)
SERVING_LIFETIME: Final = dt.timedelta(days=90)
CLOCK_SKEW: Final = dt.timedelta(minutes=5)
"""By which a client's clock may be slow; for a short-lived certificate, a tenth of its lifetime."""

RENEWAL_SHARE: Final = 2 / 3
"""Share of its lifetime after which a certificate is renewed, as cert-manager does by default."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority; both values PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServingPair:
    """A server's certificate and key; both values PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


def new_authority(*, now: dt.datetime, lifetime: dt.timedelta = AUTHORITY_LIFETIME) -> Authority:
    """Make an authority with a fresh P-256 key, which may issue leaves only.

    Args:
        now: The time, with its zone.
        lifetime: From `now` on.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    # Two authorities live side by side during a rotation: their names must differ.
    subject = _name(f"model-validation authority {now:%Y-%m-%d %H:%M:%S}")
    builder = (
        _builder(subject, issuer=subject, key=key.public_key())
        .not_valid_before(now - _skew(lifetime))
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Authority(_pem(builder.sign(key, hashes.SHA256())), _key_pem(key))


def issue(
    authority: Authority,
    *,
    names: Sequence[str],
    now: dt.datetime,
    lifetime: dt.timedelta = SERVING_LIFETIME,
) -> ServingPair:
    """Issue a serving certificate, with a fresh P-256 key, that does not outlive its authority.

    Args:
        authority: Who signs.
        names: DNS names and IP addresses of the server, at least one.
        now: The time, with its zone.
        lifetime: From `now` on.

    Raises:
        ValueError: No name, a name that is neither, or an authority that cannot be read.
    """
    if not names:
        raise ValueError("a serving certificate needs at least one DNS name or IP address")
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    issuer_key = serialization.load_pem_private_key(authority.key, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not an EC key")  # noqa: TRY004 — a bad value, whatever its type
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name("model-validation webhook"), issuer=issuer.subject, key=key.public_key())
        .not_valid_before(now - _skew(lifetime))
        .not_valid_after(min(now + lifetime, issuer.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    return ServingPair(_pem(builder.sign(issuer_key, hashes.SHA256())), _key_pem(key))


def needs_renewal(certificate_pem: bytes, *, now: dt.datetime) -> str | None:
    """Return why the certificate must be renewed, `None` where it need not be.

    Args:
        certificate_pem: The certificate; the first one counts.
        now: The time, with its zone.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except ValueError:
        return "it is not a PEM certificate"
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    due = start + (end - start) * RENEWAL_SHARE
    if now < start:
        return f"it is not valid before {start:%Y-%m-%d %H:%M} UTC"
    if now >= end:
        return f"it expired on {end:%Y-%m-%d %H:%M} UTC"
    if now >= due:
        return f"two thirds of its lifetime are over; it expires on {end:%Y-%m-%d %H:%M} UTC"
    return None


def _builder(
    subject: x509.Name, *, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _skew(lifetime: dt.timedelta) -> dt.timedelta:
    # With five minutes, a certificate for one minute would be due for renewal at once.
    return min(CLOCK_SKEW, lifetime / 10)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
