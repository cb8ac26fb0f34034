"""Digests of many byte ranges, on all cores.

Step 9's second half. Large ranges go to one thread each (hashlib lets go of the
interpreter's lock while it works); small files go through a single thread one
after the other, since two threads on many small files only fight for the lock,
unless storage keeps them waiting.

The order is another one each time, and cannot be foreseen: a writer who knew which file comes
next could show the signed one for just that moment.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import hashlib
import os
import stat
import time
from array import array
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from validator.errors import Undecided
from validator.limits.cgroup import granted_cpus, granted_memory
from validator.statement.signed_files import Hash
from validator.text import quoted, unreadable
from validator.tree import leases
from validator.tree.crew import Crew
from validator.tree.reads import BUFFER_BYTES, SMALL_BYTES, read
from validator.tree.tools import lfs
from validator.tree.tree import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

    from validator.tree.reads import Hasher
    from validator.tree.tree import Entry, Tree

SLOW_SECONDS: Final = 0.0005
"""A small file that takes longer waits for storage: then more threads pay, which else only fight
for the lock. From memory it takes 15 µs, from a local disk some 150."""

READERS: Final = 16
"""Threads for small files that storage keeps waiting."""


def shuffle(items: list[Any]) -> None:
    """Bring a list into an order that nobody can foresee."""
    numbers = iter(array("Q", os.urandom(8 * len(items))))
    items.sort(key=lambda _: next(numbers))


_T = TypeVar("_T")
_Batches = deque[Sequence[int]]
"""The ranges that one thread reads in a row: batches of their indices."""

_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV})
"""Errors that a listed file gives when it is no longer what was listed."""


def changed(name: str) -> str:
    """Say that a file did not hold still."""
    return f"{quoted(name)} was changed while the model was verified"


class _StoppedError(Exception):
    """Ends a thread whose result is not needed any more."""


class Range(NamedTuple):
    """Bytes of a file to be hashed: `start` included, `end` not.

    Attributes:
        digest: The signed one.
    """

    entry: Entry
    start: int
    end: int
    digest: bytes = b""

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.end - self.start


class Ranges(Sequence[Range]):
    """Ranges that are made one by one, when they are asked for."""

    @property
    @abc.abstractmethod
    def sizes(self) -> Sequence[int]:
        """The length of each in bytes, without making it."""


class Outcome(NamedTuple):
    """The result for a range: a digest, or the reason why there is none.

    Attributes:
        digest: What was found.
        state: The file's, before and after the read; None if it was not the same.
        changed: The file was not, or did not stay, what the walk had listed.
        differed: It was read twice, and had two contents.
        unreadable: Why it could not be read.
        is_pointer: The file is a Git LFS pointer.
        is_written: Somebody on this machine has the file open for writing.
        is_second: The range was read before, when the file was in another state.
    """

    digest: bytes | None = None
    state: Identity | None = None
    changed: str | None = None
    differed: str | None = None
    unreadable: str | None = None
    is_pointer: bool = False
    is_written: bool = False
    is_second: bool = False


AS_SIGNED: Final = Outcome(digest=b"as signed")
"""The outcome of a range with the signed digest, of a file in its listed state: one for all."""


def new_hasher(hash_: Hash) -> Callable[[], Hasher]:
    """Return a factory of hash objects.

    Raises:
        Undecided: The hash needs a library that is not installed.
    """
    if hash_ is Hash.SHA256:
        return hashlib.sha256
    if hash_ is Hash.BLAKE2B:
        return hashlib.blake2b
    try:
        from blake3 import blake3  # noqa: PLC0415 — an extra
    except ImportError as error:
        raise Undecided(
            "the model was signed with BLAKE3, which this installation lacks: run "
            "`pip install '.[blake3]'` in a checkout of this project, or use the validator's image"
        ) from error
    return blake3


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


def hash_ranges(
    tree: Tree,
    ranges: Sequence[Range],
    *,
    hash_: Hash,
    jobs: int,
    progress: Callable[[int], None],
) -> list[Outcome]:
    """Hash every range, in an order that cannot be foreseen.

    Args:
        tree: Where the files are opened.
        ranges: What to hash.
        hash_: By which function.
        jobs: Threads.
        progress: Called with the bytes of each read, from any of the threads.

    Returns:
        Outcomes in the order of `ranges`.

    Raises:
        Undecided: The hash is not available.
    """
    outcomes: list[Outcome] = [Outcome()] * len(ranges)
    tasks = deque(_planned(ranges, jobs=jobs))
    factory = new_hasher(hash_)
    with Crew() as crew:
        work = _Work(tree, factory, _until(crew.stop, progress), os.geteuid())

        def hash_batches(batches: _Batches, *, helps: bool) -> None:
            for batch in _taken(batches):
                began = time.perf_counter()
                for index, outcome in _hash_batch(work, ranges, batch):
                    outcomes[index] = outcome
                waits = time.perf_counter() - began > SLOW_SECONDS * len(batch)
                if helps and not waits:
                    return
                if waits and len(batches) > 1 and jobs > 1:
                    crew.start(partial(hash_batches, batches, helps=True), most=jobs + READERS)

        def work_off() -> None:
            for task in _taken(tasks):
                hash_batches(task, helps=False)

        for _ in range(min(jobs, len(tasks))):
            crew.start(work_off)
    return outcomes


def _taken(queue: deque[_T]) -> Iterator[_T]:
    """Yield from a queue that other threads take from, too."""
    with contextlib.suppress(IndexError):
        while True:
            yield queue.popleft()


_BATCH: Final = 64
"""Small files that are read in a row; neighbours in the signed order, so mostly of one folder."""


def _planned(ranges: Sequence[Range], *, jobs: int) -> list[_Batches]:
    """Return what each task reads, in a random order."""
    sizes = ranges.sizes if isinstance(ranges, Ranges) else [part.size for part in ranges]
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
        return [deque(small)]
    shuffle(small)
    shuffle(large)
    # The longest first, so that no thread is left alone with one at the end; among ranges of about
    # one length, which most models have, the order is random all the same.
    large.sort(key=lambda batch: sizes[batch[0]].bit_length(), reverse=True)
    return [deque(small), *(deque([batch]) for batch in large)]


def _until(stop: Event, progress: Callable[[int], None]) -> Callable[[int], None]:
    def advance(count: int) -> None:
        if stop.is_set():
            raise _StoppedError
        progress(count)

    return advance


class _Work(NamedTuple):
    """The means by which all ranges are hashed.

    Attributes:
        tree: Where the files are opened.
        hasher: Makes hash objects.
        progress: Called with the bytes of each read.
        user: This process' user id.
    """

    tree: Tree
    hasher: Callable[[], Hasher]
    progress: Callable[[int], None]
    user: int


def _hash_batch(
    work: _Work, ranges: Sequence[Range], batch: Sequence[int]
) -> Iterator[tuple[int, Outcome]]:
    """Hash some ranges; finding the way down to a folder once saves time."""
    folders: dict[tuple[str, ...], list[tuple[int, Range]]] = {}
    for index in batch:
        part = ranges[index]
        folders.setdefault(part.entry.folder, []).append((index, part))
    for folder, parts in folders.items():
        try:
            descriptor = work.tree.open_directory(folder)
        except OSError as error:
            yield from ((index, _failed(part, error)) for index, part in parts)
            continue
        try:
            yield from ((index, _hash_range(work, descriptor, part)) for index, part in parts)
        finally:
            os.close(descriptor)


def _hash_range(work: _Work, folder: int, part: Range) -> Outcome:
    """Return the digest of a file's range, if it is the listed file and stays it."""
    entry = part.entry
    hasher = work.hasher()
    try:
        descriptor = work.tree.open_file(entry, folder=folder)
        try:
            status = os.fstat(descriptor)
            before = Identity.of(status)
            if not stat.S_ISREG(status.st_mode) or not before.is_like(entry.identity):
                return Outcome(changed=changed(entry.name))
            leased = leases.are_given(owner=status.st_uid, user=work.user)
            start, is_written = read(descriptor, part, hasher, work.progress, leased=leased)
            if start is None:
                return Outcome(changed=changed(entry.name))
            after = Identity.of(os.fstat(descriptor))
            same = before == after
            if same and work.tree.forgets_inodes(after.device):
                # An open file keeps its number. Does its path still lead to it?
                here = os.stat(entry.item, dir_fd=folder, follow_symlinks=False)
                same = after == Identity.of(here)
        finally:
            os.close(descriptor)
    except OSError as error:
        return _failed(part, error)
    if not after.is_like(before):
        return Outcome(changed=changed(entry.name))
    is_pointer = lfs.is_pointer(start, size=after.size)
    digest = hasher.digest()
    plain = same and after == entry.identity and not is_pointer and not is_written
    if digest == part.digest:
        if plain:
            return AS_SIGNED
        digest = part.digest  # one for all reads of it
    return Outcome(digest, after if same else None, is_pointer=is_pointer, is_written=is_written)


def _failed(part: Range, error: OSError) -> Outcome:
    if error.errno in _GONE:
        return Outcome(changed=changed(part.entry.name))
    return Outcome(unreadable=unreadable(quoted(part.entry.name), error))
