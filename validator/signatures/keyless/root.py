"""A trusted root, reduced to the keys and authorities that were in use for one signature.

sigstore-python asks a root for its keys and compares no time but the timestamp
authority's; yet the end of `validFor` is how a root retires a key. Given the reduced root,
it can accept no other key: what is removed here cannot verify anything.
"""

from __future__ import annotations

import contextlib
import hashlib
from datetime import MAXYEAR, timedelta
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import InvalidVersion, load_der_x509_certificate
from sigstore import models
from sigstore_models.trustroot.v1 import TrustedRoot as LibraryRoot

from validator.errors import SignatureError, Undecided, UnknownToRootError
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate, Name
    from sigstore_models.common.v1 import TimeRange
    from sigstore_models.trustroot.v1 import CertificateAuthority, TransparencyLogInstance

    from validator.signatures.keyless.claims import Claims

UPDATE: Final = "update the validator, or name the right root"


def load(raw: bytes, *, described: str) -> LibraryRoot:
    """Parse a trusted root, and demand that each kind of service is in it.

    Args:
        raw: The trusted_root.json.
        described: Its digest, source and age, for sentences.

    Raises:
        Undecided: It cannot be used.
    """
    try:
        root = LibraryRoot.from_json(raw)
        for period in _periods(root):
            _check_zone(period)
        for authority in (*root.certificate_authorities, *root.timestamp_authorities):
            _subjects(authority)
        for log in (*root.tlogs, *root.ctlogs):
            with contextlib.suppress(UnsupportedAlgorithm):  # a kind of key of the future
                load_der_public_key(log.public_key.raw_bytes or b"")
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion) as error:
        raise Undecided(
            f"the trusted root {described} cannot be used: it is not a trusted root that this "
            "validator can read; fetch it again, or update the validator if the root is newer"
        ) from error
    services = {
        "certificate authority": root.certificate_authorities,
        "transparency log": root.tlogs,
        "certificate transparency log": root.ctlogs,
    }
    for service, found in services.items():
        if not found:
            raise Undecided(
                f"the trusted root {described} cannot be used: it names no {service}; fetch it "
                "again"
            )
    return root


def in_use(root: LibraryRoot, claims: Claims, *, described: str) -> models.TrustedRoot:
    """Return the root with only the keys and authorities that a bundle names and that were in use.

    The claims are not verified yet. That is safe: sigstore-python verifies each time that
    it relies on, and a false one can only remove keys.

    Raises:
        SignatureError: The root does not know a log or authority of the bundle, or it was
            not in use at the time.
    """
    leaf = claims.parsed.signing_certificate
    logs = _logs(
        root.tlogs, claims.log_id, claims.logged_at, described=described, what="transparency log"
    )
    ct_logs = root.ctlogs
    if claims.ct_log_id is not None and claims.certified_at is not None:
        ct_logs = _logs(
            root.ctlogs,
            claims.ct_log_id,
            (claims.certified_at,),
            described=described,
            what="certificate transparency log",
        )
    authorities = _authorities(root.certificate_authorities, leaf, claims, described=described)
    return models.TrustedRoot(
        root.model_copy(
            update={
                "media_type": models.TrustedRoot.TrustedRootType.TRUSTED_ROOT_0_1.value,
                "tlogs": logs,
                "ctlogs": ct_logs,
                "certificate_authorities": authorities,
                "timestamp_authorities": list(map(_closed, root.timestamp_authorities)),
            }
        )
    )


def _closed(authority: CertificateAuthority) -> CertificateAuthority:
    """Return an authority whose period holds its last moment, which sigstore-python leaves out."""
    end = authority.valid_for.end
    if end is None or end.year == MAXYEAR:
        return authority
    period = authority.valid_for.model_copy(update={"end": end + timedelta.resolution})
    return authority.model_copy(update={"valid_for": period})


def _periods(root: LibraryRoot) -> Iterator[TimeRange]:
    """Yield each period of a root."""
    for log in (*root.tlogs, *root.ctlogs):
        if log.public_key.valid_for is not None:
            yield log.public_key.valid_for
    for authority in (*root.certificate_authorities, *root.timestamp_authorities):
        yield authority.valid_for


def _check_zone(period: TimeRange) -> None:
    """Demand that times are of a zone (RFC 3339): others could be read in two ways.

    Raises:
        ValueError: One is not.
    """
    if period.start.tzinfo is None or (period.end and period.end.tzinfo is None):
        raise ValueError("a time without a zone")


def _logs(
    logs: Sequence[TransparencyLogInstance],
    log_id: bytes,
    times: Iterable[datetime],
    *,
    described: str,
    what: str,
) -> list[TransparencyLogInstance]:
    known = [log for log in logs if log_id in {log.log_id.key_id, _key_id(log)}]
    if not known:
        raise UnknownToRootError(
            f"the signature is recorded in a {what} that the trusted root {described} does not "
            f"know: {UPDATE}"
        )
    used = [log for log in known if _covers(log.public_key.valid_for, times)]
    if not used:
        raise _retired(f"{what} {quoted(known[0].base_url)}", known[0].public_key.valid_for, times)
    return used


def _key_id(log: TransparencyLogInstance) -> bytes:
    # Rekor v1 and CT logs are named by their key (RFC 6962, 3.2).
    return hashlib.sha256(log.public_key.raw_bytes or b"").digest()


def _authorities(
    authorities: Sequence[CertificateAuthority],
    leaf: Certificate,
    claims: Claims,
    *,
    described: str,
) -> list[CertificateAuthority]:
    known = [authority for authority in authorities if leaf.issuer in _subjects(authority)]
    issuer = quoted(leaf.issuer.rfc4514_string())
    if not known:
        raise UnknownToRootError(
            f"the signer's certificate was issued by {issuer}, an authority that the trusted "
            f"root {described} does not know: {UPDATE}"
        )
    used = [authority for authority in known if _covers(authority.valid_for, claims.times)]
    if not used:
        raise _retired(f"certificate authority {issuer}", known[0].valid_for, claims.times)
    return used


def _subjects(authority: CertificateAuthority) -> set[Name]:
    """Return the names in an authority's chain.

    Raises:
        ValueError: It has none, or one that cannot be read.
    """
    names = {
        load_der_x509_certificate(certificate.raw_bytes).subject
        for certificate in authority.cert_chain.certificates
    }
    if not names:
        raise ValueError("an authority without certificates")
    return names


def _covers(period: TimeRange | None, times: Iterable[datetime]) -> bool:
    """Tell whether a closed period holds all times; an absent one has no bounds."""
    if period is None:
        return True
    start, end = period.start, period.end
    return all(start <= time and (end is None or time <= end) for time in times)


def _retired(what: str, period: TimeRange | None, times: Iterable[datetime]) -> SignatureError:
    """Return the refusal of a key that was not in use at one of the times."""
    start = f"{period.start:%Y-%m-%d}" if period else "the beginning"
    end = f"to {period.end:%Y-%m-%d}" if period and period.end else "on"
    signed = ", ".join(dict.fromkeys(f"{time:%Y-%m-%d %H:%M} UTC" for time in times))
    return SignatureError(
        f"the {what} was in use from {start} {end} by the trusted root, and the signature is of "
        f"{signed}: sign again, or {UPDATE}"
    )
