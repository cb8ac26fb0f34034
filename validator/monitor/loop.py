"""Verify a model again and again, for as long as it is served.

A cheap look at the tree tells, every few seconds, whether something may have
changed: what `stat` says of each file, links and signature included. It polls,
since network file systems tell nobody what others write. A change, the interval,
and an undecided verdict lead to a whole verification; only that decides.

This detects and does not prevent: what was read in between is read.
"""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from validator.errors import Refused, Undecided
from validator.report import Verdict, worst
from validator.text import printable, size
from validator.tree.mounts import devices_without_inodes
from validator.tree.tree import Identity, Tree
from validator.tree.walk import Scope, list_files
from validator.verification import GIT_PATHS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from validator.report import Report
    from validator.verification import Request

POLL_SECONDS: Final = 5.0
"""Between two looks. A client of NFS may show an old state for up to a minute all the same."""

POLL_REST: Final = 10
"""Factor from the time of a look to the pause after it, so that looking costs next to nothing."""

POLL_LIMIT_SECONDS: Final = 60.0
"""Between two looks, however long they take."""

RETRY_SECONDS: Final = 60.0
"""Until an undecided verdict is tried again: storage comes back without a change to be seen."""

CHANGES_LIMIT: Final = 10
"""Names of changed files that a finding repeats."""

Sight = dict[str, object]
"""The finding of a look: the state of each file, by its path, and what is odd by its sentence."""


class Cause(enum.StrEnum):
    """Why a model is verified."""

    START = "start"
    CHANGE = "change"
    INTERVAL = "interval"
    RETRY = "retry"


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
        return f"{self.sentence} ({printable(what)})"

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
        look: Returns what can be seen of the models without reading them.
        verify: Verifies them.
        clock: Seconds, steadily growing.
        sleep: Waits for some seconds.
        interval: Seconds from the beginning of one verification to that of the next.
        running: Whether the workload runs before any verdict; else it waits for a good one.
    """

    look: Callable[[], Sight]
    verify: Verify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    interval: float
    running: bool = False

    def findings(self) -> Iterator[Finding]:
        """Verify for ever; yield each verdict that counts."""
        cause, changed, running = Cause.START, tuple[str, ...](), self.running
        seen = self.look()
        while True:
            began = self.clock()
            finding = self._verified(cause, changed, beside=running)
            if finding.verdict is not Verdict.VERIFIED:
                again = self.look()
                if moved := differences(seen, again):
                    # It did not hold still, so this may be no more than a touch. The next one
                    # counts in any case: who keeps touching it must not be waited for.
                    seen, changed = again, tuple(dict.fromkeys((*changed, *moved)))
                    finding = self._verified(cause, changed, beside=running)
            yield finding
            running = running or finding.verdict is Verdict.VERIFIED
            cause, due = Cause.INTERVAL, began + self.interval
            retry = self.clock() + RETRY_SECONDS
            if finding.verdict is Verdict.UNDECIDED and retry < due:
                cause, due = Cause.RETRY, retry
            seen, changed = self._wait(seen, due)
            cause = Cause.CHANGE if changed else cause

    def _verified(self, cause: Cause, changed: tuple[str, ...], *, beside: bool) -> Finding:
        return Finding(cause=cause, changed=changed, reports=self.verify(beside=beside))

    def _wait(self, seen: Sight, due: float) -> tuple[Sight, tuple[str, ...]]:
        """Look until something is different, or it is time.

        Returns:
            The last look, and what differs in it.
        """
        pause = POLL_SECONDS
        while True:
            # At least that, also where a verification takes longer than the interval.
            self.sleep(max(POLL_SECONDS, min(pause, due - self.clock())))
            began = self.clock()
            sight = self.look()
            changed = differences(seen, sight)
            if changed or self.clock() >= due:
                return sight, changed
            pause = min(POLL_REST * (self.clock() - began), POLL_LIMIT_SECONDS)


def look(requests: Iterable[Request]) -> Sight:
    """Return what can be seen of some models without reading them.

    What the policy ignores is not looked at.
    """
    sight: Sight = {}
    forgetful = devices_without_inodes()
    for request in requests:
        sight |= _tree(request, forgetful)
        sight[str(request.signature)] = _state(request.signature, forgetful)
    return sight


def _tree(request: Request, forgetful: Collection[int]) -> Sight:
    git = GIT_PATHS if request.ignore_git_paths else ()
    try:
        with Tree.open(request.model) as tree:
            scope = Scope(ignored=frozenset((*request.ignore_paths, *git)), follow=True)
            listing = list_files(tree, scope, limits=request.limits)
    except (Refused, Undecided) as error:
        return {str(error): None}
    sight: Sight = {
        f"{request.model}/{name}": (entry.real, _lasting(entry.identity, forgetful))
        for name, entry in listing.files.items()
    }
    return sight | dict.fromkeys((*listing.problems, *listing.unreadable))


def _lasting(identity: Identity, forgetful: Collection[int]) -> Identity:
    """Return a file's state without its inode's number, where that changes by itself."""
    return identity._replace(inode=0) if identity.device in forgetful else identity


def _state(path: os.PathLike[str], forgetful: Collection[int]) -> object:
    try:
        return _lasting(Identity.of(os.stat(path)), forgetful)  # noqa: PTH116 — links followed
    except (OSError, ValueError) as error:
        return str(error)


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, ...]:
    """Return what two looks saw differently: paths, and sentences on what is odd."""
    if before == after:
        return ()
    nothing = object()
    names = before.keys() | after.keys()
    return tuple(
        sorted(name for name in names if before.get(name, nothing) != after.get(name, nothing))
    )
