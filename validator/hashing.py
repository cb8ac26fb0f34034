"""Digests of many byte ranges, on all cores: the seam behind which hashing lies.

Step 8's second half. Large ranges go to one thread each (hashlib lets go of the
interpreter's lock while it works); small files go through a single thread one
after the other, since two threads on many small files only fight for the lock.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from validator.errors import Undecided, quoted
from validator.statement import Hash
from validator.walking import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from validator.walking import Entry, Tree

BUFFER_BYTES: Final = 1024 * 1024
"""One read. Measured: 128 KiB to 1 MiB are equally fast, smaller ones cost calls."""

SMALL_BYTES: Final = 256 * 1024
"""Below this, opening a file costs as much as hashing it, and both hold the lock."""


def changed(name: str) -> str:
    """Say that a file did not hold still."""
    return f"{quoted(name)} was changed while the model was verified"


class Hasher(Protocol):
    """What hashlib's objects and blake3's have in common."""

    def update(self, data: memoryview, /) -> object:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """Return the digest so far, hexadecimal."""
        ...


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of a file to be hashed: `start` included, `end` not."""

    entry: Entry
    start: int
    end: int

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a range: a digest, or the reason why there is none.

    Attributes:
        digest: Hexadecimal.
        changed: The file was not, or did not stay, what the walk had listed.
        unreadable: Why it could not be read.
    """

    digest: str | None = None
    changed: str | None = None
    unreadable: str | None = None


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
            "the model was signed with BLAKE3, which this installation lacks: install "
            "model-validation[blake3]"
        ) from error
    return blake3


def default_jobs() -> int:
    """Return how many threads are worth starting: the cores that this process may use."""
    return max(1, len(os.sched_getaffinity(0)))


def hash_ranges(
    tree: Tree,
    ranges: Sequence[Range],
    *,
    hash_: Hash,
    jobs: int,
    progress: Callable[[int], None],
) -> list[Outcome]:
    """Hash every range; outcomes come in the order of `ranges`.

    Args:
        tree: Where the files are opened.
        ranges: What to hash.
        hash_: By which function.
        jobs: Threads.
        progress: Called with the bytes of each read, from any of the threads.

    Raises:
        Undecided: The hash is not available.
    """
    factory = new_hasher(hash_)
    outcomes: list[Outcome] = [Outcome()] * len(ranges)

    def work(indices: Iterable[int]) -> None:
        buffer = memoryview(bytearray(BUFFER_BYTES))
        for index in indices:
            outcomes[index] = _hash_range(tree, ranges[index], factory(), buffer, progress)

    small = [n for n, part in enumerate(ranges) if part.size < SMALL_BYTES]
    large = [n for n, part in enumerate(ranges) if part.size >= SMALL_BYTES]
    large.sort(key=lambda n: ranges[n].size, reverse=True)
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="hashing") as pool:
        # The longest first, so that no thread is left alone with it at the end.
        pending = [pool.submit(work, small), *(pool.submit(work, [index]) for index in large)]
        try:
            for future in pending:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return outcomes


def _hash_range(
    tree: Tree,
    part: Range,
    hasher: Hasher,
    buffer: memoryview,
    progress: Callable[[int], None],
) -> Outcome:
    name = quoted(part.entry.name)
    try:
        descriptor = tree.open_file(part.entry)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV}:
            return Outcome(changed=changed(part.entry.name))
        return Outcome(unreadable=f"{name} cannot be read: {error.strerror}")
    try:
        return _hash_open(descriptor, part, hasher, buffer, progress)
    except OSError as error:
        return Outcome(unreadable=f"{name} cannot be read: {error.strerror}")
    finally:
        os.close(descriptor)


def _hash_open(
    descriptor: int,
    part: Range,
    hasher: Hasher,
    buffer: memoryview,
    progress: Callable[[int], None],
) -> Outcome:
    moved = Outcome(changed=changed(part.entry.name))
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or Identity.of(status) != part.entry.identity:
        return moved
    position = part.start
    while position < part.end:
        wanted = min(BUFFER_BYTES, part.end - position)
        count = os.preadv(descriptor, [buffer[:wanted]], position)
        if not count:
            return moved
        hasher.update(buffer[:count])
        position += count
        progress(count)
    if Identity.of(os.fstat(descriptor)) != part.entry.identity:
        return moved
    return Outcome(digest=hasher.hexdigest())
