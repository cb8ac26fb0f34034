"""The parts of a model's files that are hashed, made one by one: 300,000 take no memory at once."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, overload

from validator.tree.hashing import Range, Ranges

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
        self.bytes = 0
        for number, state in listed.states():
            # Without this, bytes appended after the last shard would go unnoticed.
            if signed.size(number) not in {None, state.size}:
                self.misfits.append(number)
                continue
            self.bytes += state.size
            for place in range(signed.count(number)):
                start, end = signed.span(number, place, size=state.size)
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
        number = self._numbers[index]
        entry = self._listed.entry(number)
        if entry is None:
            raise AssertionError
        part = self._signed.part(number, self._places[index], size=entry.identity.size)
        return Range(entry, part.start, part.end, part.digest)
