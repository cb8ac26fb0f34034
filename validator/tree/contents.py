"""A model's contents: digests that belong to the files as the last look at them found them.

Step 9's core. Two things move although nobody changes a file: FUSE file systems number their
inodes anew once the kernel has dropped them from its cache, and new owners or labels (a second
pod's `fsGroup`, SELinux) move ctime. So content decides: a file of which nothing else differs is
read again, until one state holds before, during and after a read.
"""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple, overload

from validator.text import quoted
from validator.tree.digests.ranges import AS_SIGNED, Outcome, Range, Ranges, changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from validator.tree.listing import Listing
    from validator.tree.tree import Identity, Tree

READS: Final = 4
"""Times that a file is read at most; a relabelling of the volume moves each file's ctime once."""

_SECOND_NS: Final = 1_000_000_000
COARSE_NS: Final = 2 * _SECOND_NS
"""Age at which a ctime in whole seconds is sure to differ from that of a later change."""

TICK_NS: Final = 20_000_000
"""The same age for other ctimes: the kernel's clock for them ticks 100 times a second at least."""


class Contents(NamedTuple):
    """The outcome of reading a model.

    Attributes:
        outcomes: One for each range, in their order.
        changed: Sentences on files that were changed meanwhile, and on problems that are new.
        restless: Sentences on files that did not hold still.
        listing: The last listing.
    """

    outcomes: list[Outcome]
    changed: list[str]
    restless: list[str]
    listing: Listing


def read_contents(
    tree: Tree,
    ranges: Sequence[Range],
    *,
    listing: Listing,
    list_again: Callable[[], Listing],
    digests: Callable[[Sequence[Range]], list[Outcome]],
) -> Contents:
    """Hash ranges of listed files, until all files hold still.

    Args:
        tree: The open model.
        ranges: The parts of files to hash.
        listing: The files that the ranges are of.
        list_again: Lists the model once more.
        digests: Hashes some ranges.
    """
    if max(listing.files.changes(), default=0) > time.time_ns() - COARSE_NS:  # else all are old
        _wait_until_told(state for _, state in listing.files.states())
    outcomes = digests(ranges)
    for reads in range(READS):
        again = list_again()
        moved = _moved(listing, again)
        still = listing.files.states_equal(again.files)
        restless = array("L") if moved else _restless(tree, ranges, outcomes, again, still=still)
        if not restless or reads == READS - 1:
            break
        latest = _Again(ranges, restless, again)
        _wait_until_told(part.entry.identity for part in latest)  # they have moved just now
        for index, part, outcome in zip(restless, latest, digests(latest), strict=True):
            outcomes[index] = _agreed(outcomes[index], outcome, part)
    names = dict.fromkeys(ranges[index].entry.name for index in restless)
    return Contents(outcomes, moved, [_unsettled(name) for name in names], again)


class _Again(Ranges):
    """Some of the ranges, of files as a later listing found them."""

    def __init__(self, ranges: Sequence[Range], indices: array[int], listing: Listing) -> None:
        self._ranges = ranges
        self._indices = indices
        self._listing = listing

    @property
    def sizes(self) -> Sequence[int]:
        """The length of each in bytes."""
        return [self[place].size for place in range(len(self))]

    def __len__(self) -> int:
        """Return their number."""
        return len(self._indices)

    @overload
    def __getitem__(self, place: int) -> Range: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Range]: ...
    def __getitem__(self, place: int | slice) -> Range | Sequence[Range]:
        """Return one, or several."""
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        part = self._ranges[self._indices[place]]
        return part._replace(entry=self._listing.files[part.entry.name])


def _wait_until_told(states: Iterable[Identity]) -> None:
    """Wait until a change of any file is sure to show: only then is it read."""
    times = (state.changed_ns for state in states)
    time.sleep(seconds_until_told(times, now_ns=time.time_ns()))


def seconds_until_told(times: Iterable[int], *, now_ns: int) -> float:
    """Return how long to wait until a change of any file is sure to show in its ctime.

    File systems that keep whole seconds (ext4 with inodes of 128 bytes, NFS version 3 on such)
    give two changes within one second the same time; others, two within a tick of the kernel's
    clock.

    Args:
        times: The files' ctimes, in nanoseconds.
        now_ns: The time.
    """
    longest = 0
    for time_ns in times:
        needed = COARSE_NS if time_ns % _SECOND_NS == 0 else TICK_NS
        # A server's clock may be fast: its files are waited for no longer than others.
        longest = max(longest, needed - max(0, now_ns - time_ns))
    return longest / _SECOND_NS


def _moved(before: Listing, after: Listing) -> list[str]:
    """Return sentences on what another listing shows to be changed, but for ctime and inode."""
    moved = [
        changed(name)
        for name, one, other in before.files.differing(after.files)
        if one is None or other is None or not one.is_like(other)
    ]
    return sorted(moved) + sorted(set(after.problems) - set(before.problems))


def _restless(
    tree: Tree,
    ranges: Sequence[Range],
    outcomes: Sequence[Outcome],
    listing: Listing,
    *,
    still: bool,
) -> array[int]:
    """Return the ranges that were read in another state than that of the last listing.

    Args:
        tree: The open model.
        ranges: All.
        outcomes: Theirs.
        listing: The last one.
        still: Whether all files are in the states of the first listing.
    """
    restless = array("L")
    for index, outcome in enumerate(outcomes):
        if outcome.digest is None or (outcome is AS_SIGNED and still):
            continue
        part = ranges[index]
        state = part.entry.identity if outcome is AS_SIGNED else outcome.state
        here = listing.files[part.entry.name].identity
        # Where inode numbers do not last, they tell nothing: the file was read a second time,
        # and its path led to the file that was read until the end of it.
        lost = outcome.is_second and state is not None and tree.forgets_inodes(here.device)
        if state != here and not lost:
            restless.append(index)
    return restless


def _agreed(first: Outcome, second: Outcome, part: Range) -> Outcome:
    """Return a second read's outcome; a file that gave two contents was changed."""
    if second is AS_SIGNED:
        second = Outcome(part.digest, part.entry.identity)
    digest = part.digest if first is AS_SIGNED else first.digest
    if second.digest is not None and second.digest != digest:
        return Outcome(differed=f"{changed(part.entry.name)}: it was read twice, and differed")
    return second._replace(is_second=True)


def _unsettled(name: str) -> str:
    return (
        f"{quoted(name)} does not hold still: its inode or its ctime was another one after each "
        f"of {READS} reads; find out who renames it or changes its owner, mode or label"
    )
