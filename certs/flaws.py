"""Flaws of a certificate and its key, each as the end of a sentence; `None` without one.

Belongs here: reading what a Secret holds, which may be anything, and judging it.
Nothing here raises on bad content. Does not belong here: what is done about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs.issuing import needs_renewal

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from certs.issuing import Authority, ServingPair


def certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM text, none where any of it cannot be read."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except (ValueError, x509.InvalidVersion):
        return ()


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether the one bears the other's signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def authority_flaw(authority: Authority, *, now: dt.datetime) -> str | None:
    """Return why the authority cannot go on issuing, `None` where it can.

    Args:
        authority: As a Secret holds it; empty values where it holds none.
        now: The time, with its zone.
    """
    found = certificates(authority.certificate)
    if flaw := _pair_flaw(found, authority.key):
        return flaw
    if not _may_issue(found[0]):
        return "its certificate is not an authority's"
    return needs_renewal(authority.certificate, now=now)


def serving_flaw(
    pair: ServingPair, *, issuer: x509.Certificate, names: Sequence[str], now: dt.datetime
) -> str | None:
    """Return why the serving pair must be issued anew, `None` where it need not be.

    Args:
        pair: As a Secret holds it; empty values where it holds none.
        issuer: The authority that issues now.
        names: DNS names that the certificate must carry, and no others.
        now: The time, with its zone.
    """
    found = certificates(pair.certificate)
    if flaw := _pair_flaw(found, pair.key):
        return flaw
    if not is_issued_by(found[0], issuer):
        return "it is not from the present authority"
    if _names(found[0]) != set(names):
        return "it is for other names"
    return needs_renewal(pair.certificate, now=now)


def _pair_flaw(found: Sequence[x509.Certificate], key: bytes) -> str | None:
    if not found:
        return "there is no certificate that can be read"
    try:
        private = serialization.load_pem_private_key(key, password=None)
        public = found[0].public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "there is no key that can be read"
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        return "its key is not an EC key"
    if private.public_key() != public:
        return "its key is another certificate's"
    return None


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        extensions = certificate.extensions
        return (
            extensions.get_extension_for_class(x509.BasicConstraints).value.ca
            and extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
        )
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False


def _names(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return set()
    return set(names.value.get_values_for_type(x509.DNSName))
