"""A certificate's own words: names, dates, key, fingerprint, and a workflow's claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import UnrecognizedExtension

from validator.signatures.certificate_names import names, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import Certificate

_FULCIO: Final = "1.3.6.1.4.1.57264.1."
"""The arc of Fulcio's extensions (fulcio, page oid-info)."""

_RAW: Final = {2: "trigger", 3: "sha", 4: "name", 5: "repository", 6: "ref"}
"""GitHub's claims by the numbers below the arc; the value is the text itself."""

_DER: Final = {
    9: "buildSignerUri",
    10: "buildSignerDigest",
    11: "runnerEnvironment",
    12: "sourceRepositoryUri",
    13: "sourceRepositoryDigest",
    14: "sourceRepositoryRef",
    18: "buildConfigUri",
    19: "buildConfigDigest",
    20: "buildTrigger",
    21: "runInvocationUri",
    22: "sourceRepositoryVisibility",
}
"""Claims of any CI system by the numbers below the arc; the value is a DER UTF8String."""


def described(certificate: Certificate) -> dict[str, Any]:
    """Return a certificate's names, dates, key and fingerprint as JSON-ready values."""
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "names": list(names(certificate)),
        "notBefore": certificate.not_valid_before_utc.isoformat(),
        "notAfter": certificate.not_valid_after_utc.isoformat(),
        "key": _key(certificate),
        "fingerprint": f"sha256:{certificate.fingerprint(SHA256()).hex()}",
    }


def shown(certificates: Sequence[dict[str, Any]]) -> list[str]:
    """Return described certificates as a person reads them, one line each."""
    return [
        f"{one['subject'] or ', '.join(one['names'])} ({one['notBefore'][:10]} to "
        f"{one['notAfter'][:10]}), by {one['issuer']}, {one['key']}, {one['fingerprint']}"
        for one in certificates
    ]


def _key(certificate: Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "a key that is not supported"
    match key:
        case ec.EllipticCurvePublicKey():
            return f"ECDSA {key.curve.name}"
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size}"
    return type(key).__name__.removeprefix("_").removesuffix("PublicKey")


def workflow(certificate: Certificate) -> dict[str, str]:
    """Return what Fulcio wrote into the certificate about the workflow that signed."""
    found = {}
    for extension in certificate.extensions:
        arc, _, number = extension.oid.dotted_string.rpartition(".")
        if f"{arc}." != _FULCIO or not isinstance(extension.value, UnrecognizedExtension):
            continue
        value = extension.value.value
        if name := _RAW.get(int(number)):
            found[name] = value.decode(errors="replace")
        elif name := _DER.get(int(number)):
            text = text_of(value)
            found[name] = value.hex() if text is None else text
    return found
