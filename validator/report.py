"""The verdict as a value, as text, as JSON, and as a termination message.

Step 10 of the verification. Text keeps the words that people of `model_signing`
already search for: "Verification succeeded", "Verification failed".
"""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from validator.contract import TERMINATION_MESSAGE_LIMIT
from validator.text import printable, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from validator.signatures import ProvenSigner


class Verdict(enum.StrEnum):
    """The outcome of a verification."""

    VERIFIED = "verified"
    REFUSED = "refused"
    UNDECIDED = "undecided"


ROOT_PIN: Final = "sha256:"
"""Before the root digest: a pin of contents in their order, without names."""

STATEMENT_PIN: Final = "statement:sha256:"
"""Before the SHA-256 of the signed payload: a pin of names and ignored paths, too."""

_SEVERITY: Final = (Verdict.VERIFIED, Verdict.UNDECIDED, Verdict.REFUSED)


class Report(NamedTuple):
    """The result of one verification, for people and programs.

    Attributes:
        verdict: The outcome.
        model: The model's path, as it was given.
        code: The stable name of the refusal's kind (docs/codes.md), where it was not verified.
        reason: One sentence, where it was not verified.
        mismatches: One sentence for each file that is not the signed one.
        signer: The proven signer; None where none could be established.
        digest: The signed root digest, hexadecimal SHA-256.
        statement_digest: SHA-256 of the signed statement, hexadecimal.
        files: Files covered by the signature.
        bytes: Their size.
        hash: The hash function's name.
        ignored: Paths that exist and are not covered.
        unsigned: Number of files beside the signed ones that were let pass.
        written: Number of files that somebody on this node has open for writing; a note says which.
        is_unsettled: Whether no more was seen than that files did not hold still.
        notes: Remarks for a reviewer, one sentence each.
        advice: How signing differently would speed the verification up, in a sentence.
        seconds: Wall-clock time of the verification.
    """

    verdict: Verdict
    model: str
    code: str | None = None
    reason: str | None = None
    mismatches: tuple[str, ...] = ()
    signer: ProvenSigner | None = None
    digest: str | None = None
    statement_digest: str | None = None
    files: int = 0
    bytes: int = 0
    hash: str | None = None
    ignored: tuple[str, ...] = ()
    unsigned: int = 0
    written: int = 0
    is_unsettled: bool = False
    notes: tuple[str, ...] = ()
    advice: str | None = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values; unknown ones are left out."""
        document = {
            "verdict": str(self.verdict),
            "model": self.model,
            "code": self.code,
            "reason": self.reason,
            "mismatches": list(self.mismatches),
            "signer": self.signer and _signer(self.signer),
            "digest": self.digest and f"{ROOT_PIN}{self.digest}",
            "statementDigest": self.statement_digest and f"{STATEMENT_PIN}{self.statement_digest}",
            "files": self.files,
            "bytes": self.bytes,
            "hash": self.hash,
            "ignored": list(self.ignored),
            "unsigned": self.unsigned,
            "notes": list(self.notes),
            "advice": self.advice,
            "seconds": round(self.seconds, 3),
        }
        return {key: value for key, value in document.items() if value or key == "verdict"}

    def as_text(self) -> str:
        """Return it as lines for a person, without a final newline."""
        if self.verdict is not Verdict.VERIFIED:
            lines = [f"Verification failed: {self.reason}"]
            lines += [f"  {mismatch}" for mismatch in self.mismatches]
        else:
            speed = size(round(self.bytes / max(self.seconds, 1e-6)))
            lines = [f"Verification succeeded: {self.model}"]
            files = "1 file" if self.files == 1 else f"{self.files:,} files"
            lines.append(f"  {files}, {size(self.bytes)}, {self.hash}")
            lines.append(f"  verified in {self.seconds:.2f} s ({speed}/s)")
        if self.signer:
            lines.append(f"  signer: {self.signer.identity} ({self.signer.method})")
            lines += [f"  {name}: {value}" for name, value in _facts(self.signer)]
        if self.digest:
            lines.append(f"  digest: {ROOT_PIN}{self.digest}")
        if self.statement_digest:
            lines.append(f"  statement digest: {STATEMENT_PIN}{self.statement_digest}")
        if self.ignored:
            lines.append(f"  not covered: {', '.join(self.ignored)}")
        if self.unsigned:
            lines.append(f"  unsigned files let pass: {self.unsigned:,}")
        lines += [f"  note: {note}" for note in self.notes]
        if self.advice:
            lines.append(f"  advice: {self.advice}")
        # Names from the model and the signature are in there, too.
        return "\n".join(printable(line) for line in lines)


def _signer(signer: ProvenSigner) -> dict[str, Any]:
    """Return the signer as JSON-ready values; unknown ones are left out."""
    document = {
        "method": str(signer.method),
        "identity": signer.identity,
        "issuer": signer.issuer,
        "logId": signer.log_id,
        "logIndex": signer.log_index,
        "globalLogIndex": signer.global_log_index,
        "signedAt": signer.signed_at and signer.signed_at.isoformat(),
        "timeSource": signer.time_source,
        "trustedRoot": signer.trusted_root,
    }
    return {key: value for key, value in document.items() if value is not None}


def _facts(signer: ProvenSigner) -> list[tuple[str, str]]:
    """Return the proven facts about a signer as a person reads them."""
    at, index = signer.signed_at, signer.global_log_index
    overall = f" (over all of its trees: {index})" if index not in {None, signer.log_index} else ""
    by = f", by {signer.time_source}" if signer.time_source else ""
    facts = {
        "issuer": signer.issuer,
        "signed at": at and f"{at:%Y-%m-%d %H:%M} UTC{by}",
        "log index": signer.log_index is not None and f"{signer.log_index}{overall}",
        "log": signer.log_id,
        "trusted root": signer.trusted_root,
    }
    return [(name, value) for name, value in facts.items() if value]


def worst(reports: Iterable[Report]) -> Report:
    """Return the report that decides about all: the first refused one, else undecided one."""
    return max(reports, key=lambda report: _SEVERITY.index(report.verdict))


def summary(reports: Sequence[Report], *, context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verdict on all models as JSON-ready values.

    Verdict and reason come first, for a person who sees it as one line.

    Args:
        reports: One for each model.
        context: Further fields beside them, such as the policy's name.
    """
    decides = worst(reports).as_dict()
    shown = {key: decides[key] for key in ("verdict", "reason", "code") if key in decides}
    return shown | {**context, "models": [report.as_dict() for report in reports]}


def termination_message(reports: Sequence[Report], *, context: Mapping[str, Any]) -> bytes:
    """Return the summary as JSON that fits a container's termination message.

    Returns:
        At most `contract.TERMINATION_MESSAGE_LIMIT` bytes; the first thing to be
        shortened are the lists, then everything but verdict and reason.
    """
    for keep in (1000, 20, 5, 0):
        short = [
            report._replace(
                mismatches=report.mismatches[:keep],
                ignored=report.ignored[:keep],
                notes=report.notes[:keep],
                advice=report.advice if keep else None,
            )
            for report in reports
        ]
        message = _json(summary(short, context=context))
        if len(message) <= TERMINATION_MESSAGE_LIMIT:
            return message
    decides = worst(reports)
    return short_message(decides.verdict, decides.reason or "", code=decides.code)


def short_message(verdict: Verdict, reason: str, *, code: str | None = None) -> bytes:
    """Return verdict, reason and code as JSON that fits a container's termination message."""
    # A character takes twelve bytes at most: two escaped surrogates.
    room = TERMINATION_MESSAGE_LIMIT // 16
    said = {"verdict": str(verdict), "reason": reason[:room]}
    return _json(said | ({"code": code} if code else {}))


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
