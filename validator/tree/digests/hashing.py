"""Digests of many byte ranges, on all cores.

Step 9's second half. Large ranges go to one thread each (hashlib lets go of the
interpreter's lock while it works). Small files go through a single thread one
after the other, since two threads on many small files only fight for the lock,
unless storage keeps them waiting; where cores are left, forked processes take
from the same queue.

The order is another one each time, and cannot be foreseen: a writer who knew which file comes
next could show the signed one for just that moment.
"""

from __future__ import annotations

import os
import time
from array import array
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from validator.limits.cgroup import granted_cpus, granted_memory
from validator.tree.crew import Crew
from validator.tree.digests.batches import Own, Shared
from validator.tree.digests.ranges import Outcome, Ranges, Work, hash_batch, new_hasher
from validator.tree.digests.reads import BUFFER_BYTES, SMALL_BYTES
from validator.tree.workers import Workers, worth_starting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from threading import Event

    from validator.statement.signed_files import Hash
    from validator.tree.digests.batches import Batches
    from validator.tree.digests.ranges import Range
    from validator.tree.tree import Tree

SLOW_SECONDS: Final = 0.0005
"""A small file that takes longer waits for storage: then more threads pay, which else only fight
for the lock. From memory it takes 15 µs, from a local disk some 150."""

READERS: Final = 16
"""Threads for small files that storage keeps waiting."""


def shuffle(items: list[Any]) -> None:
    """Bring a list into an order that nobody can foresee."""
    numbers = array("Q", os.urandom(8 * len(items)))
    items[:] = [items[place] for place in sorted(range(len(items)), key=numbers.__getitem__)]


class _StoppedError(Exception):
    """Ends a thread whose result is not needed any more."""


_JOBS_LIMIT: Final = 64
"""Threads at most; no storage feeds more."""

_BUFFERS_SHARE: Final = 8
"""Part of the memory that buffers may take: an eighth."""


def default_jobs() -> int:
    """Return how many threads are worth starting: the cores that this container is granted.

    Each thread has two buffers for a moment: what it hashed, and what it reads next.
    """
    jobs = min(granted_cpus(), _JOBS_LIMIT)
    if (memory := granted_memory()) is not None:
        jobs = min(jobs, memory // _BUFFERS_SHARE // (2 * BUFFER_BYTES))
    return max(1, jobs)


FILES_EACH: Final = 2000
"""Small files that pay for a forked process: 30 ms of work, for 5 ms."""


def hash_ranges(  # noqa: PLR0913 — what is read, how, and by whom
    tree: Tree,
    ranges: Sequence[Range],
    *,
    hash_: Hash,
    jobs: int,
    progress: Callable[[int], None],
    forks: bool = False,
) -> list[Outcome]:
    """Hash every range, in an order that cannot be foreseen.

    Args:
        tree: Where the files are opened.
        ranges: What to hash.
        hash_: By which function.
        jobs: Threads and forked processes together.
        progress: Called with the bytes of each read, from any of the threads.
        forks: Whether small files may be hashed by forked processes, too.

    Returns:
        Outcomes in the order of `ranges`.

    Raises:
        Undecided: The hash is not available.
    """
    sizes = ranges.sizes if isinstance(ranges, Ranges) else [part.size for part in ranges]
    work = Work(tree, new_hasher(hash_), progress, os.geteuid())
    hashing = _Hashing(work, ranges, sizes, jobs)
    small, large = _planned(sizes, jobs=jobs)
    threads = min(jobs, len(large) + 1)
    files = sum(map(len, small)) if forks else 0
    count = worth_starting(files, each=FILES_EACH, cores=jobs - threads)
    with Workers() as workers:
        shared = Shared.among(count, small, hashing, workers) if count else None
        first: Batches = Own(small) if shared is None else shared
        hashing.run([first, *(Own([batch]) for batch in large)])
        if shared is not None:
            for message in workers.messages(wait=True):
                shared.hear(message)
            hashing.run([Own(shared.left())])
    return hashing.outcomes


class _Hashing:
    """Ranges that are being hashed.

    Attributes:
        outcomes: One for each range; one without a digest until it is hashed.
    """

    def __init__(
        self, work: Work, ranges: Sequence[Range], sizes: Sequence[int], jobs: int
    ) -> None:
        self._work = work
        self._ranges = ranges
        self._sizes = sizes
        self._jobs = jobs
        self.outcomes: list[Outcome] = [Outcome()] * len(ranges)

    def hash(self, batch: Sequence[int]) -> Iterable[tuple[int, Outcome]]:
        """Hash some ranges, without progress."""
        return hash_batch(self._work._replace(progress=_nowhere), self._ranges, batch)

    def add(self, outcomes: dict[int, Outcome]) -> None:
        """Take note of ranges that another process has hashed."""
        for index, outcome in outcomes.items():
            self.outcomes[index] = outcome
        self._work.progress(self._bytes(outcomes))

    def _bytes(self, batch: Iterable[int]) -> int:
        return sum(self._sizes[index] for index in batch)

    def run(self, tasks: Iterable[Batches]) -> None:
        """Work tasks off, each by one thread, or by more where its storage is slow."""
        left = deque(tasks)
        with Crew() as crew:
            work = self._work._replace(progress=_until(crew.stop, self._work.progress))
            if len(left) > 1:
                for _ in range(min(self._jobs, len(left))):
                    crew.start(partial(self._work_off, crew, work, left))
            # One task is done here: the kernel takes longer where there are threads. So are all,
            # where there can be none.
            if not len(crew):
                self._work_off(crew, work, left)

    def _work_off(self, crew: Crew, work: Work, tasks: deque[Batches]) -> None:
        try:
            while True:
                self._hash_all(crew, work, tasks.popleft(), helps=False)
        except IndexError:
            pass

    def _hash_all(self, crew: Crew, work: Work, batches: Batches, *, helps: bool) -> None:
        inner = work._replace(progress=_nowhere) if batches.is_told_whole else work
        while (batch := batches.take()) is not None:
            began = time.perf_counter()
            for index, outcome in hash_batch(inner, self._ranges, batch):
                self.outcomes[index] = outcome
            if batches.is_told_whole:
                work.progress(self._bytes(batch))
            waits = time.perf_counter() - began > SLOW_SECONDS * len(batch)
            if helps and not waits:
                return
            if waits and len(batches) > 1 and self._jobs > 1:
                help_ = partial(self._hash_all, crew, work, batches, helps=True)
                crew.start(help_, most=self._jobs + READERS)
            if not helps:
                batches.pause()


def _nowhere(_: int) -> None:
    """Progress that nobody sees."""


_BATCH: Final = 64
"""Small files that are read in a row; neighbours in the signed order, so mostly of one folder."""


def _planned(sizes: Sequence[int], *, jobs: int) -> tuple[list[Sequence[int]], list[Sequence[int]]]:
    """Return batches of indices that are read in a row by one thread, and such that need not be.

    Both are in a random order, and each large range is a batch.
    """
    few = [index for index, size in enumerate(sizes) if size < SMALL_BYTES]
    small: list[Sequence[int]] = []
    for start in range(0, len(few), _BATCH):
        batch = few[start : start + _BATCH]
        shuffle(batch)
        small.append(array("L", batch))
    large: list[Sequence[int]] = [
        (index,) for index, size in enumerate(sizes) if size >= SMALL_BYTES
    ]
    if jobs == 1:
        small += large
        shuffle(small)
        return small, []
    shuffle(small)
    shuffle(large)
    # The longest first, so that no thread is left alone with one at the end; among ranges of about
    # one length, which most models have, the order is random all the same.
    large.sort(key=lambda batch: sizes[batch[0]].bit_length(), reverse=True)
    return small, large


def _until(stop: Event, progress: Callable[[int], None]) -> Callable[[int], None]:
    def advance(count: int) -> None:
        if stop.is_set():
            raise _StoppedError
        progress(count)

    return advance
