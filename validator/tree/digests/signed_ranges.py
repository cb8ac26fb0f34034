"""The parts of a model's files that are hashed, made one by one: 300,000 take no memory at once."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, overload

from validator.tree.digests.ranges import Range, Ranges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validator.statement.signed_files import SignedFiles
    from validator.tree.listing import ListedFiles


class SignedRanges(Ranges):
    """A range for each signed digest of a file that is there and of the signed size.

    Attributes:
        misfits: Numbers of the files that are of another size than their signed shards together.
        sizes: The length of each range.
        bytes: That of all ranges.
    """

    def __init__(self, signed: SignedFiles, listed: ListedFiles) -> None:
        self._signed = signed
        self._listed = listed
        self._numbers = array("L")
        self._places = array("L")
        self._sizes = array("Q")
        self.misfits: list[int] = []
        if signed.ends is None:
            for number, size in listed.sizes():
                self._numbers.append(number)
                self._sizes.append(size)
        else:
            self._split(signed, listed)
        self.bytes = sum(self._sizes)

    def _split(self, signed: SignedFiles, listed: ListedFiles) -> None:
        """Take the shards of each file."""
        for number, size in listed.sizes():
            # Without this, bytes appended after the last shard would go unnoticed.
            if signed.size(number) != size:
                self.misfits.append(number)
                continue
            for place in range(signed.count(number)):
                start, end = signed.span(number, place, size=size)
                self._numbers.append(number)
                self._places.append(place)
                self._sizes.append(end - start)

    @property
    def sizes(self) -> Sequence[int]:
        """The length of each in bytes."""
        return self._sizes

    def __len__(self) -> int:
        """Return the number of ranges."""
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Range: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Range]: ...
    def __getitem__(self, index: int | slice) -> Range | Sequence[Range]:
        """Return a range, or several."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        (part,) = self.batch([index])
        return part

    def batch(self, indices: Sequence[int]) -> list[Range]:
        """Return some ranges, quicker than one by one."""
        signed = self._signed
        numbers = [self._numbers[index] for index in indices]
        entries = self._listed.several(numbers)
        if signed.ends is None:
            digests, width = signed.digests, signed.width
            return [
                Range(entry, 0, entry.identity.size, digests[number * width : (number + 1) * width])
                for number, entry in zip(numbers, entries, strict=True)
            ]
        places = [self._places[index] for index in indices]
        return [
            Range(entry, *signed.part(number, place, size=entry.identity.size))
            for number, place, entry in zip(numbers, places, entries, strict=True)
        ]
