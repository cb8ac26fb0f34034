"""A byte range of a listed file: its digest, or the reason why there is none."""

from __future__ import annotations

import abc
import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from validator.errors import Undecided
from validator.statement.signed_files import Hash
from validator.text import quoted, unreadable
from validator.tree import leases
from validator.tree.digests.reads import read
from validator.tree.tools import lfs
from validator.tree.tree import Identity, identity_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from validator.tree.digests.reads import Hasher
    from validator.tree.tree import Entry, Tree

_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV})
"""Errors that a listed file gives when it is no longer what was listed."""


def changed(name: str) -> str:
    """Say that a file did not hold still."""
    return f"{quoted(name)} was changed while the model was verified"


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

    def batch(self, indices: Sequence[int]) -> list[Range]:
        """Return some of them."""
        return [self[index] for index in indices]


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


def new_hasher(hash_: Hash) -> Callable[..., Hasher]:
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


class Work(NamedTuple):
    """The means by which all ranges are hashed.

    Attributes:
        tree: Where the files are opened.
        hasher: Makes hash objects.
        progress: Called with the bytes of each read.
        user: This process' user id.
    """

    tree: Tree
    hasher: Callable[..., Hasher]
    progress: Callable[[int], None]
    user: int


def hash_batch(
    work: Work, ranges: Sequence[Range], batch: Sequence[int]
) -> Iterator[tuple[int, Outcome]]:
    """Yield the index and the outcome of some ranges, folder by folder.

    Finding the way down to a folder once saves time.
    """
    folders: dict[tuple[str, ...], list[tuple[int, Range]]] = {}
    parts = ranges.batch(batch) if isinstance(ranges, Ranges) else [ranges[n] for n in batch]
    for index, part in zip(batch, parts, strict=True):
        folders.setdefault(part.entry.folder, []).append((index, part))
    for folder, inside in folders.items():
        try:
            descriptor = work.tree.open_directory(folder)
        except OSError as error:
            yield from ((index, _failed(part, error)) for index, part in inside)
            continue
        try:
            for index, part in inside:
                yield index, _hash_range(work, descriptor, part)
        finally:
            os.close(descriptor)


def _hash_range(work: Work, folder: int, part: Range) -> Outcome:
    """Return the digest of a file's range, if it is the listed file and stays it."""
    entry = part.entry
    listed = entry.identity  # one object for the same state, which is quickly compared
    try:
        descriptor = work.tree.open_file(entry, folder=folder)
        try:
            status = os.fstat(descriptor)
            before = listed if identity_fields(status) == listed else Identity.of(status)
            is_like = before is listed or before.is_like(listed)
            if not is_like or not stat.S_ISREG(status.st_mode):
                return Outcome(changed=changed(entry.name))
            leased = leases.are_given(owner=status.st_uid, user=work.user)
            found = read(descriptor, part, work.hasher, work.progress, leased=leased)
            if found is None:
                return Outcome(changed=changed(entry.name))
            status = os.fstat(descriptor)
            after = before if identity_fields(status) == before else Identity.of(status)
            same = after is before
            if same and work.tree.forgets_inodes(after.device):
                # An open file keeps its number. Does its path still lead to it?
                here = os.stat(entry.item, dir_fd=folder, follow_symlinks=False)
                same = after == Identity.of(here)
        finally:
            os.close(descriptor)
    except OSError as error:
        return _failed(part, error)
    digest, start, is_written = found
    is_pointer = lfs.is_pointer(start, size=after.size)
    if not same and not after.is_like(before):
        return Outcome(changed=changed(entry.name))
    if digest == part.digest:
        if same and after is listed and not is_pointer and not is_written:
            return AS_SIGNED
        digest = part.digest  # one for all reads of it
    return Outcome(digest, after if same else None, is_pointer=is_pointer, is_written=is_written)


def _failed(part: Range, error: OSError) -> Outcome:
    if error.errno in _GONE:
        return Outcome(changed=changed(part.entry.name))
    return Outcome(unreadable=unreadable(quoted(part.entry.name), error))
