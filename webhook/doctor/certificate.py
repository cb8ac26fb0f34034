"""The webhook's certificate: its names, its end, and whether the API server trusts its issuer."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from webhook.doctor import configurations
from webhook.doctor.finding import error, warning
from webhook.doctor.objects import (
    CONFIGURATION,
    NAMESPACE,
    SERVER_NAME,
    SERVING_SECRET,
    found,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from webhook.doctor.finding import Finding
    from webhook.doctor.objects import Api

SECRET_PATH: Final = f"/api/v1/namespaces/{NAMESPACE}/secrets/{SERVING_SECRET}"
SUBJECT: Final = f"Secret {SERVING_SECRET}"
SOON: Final = dt.timedelta(days=7)
"""It is renewed a month before its end, with cert-manager too."""

RENEW: Final = (
    "look into the log of model-validation-certs, or at cert-manager's Certificate, and see "
    "docs/certificates.md"
)


async def serving(api: Api, *, now: dt.datetime) -> AsyncGenerator[Finding]:
    """Find a certificate that is missing, for other names, at its end, or not trusted."""
    secret = await found(api, SECRET_PATH)
    chain = _certificates(((secret or {}).get("data") or {}).get("tls.crt", ""))
    if not chain:
        yield error(
            "certificate-missing",
            SUBJECT,
            f"it holds no certificate, so that the webhook's pods do not start: {RENEW}",
        )
        return
    if SERVER_NAME not in _names(chain[0]):
        yield error(
            "certificate-names",
            SUBJECT,
            f"its certificate is not for {SERVER_NAME}, the name by which the API server "
            f"connects: {RENEW}",
        )
    for finding in _dates(chain[0], subject=SUBJECT, now=now):
        yield finding
    async for finding in _trust(api, chain, now=now):
        yield finding


def _dates(certificate: x509.Certificate, *, subject: str, now: dt.datetime) -> Iterator[Finding]:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        yield error(
            "certificate-expired",
            subject,
            f"its certificate is not valid before {begin:%Y-%m-%d %H:%M} UTC: correct the clocks, "
            f"or {RENEW}",
        )
    elif now > end:
        yield error(
            "certificate-expired",
            subject,
            f"its certificate ended on {end:%Y-%m-%d %H:%M} UTC: {RENEW}",
        )
    elif now > end - SOON:
        yield warning(
            "certificate-ends-soon",
            subject,
            f"its certificate ends on {end:%Y-%m-%d %H:%M} UTC and was not renewed: {RENEW}",
        )


async def _trust(
    api: Api, chain: Sequence[x509.Certificate], *, now: dt.datetime
) -> AsyncGenerator[Finding]:
    """Find entries whose `caBundle` does not vouch for the certificate."""
    for kind in configurations.PLURALS:
        configuration = await found(api, configurations.path(kind)) or {}
        untrusting = []
        for entry in configuration.get("webhooks", ()):
            bundle = _certificates(entry.get("clientConfig", {}).get("caBundle", ""))
            if not _vouches(bundle, chain, now=now):
                untrusting.append(str(entry["name"]))
        if untrusting:
            yield error(
                "certificate-untrusted",
                f"{kind} {CONFIGURATION}",
                f"caBundle of its entry {', '.join(untrusting)} does not hold a valid authority "
                f"that issued the certificate in the Secret {SERVING_SECRET}: {RENEW}",
            )


def _vouches(
    bundle: Sequence[x509.Certificate], chain: Sequence[x509.Certificate], *, now: dt.datetime
) -> bool:
    """Tell whether one of the bundle, valid now, issued the first of the chain, over the others."""
    current, *others = chain
    for _ in chain:
        if any(_is_valid(anchor, now) and _issued(current, anchor) for anchor in bundle):
            return True
        between = [each for each in others if _is_valid(each, now) and _issued(current, each)]
        if not between:
            return False
        current = between[0]
    return False


def _is_valid(certificate: x509.Certificate, now: dt.datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _certificates(encoded: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text in base64, none where it cannot be read."""
    try:
        return x509.load_pem_x509_certificates(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error, x509.InvalidVersion):
        return []


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return []
    return names.value.get_values_for_type(x509.DNSName)
