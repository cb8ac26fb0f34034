"""The signed files of a model, by number: 300,000 of them in some 50 MiB.

Names are kept in UTF-8, and digests as bytes in one piece: as text, one character of an upper
plane would make each name four times as long.
"""

from __future__ import annotations

import enum
import os
from array import array
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

SINGLE_FILE: Final = "."
"""The one resource's name where the model is a file and not a directory."""


class Hash(enum.StrEnum):
    """The specification's hash functions, by the names that statements use."""

    SHA256 = "sha256"
    BLAKE2B = "blake2b"
    BLAKE3 = "blake3"


class Part(NamedTuple):
    """A part of a file that has a digest of its own: `start` included, `end` not."""

    start: int
    end: int
    digest: bytes


class SignedFiles:
    """Files by number, in the order in which their names were signed.

    Attributes:
        names: Each file's name in UTF-8.
        numbers: Each file's number, by its name.
        digests: Those of all parts, file after file.
        width: Bytes of a digest.
        firsts: The number of each file's first part, and of the part after the last one; None
            where each file is one part.
        ends: The end of each part; None where each file is one part.
    """

    def __init__(
        self,
        names: tuple[bytes, ...],
        numbers: dict[bytes, int],
        digests: bytes,
        *,
        width: int,
        parts: tuple[array[int], array[int]] | None = None,
    ) -> None:
        self.names = names
        self.numbers = numbers
        self.digests = digests
        self.width = width
        self.firsts: array[int] | None
        self.ends: array[int] | None
        self.firsts, self.ends = parts or (None, None)

    def __eq__(self, other: object) -> bool:
        """Tell whether the same files were signed, in the same order."""
        return isinstance(other, SignedFiles) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.names, self.digests))

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        """Tell whether a file of that name was signed."""
        return self.number(name) is not None

    def number(self, name: str) -> int | None:
        """Return the number of the file of a name, as the file system spells it."""
        return self.numbers.get(os.fsencode(name))

    def name(self, number: int) -> str:
        """Return a file's name."""
        return self.names[number].decode()

    def size(self, number: int) -> int | None:
        """Return a file's signed size; None where the statement does not say it."""
        if self.firsts is None or self.ends is None:
            return None
        return self.ends[self.firsts[number + 1] - 1]

    def count(self, number: int) -> int:
        """Return the number of a file's parts."""
        return self.firsts[number + 1] - self.firsts[number] if self.firsts else 1

    def part(self, number: int, place: int, *, size: int) -> Part:
        """Return a part of a file.

        Args:
            number: The file's.
            place: The part's among the file's.
            size: The file's size on the disk, where one digest is of the whole file.
        """
        part = number if self.firsts is None else self.firsts[number] + place
        digest = self.digests[part * self.width : (part + 1) * self.width]
        return Part(*self.span(number, place, size=size), digest)

    def span(self, number: int, place: int, *, size: int) -> tuple[int, int]:
        """Return the start and the end of a part of a file, as `part` does."""
        if self.firsts is None or self.ends is None:
            return 0, size
        part = self.firsts[number] + place
        return self.ends[part - 1] if place else 0, self.ends[part]

    def below(self, paths: Collection[str]) -> Iterator[str]:
        """Yield the names of files that are one of some paths, or lie below one, each once.

        Found in the sorted names: a signer may ignore 100,000 paths, of which each compared with
        300,000 names would take ten minutes.
        """
        names = sorted(self.names)
        spans = sorted(
            (bisect_left(names, start), bisect_left(names, end))
            for path in map(os.fsencode, paths)
            for start, end in ((path, path + b"\0"), (path + b"/", path + b"0"))  # 0 comes after /
        )
        done = 0
        for start, end in spans:
            yield from (name.decode() for name in names[max(start, done) : end])
            done = max(done, end)

    def has_below(self, folder: str) -> bool:
        """Tell whether any file was signed below a folder."""
        start = os.fsencode(f"{folder}/")
        return any(name.startswith(start) for name in self.names)

    def called(self, name: str) -> SignedFiles:
        """Return these files, of which there is one, with another name for it."""
        encoded = os.fsencode(name)
        parts = None if self.firsts is None or self.ends is None else (self.firsts, self.ends)
        return SignedFiles((encoded,), {encoded: 0}, self.digests, width=self.width, parts=parts)


class RepeatedError(Exception):
    """A name, or a shard of a file, stands twice; the text is the name."""


class GapError(Exception):
    """The shards of a file do not add up to one; the text is the name."""


def whole(names: list[bytes], digests: bytes, *, width: int) -> SignedFiles:
    """Return files of which each has one digest.

    Raises:
        RepeatedError: A name stands twice.
    """
    numbers = {name: number for number, name in enumerate(names)}
    if len(numbers) < len(names):
        twice = next(name for number, name in enumerate(names) if numbers[name] != number)
        raise RepeatedError(twice.decode())
    return SignedFiles(tuple(names), numbers, digests, width=width)


class Shards:
    """The shards of files, taken in one by one in any order."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._owners = array("L")
        self._starts = array("Q")
        self._ends = array("Q")

    def add(self, name: bytes, start: int, end: int) -> None:
        """Take in a shard of a file: `start` included, `end` not."""
        self._owners.append(self._numbers.setdefault(name, len(self._numbers)))
        self._starts.append(start)
        self._ends.append(end)

    def files(self, digests: bytes, *, width: int, shard_size: int) -> SignedFiles:
        """Return the files.

        Args:
            digests: The shards', in the order in which they were taken in.
            width: Bytes of a digest.
            shard_size: Bytes of each shard, but for a file's last one.

        Raises:
            RepeatedError: A shard stands twice.
            GapError: A file's shards leave bytes out, or are not of the size.
        """
        order = self._order()
        firsts = array("L", [0]) * (len(self._numbers) + 1)
        for owner in self._owners:
            firsts[owner + 1] += 1
        names = tuple(self._numbers)
        for number, name in enumerate(names):
            firsts[number + 1] += firsts[number]
            self._check(name, order[firsts[number] : firsts[number + 1]], shard_size)
        ends = array("Q", (self._ends[n] for n in order))
        if not isinstance(order, range):
            digests = b"".join(digests[n * width : (n + 1) * width] for n in order)
        return SignedFiles(names, self._numbers, digests, width=width, parts=(firsts, ends))

    def _order(self) -> Sequence[int]:
        """Return the shards' places, file after file and from start to end."""
        here = range(len(self._owners))
        owners, starts = self._owners, self._starts
        if all((owners[n], starts[n]) <= (owners[n + 1], starts[n + 1]) for n in here[:-1]):
            return here
        return sorted(here, key=lambda n: (owners[n], starts[n]))

    def _check(self, name: bytes, shards: Sequence[int], size: int) -> None:
        """Demand that a file's shards are whole: from its start to its end, without a gap."""
        spans = [(self._starts[n], self._ends[n]) for n in shards]
        if any(one[0] == other[0] for one, other in pairwise(spans)):
            raise RepeatedError(name.decode())
        whole = (
            spans[0][0] == 0
            and all(start == before for (_, before), (start, _) in pairwise(spans))
            and all(end - start == size for start, end in spans[:-1])
            and (0 < spans[-1][1] - spans[-1][0] <= size or spans == [(0, 0)])
        )
        if not whole:
            raise GapError(name.decode())
