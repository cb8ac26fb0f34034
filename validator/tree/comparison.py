"""Comparison of a model's files with the signed ones: the differences, each as a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from validator.errors import ModelError, Undecided
from validator.statement.signed_files import SINGLE_FILE
from validator.text import quoted
from validator.tree.digests.ranges import AS_SIGNED
from validator.tree.listing import is_below
from validator.tree.tools import leftovers, lfs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from validator.statement.signed_files import SignedFiles
    from validator.tree.digests.ranges import Outcome
    from validator.tree.digests.signed_ranges import SignedRanges
    from validator.tree.listing import Listing
    from validator.tree.tree import Tree

_POINTER: Final = ": it is a Git LFS pointer in place of the content; run `git lfs pull`"


def differing_names(
    tree: Tree, expected: SignedFiles, listing: Listing, *, ignore_unsigned: bool
) -> list[str]:
    """Return a sentence for each signed file that is missing, and each file that is not signed."""
    if (tree.single is not None) != (SINGLE_FILE in expected):
        if tree.single is None:
            return ["the model is a directory, and a single file was signed: name that file"]
        return ["the model is a single file, and a directory was signed: name the directory"]
    missing = sorted(
        f"{quoted(name)} is signed and missing"
        for number in listing.files.missing()
        if not listing.is_closed(name := expected.name(number))
    )
    if ignore_unsigned:
        return missing
    extra = sorted(listing.files.others)
    return missing + [f"{quoted(name)} is not signed{leftovers.explained(name)}" for name in extra]


def misfits(
    tree: Tree, ranges: SignedRanges, expected: SignedFiles, listing: Listing
) -> Iterator[str]:
    """Yield a sentence for each file whose size is not that of its signed shards."""
    for number in ranges.misfits:
        entry = listing.files.entry(number)
        if entry is not None:
            pointer = _POINTER if lfs.leads_to_pointer(tree, entry) else ""
            yield (
                f"{quoted(entry.name)} has {entry.identity.size:,} bytes, and "
                f"{expected.size(number):,} were signed{pointer}"
            )


class Found:
    """The sentences of all ranges' outcomes, each once, as a file may have many shards.

    Attributes:
        differing: Sentences on files that are not the signed ones.
        changed: Sentences on files that did not hold still.
        unreadable: Sentences on files that could not be read.
        pointers: Names of files that are Git LFS pointers.
        written: Names of files that somebody has open for writing.
    """

    def __init__(self) -> None:
        self.differing: dict[str, None] = {}
        self.changed: dict[str, None] = {}
        self.unreadable: dict[str, None] = {}
        self.pointers: dict[str, None] = {}
        self.written: dict[str, None] = {}

    def notes(self) -> Iterator[str]:
        """Yield remarks that are no differences, for the report."""
        yield from _pointer_notes(self.pointers)
        yield from _written_notes(self.written)


def compared(ranges: SignedRanges, outcomes: Sequence[Outcome]) -> Found:
    """Return what came of each range, compared with what was signed."""
    found = Found()
    for index, outcome in enumerate(outcomes):
        if outcome is AS_SIGNED:
            continue
        part = ranges[index]
        name = part.entry.name
        if outcome.is_pointer:
            found.pointers[name] = None
        if outcome.is_written:
            found.written[name] = None
        if outcome.unreadable:
            found.unreadable[outcome.unreadable] = None
        elif outcome.differed:
            found.differing[outcome.differed] = None
        elif outcome.changed:
            found.changed[outcome.changed] = None
        elif outcome.digest != part.digest:
            more = _POINTER if outcome.is_pointer else ""
            found.differing[f"{quoted(name)} is not the signed file: its content differs{more}"] = (
                None
            )
    return found


def _pointer_notes(pointers: Collection[str]) -> Iterator[str]:
    """The signer may have signed pointers by mistake."""
    if pointers:
        more = f" and {len(pointers) - 1:,} more signed files" if len(pointers) > 1 else ""
        are, they = (
            ("are Git LFS pointers", "they stand")
            if more
            else ("is a Git LFS pointer", "it stands")
        )
        yield f"{quoted(min(pointers))}{more} {are}: what {they} for was not signed"


def _written_notes(written: Collection[str]) -> Iterator[str]:
    """Who has a file open for writing may change it without moving its times."""
    if written:
        more = f" and {len(written) - 1:,} more" if len(written) > 1 else ""
        yield (
            f"{quoted(min(written))}{more} {'are' if more else 'is'} open for writing on this "
            "node: a shared mapping can change a file without moving its times; find out by whom "
            "(`fuser`), and end it"
        )


def not_covered(paths: Iterable[str], expected: SignedFiles, ignored: frozenset[str]) -> list[str]:
    """Return a sentence for each path that the workload opens and that is not signed.

    A directory is signed by the files in it. An ignored one is not: unsigned files may lie beside
    the signed ones there.
    """
    return [
        f"the workload opens {quoted(path)}, which the signature does not cover"
        for path in paths
        if path not in expected
        and path != SINGLE_FILE
        and (is_below(path, ignored) or not expected.has_below(path))
    ]


class Flaws(NamedTuple):
    """Sentences on why a model is not verified.

    Attributes:
        certain: What is not the signed model.
        unsettled: What did not hold still, which may be no more than a touch.
        unreadable: What could not be decided.
    """

    certain: list[str]
    unsettled: list[str]
    unreadable: list[str]

    def raise_for_worst(self, *, beyond: int, limit: int) -> None:
        """Raise the error for the worst that was found, if anything was.

        Args:
            beyond: Number of sentences that were only counted.
            limit: Number of sentences that the error has.

        Raises:
            ModelError: The model is not the signed one.
            Undecided: That could not be found out.
        """
        if mismatches := [*dict.fromkeys((*self.certain, *self.unsettled))]:
            raise ModelError(
                f"the model is not the signed one: {_first(mismatches, beyond)}",
                tuple([*mismatches, *self.unreadable][:limit]),
                is_unsettled=not self.certain,
            )
        if self.unreadable:
            raise Undecided(f"the model cannot be verified: {_first(self.unreadable, beyond)}")


def _first(sentences: Sequence[str], beyond: int) -> str:
    """Return the first sentence, and how many others there are besides."""
    count = len(sentences) - 1 + beyond
    return f"{sentences[0]} (and {count:,} more)" if count else sentences[0]
