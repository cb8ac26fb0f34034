"""A model's contents: digests that belong to the files as the last look at them found them.

Step 9's core. Two things move although nobody changes a file: FUSE file systems number their
inodes anew once the kernel has dropped them from its cache, and new owners or labels (a second
pod's `fsGroup`, SELinux) move ctime. So content decides: a file of which nothing else differs is
read again, until one state holds before, during and after a read.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from validator.text import quoted
from validator.tree.hashing import Outcome, changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from validator.tree.hashing import Range
    from validator.tree.tree import Entry, Tree
    from validator.tree.walk import Listing

READS: Final = 4
"""Times that a file is read at most; a relabelling of the volume moves each file's ctime once."""

_SECOND_NS: Final = 1_000_000_000
COARSE_NS: Final = 2 * _SECOND_NS
"""Age at which a ctime in whole seconds is sure to differ from that of a later change."""


class Contents(NamedTuple):
    """The outcome of reading a model.

    Attributes:
        outcomes: One for each range, in their order.
        changed: Sentences on files that were changed meanwhile, and on problems that are new.
        restless: Sentences on files that did not hold still.
    """

    outcomes: list[Outcome]
    changed: list[str]
    restless: list[str]


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
    time.sleep(seconds_until_told(listing.files.values(), now_ns=time.time_ns()))
    outcomes = digests(ranges)
    twice: set[int] = set()
    for _ in range(READS - 1):
        again = list_again()
        moved = _moved(listing, again)
        restless = [] if moved else _restless(tree, ranges, outcomes, again, twice)
        if not restless:
            return Contents(outcomes, moved, [])
        latest = [
            ranges[index]._replace(entry=again.files[ranges[index].entry.name])
            for index in restless
        ]
        for index, outcome in zip(restless, digests(latest), strict=True):
            outcomes[index] = _agreed(outcomes[index], outcome, ranges[index].entry.name)
        twice.update(restless)
    again = list_again()
    moved = _moved(listing, again)
    restless = [] if moved else _restless(tree, ranges, outcomes, again, twice)
    names = dict.fromkeys(ranges[index].entry.name for index in restless)
    return Contents(outcomes, moved, [_unsettled(name) for name in names])


def seconds_until_told(files: Iterable[Entry], *, now_ns: int) -> float:
    """Return how long to wait until a change of any file is sure to show in its ctime.

    File systems that keep whole seconds (ext4 with inodes of 128 bytes, NFS version 3 on such)
    give two changes within one second the same time.
    """
    coarse = (
        entry.identity.changed_ns
        for entry in files
        if entry.identity.changed_ns % _SECOND_NS == 0
        and now_ns - entry.identity.changed_ns < COARSE_NS
    )
    # A server's clock may be fast: its files are waited for no longer than others.
    latest = min(max(coarse, default=now_ns - COARSE_NS), now_ns)
    return (latest + COARSE_NS - now_ns) / _SECOND_NS


def _moved(before: Listing, after: Listing) -> list[str]:
    """Return sentences on what another listing shows to be changed, but for ctime and inode."""
    moved = []
    if before.files != after.files:
        for name in before.files.keys() | after.files.keys():
            one, other = before.files.get(name), after.files.get(name)
            if one is None or other is None or not one.is_like(other):
                moved.append(changed(name))
    return sorted(moved) + sorted(set(after.problems) - set(before.problems))


def _restless(
    tree: Tree,
    ranges: Sequence[Range],
    outcomes: Sequence[Outcome],
    listing: Listing,
    twice: set[int],
) -> list[int]:
    """Return the ranges that were read in another state than that of the last listing."""
    restless = []
    for index, (part, outcome) in enumerate(zip(ranges, outcomes, strict=True)):
        if outcome.digest is None:
            continue
        here = listing.files[part.entry.name].identity
        if outcome.state == here:
            continue
        # Where inode numbers do not last, they tell nothing: the file was read a second time,
        # and its path led to the file that was read until the end of it.
        lost = index in twice and outcome.state is not None and tree.forgets_inodes(here.device)
        if not lost:
            restless.append(index)
    return restless


def _agreed(first: Outcome, second: Outcome, name: str) -> Outcome:
    """Return a second read's outcome; a file that gave two contents was changed."""
    if second.digest is not None and second.digest != first.digest:
        return Outcome(changed=changed(name))
    return second


def _unsettled(name: str) -> str:
    return (
        f"{quoted(name)} does not hold still: its inode or its ctime was another one after each "
        f"of {READS} reads; find out who renames it or changes its owner, mode or label"
    )
