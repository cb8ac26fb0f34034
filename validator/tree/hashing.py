"""Digests of many byte ranges, on all cores.

Step 9's second half. Large ranges go to one thread each (hashlib lets go of the
interpreter's lock while it works); small files go through a single thread one
after the other, since two threads on many small files only fight for the lock.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from validator.errors import Undecided
from validator.signed_files import Hash
from validator.text import quoted, unreadable
from validator.tree.tree import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from validator.tree.tree import Entry, Tree

BUFFER_BYTES: Final = 1024 * 1024
"""One read. Measured: 64 KiB to 1 MiB are equally fast."""

SMALL_BYTES: Final = 256 * 1024
"""Below this, opening a file costs as much as hashing it, and both hold the lock."""


_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV})
"""Errors that a listed file gives when it is no longer what was listed."""


def changed(name: str) -> str:
    """Say that a file did not hold still."""
    return f"{quoted(name)} was changed while the model was verified"


class _StoppedError(Exception):
    """Ends a thread whose result is not needed any more."""


class Hasher(Protocol):
    """The common methods of hashlib's objects and blake3's."""

    def update(self, data: bytes, /) -> object:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """Return the digest so far, hexadecimal."""
        ...


class Range(NamedTuple):
    """Bytes of a file to be hashed: `start` included, `end` not."""

    entry: Entry
    start: int
    end: int

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.end - self.start


class Outcome(NamedTuple):
    """The result for a range: a digest, or the reason why there is none.

    Attributes:
        digest: Hexadecimal.
        state: The file's, before and after the read; None if it was not the same.
        changed: The file was not, or did not stay, what the walk had listed.
        unreadable: Why it could not be read.
    """

    digest: str | None = None
    state: Identity | None = None
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
            "the model was signed with BLAKE3, which this installation lacks: run "
            "`pip install '.[blake3]'` in a checkout of this project, or use the validator's image"
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
    stop = threading.Event()
    advance = _until(stop, progress)

    def folder(index: int) -> tuple[str, ...]:
        return ranges[index].entry.folder

    def work(indices: Iterable[int]) -> None:
        for path, group in groupby(indices, folder):
            members = list(group)
            parts = [ranges[index] for index in members]
            found = _hash_folder(tree, path, parts, factory, advance)
            for index, outcome in zip(members, found, strict=True):
                outcomes[index] = outcome

    small = [n for n, part in enumerate(ranges) if part.size < SMALL_BYTES]
    large = [n for n, part in enumerate(ranges) if part.size >= SMALL_BYTES]
    small.sort(key=folder)
    large.sort(key=lambda n: ranges[n].size, reverse=True)
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="hashing") as pool:
        try:
            # The longest first, so that no thread is left alone with it at the end.
            pending = [pool.submit(work, small), *(pool.submit(work, [index]) for index in large)]
            for future in pending:
                future.result()
        except BaseException:
            stop.set()  # an interrupt must not wait for the end of a file of terabytes
            pool.shutdown(cancel_futures=True)
            raise
    return outcomes


def _until(stop: threading.Event, progress: Callable[[int], None]) -> Callable[[int], None]:
    def advance(count: int) -> None:
        if stop.is_set():
            raise _StoppedError
        progress(count)

    return advance


def _hash_folder(
    tree: Tree,
    path: tuple[str, ...],
    parts: Sequence[Range],
    factory: Callable[[], Hasher],
    progress: Callable[[int], None],
) -> list[Outcome]:
    """Hash ranges of one folder's files; finding the way down once saves time."""
    try:
        folder = tree.open_directory(path)
    except OSError as error:
        return [_failed(part, error) for part in parts]
    try:
        return [_hash_range(tree, folder, part, factory(), progress) for part in parts]
    finally:
        os.close(folder)


def _hash_range(
    tree: Tree, folder: int, part: Range, hasher: Hasher, progress: Callable[[int], None]
) -> Outcome:
    """Return the digest of a file's range, if it is the listed file and stays it."""
    try:
        descriptor = tree.open_file(part.entry, folder=folder)
        try:
            status = os.fstat(descriptor)
            before = Identity.of(status)
            if (
                not stat.S_ISREG(status.st_mode)
                or not before.is_like(part.entry.identity)
                or not _read(descriptor, part, hasher, progress)
            ):
                return Outcome(changed=changed(part.entry.name))
            after = Identity.of(os.fstat(descriptor))
            same = before == after
            if same and tree.forgets_inodes(after.device):
                # An open file keeps its number. Does its path still lead to it?
                here = os.stat(part.entry.item, dir_fd=folder, follow_symlinks=False)
                same = after == Identity.of(here)
        finally:
            os.close(descriptor)
    except OSError as error:
        return _failed(part, error)
    if not after.is_like(before):
        return Outcome(changed=changed(part.entry.name))
    return Outcome(hasher.hexdigest(), after if same else None)


def _failed(part: Range, error: OSError) -> Outcome:
    if error.errno in _GONE:
        return Outcome(changed=changed(part.entry.name))
    return Outcome(unreadable=unreadable(quoted(part.entry.name), error))


def _read(descriptor: int, part: Range, hasher: Hasher, progress: Callable[[int], None]) -> bool:
    """Hash an open file's range; tell whether the file was long enough."""
    position = part.start
    while position < part.end:
        content = os.pread(descriptor, min(BUFFER_BYTES, part.end - position), position)
        if not content:
            return False
        hasher.update(content)
        position += len(content)
        progress(len(content))
    return True
