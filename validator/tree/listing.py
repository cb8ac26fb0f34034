"""A model's files as a walk has found them, in 40 bytes for each signed one.

As tuples of Python's numbers, the states of 300,000 files take 60 MiB, and a verification needs
two listings at once.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from validator.statement.signed_files import SINGLE_FILE
from validator.text import quoted, unreadable
from validator.tree.tools import leftovers
from validator.tree.tree import Entry, Identity

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterator, Sequence

    from validator.statement.signed_files import SignedFiles

_STATE: Final = struct.Struct("=QQqqq")
"""An `Identity`."""

_ABSENT: Final = (0, 0, 0, 0, 0)
"""No file has it: there is no device of number 0 that holds an inode of number 0."""

_SIZES: Final = struct.Struct("=QQq16x")
"""Device, inode and size of an `Identity`."""

_BLOCK_BYTES: Final = 64 * 1024
"""States that are merged at once."""

_CHANGES: Final = struct.Struct("=32xq")
"""Its ctime."""

_ENCODING: Final = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
"""As `os.fsencode`, which takes longer to find them out than to encode a name."""

Place = tuple[tuple[str, ...], str]
"""A file's folder, as components below the tree's base, and its name in there."""


class ListedFiles(Mapping[str, Entry]):
    """Regular files by name: states of signed ones by number, and others as they are.

    Args:
        root: Components of the model's root, below the tree's base.
        signed: The signed files, which have numbers; None where they are not known.
        others_limit: Files without a number that are kept; further ones are only counted.
    """

    def __init__(
        self, root: tuple[str, ...], signed: SignedFiles | None, *, others_limit: int | None
    ) -> None:
        self.signed = signed
        self._numbers = signed.numbers if signed is not None else {}
        self._root = root
        self._states = bytearray(_STATE.size * len(signed or ()))
        self._places: dict[int, Place] = {}  # of files that a link leads to
        self._folder: tuple[str, tuple[str, ...]] = ("", root)  # the last one asked for
        self._others: dict[str, Entry] = {}
        self._limit = others_limit
        self.like = partial(ListedFiles, root, signed, others_limit=others_limit)
        self._beyond = 0
        self._beyond_states = 0  # a sum, in which each counts

    def add(self, name: str, state: Identity, *, place: Place | None = None) -> None:
        """Take a file in.

        Args:
            name: Its path below the model.
            state: What it is.
            place: Where it lies, if a link may be on the way.
        """
        number = self._numbers.get(name.encode(*_ENCODING))
        if number is not None:
            _STATE.pack_into(self._states, number * _STATE.size, *state)
            if place is not None and place != self._natural(name):
                self._places[number] = place
        elif self._limit is None or len(self._others) < self._limit:
            self._others[name] = Entry(name, *(place or self._natural(name)), state)
        else:
            self._beyond += 1
            self._beyond_states ^= hash((name, state))

    def add_here(self, name: str, status: os.stat_result) -> None:
        """Take a file in to whose place no link leads: what nearly all files of a model are."""
        number = self._numbers.get(name.encode(*_ENCODING))
        if number is None:
            self.add(name, Identity.of(status))
        else:
            _STATE.pack_into(
                self._states,
                number * _STATE.size,
                status.st_dev,
                status.st_ino,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
            )

    def _natural(self, name: str) -> Place:
        """Return where a file of a name lies, if no link is on the way."""
        above, _, item = name.rpartition("/")
        known, folder = self._folder  # read at once: several threads ask
        if above != known:
            folder = (*self._root, *above.split("/")) if above else self._root
            self._folder = above, folder
        return folder, item

    @property
    def others(self) -> Collection[str]:
        """The names of files without a number, as far as they are kept."""
        return self._others.keys()

    @property
    def others_count(self) -> int:
        """The number of files without a number."""
        return len(self._others) + self._beyond

    @property
    def beyond(self) -> int:
        """The number of those of which the names are not kept."""
        return self._beyond

    def state(self, number: int) -> Identity | None:
        """Return a signed file's state; None where there is no such file."""
        state = _STATE.unpack_from(self._states, number * _STATE.size)
        return None if state == _ABSENT else Identity._make(state)

    def states(self) -> Iterator[tuple[int, Identity]]:
        """Yield the number and state of each signed file that is there."""
        for number, state in enumerate(_STATE.iter_unpack(self._states)):
            if state != _ABSENT:
                yield number, Identity._make(state)

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Yield the number and size of each signed file that is there."""
        for number, (device, inode, size) in enumerate(_SIZES.iter_unpack(self._states)):
            if device or inode:
                yield number, size

    def missing(self) -> Iterator[int]:
        """Yield the number of each signed file that is not there."""
        for number, (device, inode, _) in enumerate(_SIZES.iter_unpack(self._states)):
            if not device and not inode:
                yield number

    def changes(self) -> Iterator[int]:
        """Yield the ctime of each signed file in nanoseconds; 0 where it is not there."""
        for (time_ns,) in _CHANGES.iter_unpack(self._states):
            yield time_ns

    def several(self, numbers: Sequence[int]) -> Iterator[Entry]:
        """Yield signed files that are there, quicker than one by one."""
        signed, states, places = self.signed, self._states, self._places
        if signed is None:
            raise AssertionError
        names, unpack, width = signed.names, _STATE.unpack_from, _STATE.size
        for number in numbers:
            name = names[number].decode()
            folder, item = (places and places.get(number)) or self._natural(name)
            yield Entry(name, folder, item, Identity._make(unpack(states, number * width)))

    def _packed(self, number: int) -> bytes:
        return bytes(self._states[number * _STATE.size : (number + 1) * _STATE.size])

    def entry(self, number: int) -> Entry | None:
        """Return a signed file; None where there is no such file."""
        if self.signed is None or (state := self.state(number)) is None:
            return None
        name = self.signed.name(number)
        folder, item = self._places.get(number) or self._natural(name)
        return Entry(name, folder, item, state)

    def __getitem__(self, name: str) -> Entry:
        """Return a file by its name."""
        number = None if self.signed is None else self.signed.number(name)
        found = self._others.get(name) if number is None else self.entry(number)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all files."""
        if self.signed:
            yield from (self.signed.name(number) for number, _ in self.states())
        yield from self._others

    def __len__(self) -> int:
        """Return the number of files whose names are kept."""
        return sum(1 for _ in self)

    @property
    def packed(self) -> bytes:
        """All states of signed files in one piece, for `merge`."""
        return bytes(self._states)

    @property
    def is_packed(self) -> bool:
        """Whether `packed` is all that is known here."""
        return not self._others and not self._places and not self._beyond

    def merge(self, packed: bytes) -> None:
        """Take in the states of files that are in another listing, and not in this one.

        Raises:
            ValueError: They are not of the same files.
        """
        if len(packed) != len(self._states):
            raise ValueError(len(packed))
        for start in range(0, len(packed), _BLOCK_BYTES):
            block = slice(start, start + _BLOCK_BYTES)
            # What is in none of the two is zero.
            one, other = (int.from_bytes(each[block]) for each in (self._states, packed))
            self._states[block] = (one | other).to_bytes(len(packed[block]))

    def states_equal(self, other: ListedFiles) -> bool:
        """Tell at a glance whether all signed files are in the same states, at the same places."""
        return (
            self.signed is other.signed
            and self._states == other._states
            and self._places == other._places
        )

    def differing(self, other: ListedFiles) -> Iterator[tuple[str, Entry | None, Entry | None]]:
        """Yield each file whose state or place differs in another listing, and both entries."""
        if not self.states_equal(other):
            for number in range(len(self.signed or ())):
                if (
                    self._packed(number) != other._packed(number)
                    or self._places.get(number) != other._places.get(number)
                ) and self.signed:
                    yield self.signed.name(number), self.entry(number), other.entry(number)
        for name in self._others.keys() | other._others.keys():
            one, another = self._others.get(name), other._others.get(name)
            if one != another:
                yield name, one, another

    def differs_beyond(self, other: ListedFiles) -> bool:
        """Tell whether files whose names are not kept differ in another listing."""
        return (self._beyond, self._beyond_states) != (other._beyond, other._beyond_states)


class Listing:
    """The outcome of a walk.

    Attributes:
        files: Regular files by name.
        sentences_limit: Sentences of each kind that are kept; further ones are only counted.
        problems: One sentence for each thing that no model may contain.
        unreadable: One sentence for each thing that could not be looked at.
        beyond: The number of sentences that are not kept.
        closed: The names of what is unreadable; whether anything lies below them is unknown.
        ignored: Paths that exist and were left out.
    """

    def __init__(self, files: ListedFiles, sentences_limit: int) -> None:
        self.files = files
        self.sentences_limit = sentences_limit
        self.problems: list[str] = []
        self.unreadable: list[str] = []
        self.beyond = 0
        self.closed: set[str] = set()
        self.ignored: list[str] = []

    def like(self) -> Listing:
        """Return an empty one of the same files."""
        return Listing(self.files.like(), self.sentences_limit)

    @property
    def is_plain(self) -> bool:
        """Whether there are signed files at their places in it, and nothing else."""
        odd = (self.problems, self.unreadable, self.closed, self.ignored)
        return self.files.is_packed and not self.beyond and not any(odd)

    @property
    def depends_on_order(self) -> bool:
        """Whether a walk in another order would have kept other names or sentences."""
        return self.beyond > 0 or (self.files.beyond > 0 and len(self.files.others) > 0)

    def note(self, problem: str) -> None:
        """Take note of something that no model may contain."""
        if len(self.problems) < self.sentences_limit:
            self.problems.append(problem)
        else:
            self.beyond += 1

    def close(self, name: str, error: OSError) -> None:
        """Note that something cannot be looked at."""
        if len(self.unreadable) < self.sentences_limit:
            self.closed.add(name)
            self.unreadable.append(unreadable(quoted(name), error) + leftovers.explained(name))
        else:
            self.closed.add(SINGLE_FILE)  # of so many, each may be anywhere
            self.beyond += 1

    def is_closed(self, name: str) -> bool:
        """Tell whether `name` is in a directory that could not be read."""
        return SINGLE_FILE in self.closed or (bool(self.closed) and is_below(name, self.closed))


def is_below(name: str, folders: Collection[str]) -> bool:
    """Tell whether a name is one of some paths, or lies below one."""
    parts = name.split("/")
    return any("/".join(parts[:count]) in folders for count in range(1, len(parts) + 1))
