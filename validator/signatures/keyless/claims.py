"""A keyless bundle's claims about log, index and times, before they are verified."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cryptography.x509 import ExtensionNotFound, PrecertificateSignedCertificateTimestamps
from pydantic import ValidationError
from sigstore import models

from validator.errors import SignatureError
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from cryptography.x509 import Certificate, Name

    from validator.bundle import Bundle

KINDS: Final = (("dsse", "0.0.1"), ("hashedrekord", "0.0.2"))
"""Entries over a DSSE envelope: Rekor v1's and v2's (rekor-v2-spec, 6.1.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """A keyless bundle in sigstore-python's form, with the facts that a trusted root judges.

    Attributes:
        parsed: The bundle.
        log_id: The transparency log's id.
        log_index: The entry's index over all of the log's trees (Rekor v1), outside of the proof.
        tree_index: Its index in the tree, in the inclusion proof.
        promised_at: The log's time, where its promise (SET) covers time and index.
        stamped_at: Times of the RFC 3161 timestamps over the signature.
        stamp_signers: Issuer and serial number of each certificate that signed one.
        ct_log_id: Id of the CT log that the certificate was published in.
        certified_at: That log's time.
    """

    parsed: models.Bundle
    log_id: bytes
    log_index: int
    tree_index: int
    promised_at: datetime | None
    stamped_at: tuple[datetime, ...]
    stamp_signers: frozenset[tuple[Name, int]]
    ct_log_id: bytes | None
    certified_at: datetime | None

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Decode a bundle.

        Raises:
            SignatureError: It is not a complete keyless bundle, or of a kind that is not
                supported.
        """
        _check_entry(bundle.log_entries)
        try:
            parsed = models.Bundle.from_json(bundle.raw)
            stamped = parsed.verification_material.timestamp_verification_data
            stamps = tuple(stamped.rfc3161_timestamps) if stamped else ()
            entry = parsed.log_entry._inner  # noqa: SLF001 — not public otherwise
            promised = entry.inclusion_promise and entry.integrated_time
            # Parsed lazily, so malformed parts are found here.
            leaf = parsed.signing_certificate
            _ = leaf.subject, leaf.issuer, leaf.not_valid_before_utc, leaf.not_valid_after_utc
            ct_log_id, certified_at = _certificate_timestamp(leaf)
            return cls(
                parsed=parsed,
                log_id=entry.log_id.key_id,
                log_index=entry.log_index,
                tree_index=entry.inclusion_proof.log_index,
                promised_at=datetime.fromtimestamp(promised, tz=UTC) if promised else None,
                stamped_at=tuple(stamp.tst_info.gen_time for stamp in stamps),
                stamp_signers=frozenset(
                    (info.issuer, info.serial_number)
                    for stamp in stamps
                    for info in stamp.signed_data.signer_infos
                ),
                ct_log_id=ct_log_id,
                certified_at=certified_at,
            )
        except MemoryError:
            raise
        # A hostile certificate or timestamp makes parsers raise errors of any class.
        except Exception as error:
            raise SignatureError(
                f"the keyless signature is not a complete bundle: {_incomplete(error)}"
            ) from error

    @property
    def times(self) -> tuple[datetime, ...]:
        """The claimed times of the signature: the log's promise, and each timestamp."""
        promised = (self.promised_at,) if self.promised_at else ()
        return (*promised, *self.stamped_at)

    @property
    def logged_at(self) -> tuple[datetime, ...]:
        """The claimed times of the log's entry: the log's own where it promised one."""
        return (self.promised_at,) if self.promised_at else self.times


def _check_entry(entries: tuple[Mapping[str, Any], ...]) -> None:
    """Demand one log entry, of a supported kind, that names its log."""
    if len(entries) != 1:
        raise SignatureError(
            f"the keyless signature carries {len(entries)} entries of a transparency log, and "
            "exactly one is expected"
        )
    kind = entries[0].get("kindVersion")
    named = (kind.get("kind"), kind.get("version")) if isinstance(kind, dict) else ()
    if named not in KINDS:
        texts = [part for part in named if isinstance(part, str)]
        shown = (
            quoted("/".join(texts)) if len(texts) == len(("kind", "version")) else "a nameless one"
        )
        raise SignatureError(
            "the transparency log's entry is of a kind that is not supported, "
            f"{shown}: sign again, so that it is one of "
            f"{', '.join('/'.join(known) for known in KINDS)}"
        )
    log = entries[0].get("logId")
    try:
        key_id = base64.b64decode(log["keyId"], validate=True)  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        key_id = b""
    if not key_id:
        raise SignatureError(
            "the transparency log's entry does not name its log: logId.keyId is not base64"
        )


def _certificate_timestamp(certificate: Certificate) -> tuple[bytes | None, datetime | None]:
    """Return the CT log's id and time in the certificate's SCT, if it has exactly one."""
    try:
        extension = certificate.extensions.get_extension_for_class(
            PrecertificateSignedCertificateTimestamps
        )
    except ExtensionNotFound:
        return None, None
    stamps = list(extension.value)
    if len(stamps) != 1:  # sigstore-python refuses none and several
        return None, None
    return stamps[0].log_id, stamps[0].timestamp.replace(tzinfo=UTC)


_FLAWS: Final = {"missing": "missing", "extra_forbidden": "unknown to Sigstore's bundles"}
"""Types of pydantic's errors, for a sentence."""


def _incomplete(error: Exception) -> str:
    """Return the field that is missing or malformed, if the error names one."""
    cause = error.__context__
    if isinstance(cause, ValidationError):
        first = cause.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        flaw = _FLAWS.get(first["type"], "malformed")
        return f"{quoted(place) if place else 'its content'} is {flaw}"
    known = {
        "checkpoint": "the log's checkpoint is missing",
        "promise or signed timestamp": "it has neither a log's promise nor a timestamp, so "
        "nothing proves its time",
        "inclusion promise": "the log's promise is missing",
        "certificate": "its certificate is missing or cannot be read",
        "out of range": "its time lies beyond all calendars",
        "Timestamp": "its timestamp cannot be read",
    }
    text = str(error)
    return next((said for part, said in known.items() if part in text), "it cannot be read")
