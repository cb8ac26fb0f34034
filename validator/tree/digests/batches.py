"""Batches of small files: those that one process takes, and those that forked ones take, too."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from validator.tree.digests.ranges import AS_SIGNED, Outcome
from validator.tree.tree import Identity
from validator.tree.workers import nonsense

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from validator.tree.workers import Queue, Workers


class Hashing(Protocol):
    """Whoever hashes batches, and keeps what came of them."""

    def hash(self, batch: Sequence[int]) -> Iterable[tuple[int, Outcome]]:
        """Hash some ranges, without progress."""
        ...

    def add(self, outcomes: dict[int, Outcome]) -> None:
        """Take note of ranges that another process has hashed."""


class Batches(Protocol):
    """Batches of ranges, of which each is taken once."""

    def take(self) -> Sequence[int] | None:
        """Return the indices of one batch; None, if there is none left."""
        ...

    def __len__(self) -> int:
        """Return how many are left."""
        ...

    @property
    def is_told_whole(self) -> bool:
        """Whether progress is told by batches, and not by files."""
        ...

    def pause(self) -> None:
        """Do what is to be done between two batches."""


class Own:
    """Batches that only threads of this process take."""

    is_told_whole = False

    def __init__(self, batches: Iterable[Sequence[int]]) -> None:
        self._left = deque(batches)

    def take(self) -> Sequence[int] | None:
        """Return the next one."""
        try:
            return self._left.popleft()
        except IndexError:
            return None

    def __len__(self) -> int:
        """Return how many are left."""
        return len(self._left)

    def pause(self) -> None:
        """Do nothing."""


class Shared:
    """Batches that forked processes take, too; and what has come of theirs."""

    is_told_whole = True

    def __init__(
        self, batches: list[Sequence[int]], hashing: Hashing, queue: Queue, workers: Workers
    ) -> None:
        self._batches = batches
        self._hashing = hashing
        self._queue = queue
        self._workers = workers
        self._done = bytearray(len(batches))

    @classmethod
    def among(
        cls, count: int, batches: list[Sequence[int]], hashing: Hashing, workers: Workers
    ) -> Shared | None:
        """Fork processes that take batches; None, where that is not possible."""
        try:
            queue = workers.queue(len(batches))
        except OSError:
            return None
        shared = cls(batches, hashing, queue, workers)
        for _ in range(count):
            if not workers.start(shared.work_off):
                break
        return shared

    def take(self) -> Sequence[int] | None:
        """Return the next one that no other process has taken."""
        if (number := self._queue.take()) is None:
            return None
        self._done[number] = True
        return self._batches[number]

    def __len__(self) -> int:
        """Return how many are left."""
        return len(self._queue)

    def work_off(self, send: Callable[[bytes], None]) -> None:
        """Hash batches in another process, and send for each what its parent cannot foresee."""
        while (number := self._queue.take()) is not None:
            found = self._hashing.hash(self._batches[number])
            odd = [(index, _plain(each)) for index, each in found if each is not AS_SIGNED]
            send(json.dumps((number, odd)).encode())

    def pause(self) -> None:
        """Take note of what has come from the others."""
        for message in self._workers.messages():
            self.hear(message)

    def hear(self, message: bytes) -> None:
        """Take note of a batch that another process has hashed.

        Raises:
            Undecided: It is no such message.
        """
        try:
            number, odd = json.loads(message)
            batch = self._batches[number]
            found = {index: _outcome(fields) for index, fields in odd}
            outcomes = {index: found.pop(index, AS_SIGNED) for index in batch}
        except (ValueError, TypeError, LookupError) as error:
            raise nonsense() from error
        if found or self._done[number]:  # it is taken once
            raise nonsense()
        self._done[number] = True
        self._hashing.add(outcomes)

    def left(self) -> list[Sequence[int]]:
        """Return the batches of which nothing was heard: whoever took them has ended early."""
        return [batch for batch, done in zip(self._batches, self._done, strict=True) if not done]


def _plain(outcome: Outcome) -> list[Any]:
    """Return an outcome as JSON has it."""
    digest, state, *others = outcome
    return [digest and digest.hex(), state, *others]


def _outcome(fields: list[Any]) -> Outcome:
    digest, state, *others = fields
    return Outcome(digest and bytes.fromhex(digest), state and Identity._make(state), *others)
