"""Verify a model again and again, for as long as it is served.

A cheap look at the tree tells, every few seconds, whether something may have
changed: what `stat` says of each file, links and signature included. It polls,
since network file systems tell nobody what others write. A change, the interval,
and an undecided verdict lead to a whole verification; only that decides.

`stat` does not tell all: who has a file mapped for writing may change it unseen.
That is found when the files are read, so the moment of that is random, and comes
soon while somebody has a file open for writing.

This detects and does not prevent: what was read in between is read.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from validator.monitor.sight import after_verification, differences
from validator.report import Verdict, worst
from validator.text import printable, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from validator.monitor.sight import Sight, Watched
    from validator.report import Report

POLL_SECONDS: Final = 5.0
"""Between two looks, at most. A client of NFS may show an old state for up to a minute all the
same."""

SHORTEST_SECONDS: Final = 1.0
"""Between the end of a verification and the beginning of the next, at least."""

POLL_REST: Final = 10
"""Factor from the time of a look to the pause after it, so that looking costs next to nothing."""

POLL_LIMIT_SECONDS: Final = 60.0
"""Between two looks, however long they take."""

RETRY_SECONDS: Final = 60.0
"""Until an undecided verdict is tried again, since storage comes back without a change to be seen;
and at most until files are read again that somebody has open for writing."""

CHANGES_LIMIT: Final = 10
"""Names of changed files that a finding repeats."""


class Cause(enum.StrEnum):
    """Why a model is verified."""

    START = "start"
    CHANGE = "change"
    INTERVAL = "interval"
    RETRY = "retry"
    WRITER = "writer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A verdict on all models.

    Attributes:
        cause: Why they were verified.
        changed: What a look has seen to be different, in words for a person.
        reports: One for each model.
    """

    cause: Cause
    changed: tuple[str, ...]
    reports: tuple[Report, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        return worst(self.reports).verdict

    @property
    def is_unsettled(self) -> bool:
        """Whether it is bad for nothing but files that did not hold still."""
        bad = [report for report in self.reports if report.verdict is Verdict.REFUSED]
        return bool(bad) and all(report.is_unsettled for report in bad)

    @property
    def is_written(self) -> bool:
        """Whether somebody has one of the files open for writing."""
        return any(report.written for report in self.reports)

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        if self.verdict is Verdict.VERIFIED:
            parts = (
                f"{report.model}, {report.files:,} files, {size(report.bytes)}, "
                f"in {report.seconds:.1f} s"
                for report in self.reports
            )
            return printable(f"Verification succeeded: {'; '.join(parts)}")
        reasons = (report.reason for report in self.reports if report.reason)
        return printable(f"Verification failed: {'; '.join(reasons)}")

    def as_text(self) -> str:
        """Return it as one line for a person: the verdict, and what it was caused by."""
        shown = list(self.changed[:CHANGES_LIMIT])
        if more := len(self.changed) - len(shown):
            shown.append(f"{more:,} more")
        what = f"{self.cause}: {', '.join(shown)}" if shown else str(self.cause)
        notes = [note for report in self.reports if report.written for note in report.notes]
        return "; ".join((f"{self.sentence} ({printable(what)})", *map(printable, notes)))

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {
            "verdict": str(self.verdict),
            "cause": str(self.cause),
            "changed": list(self.changed[:CHANGES_LIMIT]),
            "models": [report.as_dict() for report in self.reports],
        }


class Verify(Protocol):
    """Verifies all models, and returns a report for each."""

    def __call__(self, *, beside: bool) -> tuple[Report, ...]:
        """Verify.

        Args:
            beside: Whether the workload runs meanwhile, and has a right to disk and cores.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """Looks, verifies and waits, in turns.

    Attributes:
        models: What it watches.
        look: Returns what can be seen of them without reading them.
        verify: Verifies them.
        clock: Seconds, steadily growing.
        sleep: Waits for some seconds.
        chance: Returns a number between 0 and 1 that nobody can foresee.
        interval: Seconds from the beginning of one verification to that of the next, at most.
        running: Whether the workload runs before any verdict; else it waits for a good one.
    """

    models: Sequence[Watched]
    look: Callable[[], Sight]
    verify: Verify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    chance: Callable[[], float]
    interval: float
    running: bool = False

    def findings(self) -> Iterator[Finding]:
        """Verify for ever; yield each verdict that counts."""
        cause, changed, running = Cause.START, tuple[str, ...](), self.running
        seen = self.look()
        while True:
            began = self.clock()
            finding = self._verified(cause, changed, beside=running)
            if finding.is_unsettled:
                # It did not hold still, so this may be no more than a touch. The next one counts
                # in any case: who keeps touching it must not be waited for.
                finding = self._verified(cause, changed, beside=running)
            yield finding
            running = running or finding.verdict is Verdict.VERIFIED
            cause, due = self._next(finding, began)
            seen, changed = self._wait(after_verification(self.models, seen), due)
            cause = Cause.CHANGE if changed else cause

    def _verified(self, cause: Cause, changed: tuple[str, ...], *, beside: bool) -> Finding:
        return Finding(cause=cause, changed=changed, reports=self.verify(beside=beside))

    def _next(self, finding: Finding, began: float) -> tuple[Cause, float]:
        """Return when the next verification is due, if nothing changes, and why."""
        # Any moment of the interval is as likely as another: who shows other bytes for half of
        # the time is found by every second verification.
        due = [(began + self.interval * self.chance(), Cause.INTERVAL)]
        if finding.verdict is Verdict.UNDECIDED:
            due.append((self.clock() + RETRY_SECONDS, Cause.RETRY))
        if finding.is_written:
            due.append((self.clock() + RETRY_SECONDS * self.chance(), Cause.WRITER))
        when, cause = min(due)
        return cause, when

    def _wait(self, seen: Sight, due: float) -> tuple[Sight, tuple[str, ...]]:
        """Look until something is different, or it is time.

        Returns:
            The last look, and what differs in it.
        """
        rest = 0.0
        while True:
            # Who swaps two folders after a look, and back before the next, must not know when.
            pause = max(rest, POLL_SECONDS * (1 + self.chance()) / 2)
            # A pause also where a verification takes longer than the interval.
            self.sleep(max(SHORTEST_SECONDS, min(pause, due - self.clock())))
            began = self.clock()
            sight = self.look()
            changed = differences(self.models, seen, sight)
            if changed or self.clock() >= due:
                return sight, changed
            rest = min(POLL_REST * (self.clock() - began), POLL_LIMIT_SECONDS)
