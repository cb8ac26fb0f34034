"""Throwaway certificates and keys for the servers of the harness; nothing of `certs/`."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

LIFETIME = dt.timedelta(days=1)
CLOCK_SKEW = dt.timedelta(minutes=5)
SIGNS = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    **dict.fromkeys(
        (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "encipher_only", "decipher_only"),
        ),
        False,
    ),
)
"""The extensions that strict verifiers, such as Python's from 3.13 on, demand of an authority."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that signs certificates of servers and of their clients."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls) -> Authority:
        """Make one with a fresh key."""
        key = new_key()
        name = _name("test authority")
        certificate = (
            _builder(name, issuer=name, key=key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(SIGNS, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @property
    def bundle(self) -> bytes:
        """The PEM that a client trusts."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def serving(
        self,
        common_name: str = "localhost",
        *,
        names: Sequence[str] = ("localhost",),
        addresses: Sequence[str] = ("127.0.0.1",),
    ) -> tuple[bytes, bytes]:
        """Return certificate and key, PEM, of a server at these names and addresses."""
        alternatives = [
            *(x509.DNSName(name) for name in names),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
        ]
        return self._issue(_name(common_name), x509.SubjectAlternativeName(alternatives))

    def client(self, user: str, group: str) -> tuple[bytes, bytes]:
        """Return certificate and key, PEM, by which a client is a user of a group."""
        organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._issue(x509.Name([*_name(user), organization]), usage)

    def _issue(self, subject: x509.Name, extension: x509.ExtensionType) -> tuple[bytes, bytes]:
        key = new_key()
        certificate = (
            _builder(subject, issuer=self.certificate.subject, key=key)
            .add_extension(extension, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), key_pem(key)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the private key as unencrypted PEM (SEC 1)."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,  # the one for service accounts
        serialization.NoEncryption(),
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, *, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
    )
