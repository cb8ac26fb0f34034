"""One read of a file's range: hashed as it comes, under a lease, with storage asked ahead."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Final, Protocol

from validator.tree import leases

if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.tree.digests.ranges import Range

BUFFER_BYTES: Final = 1024 * 1024
"""One read. Measured: 64 KiB to 1 MiB are equally fast."""

AHEAD_BYTES: Final = 4 * 1024 * 1024
"""What the kernel is asked to fetch before it is read: a volume whose answers take long then has
many requests under way, and not the two or so of the kernel's own read-ahead."""

_ADVICE_BYTES: Final = 128 * 1024
"""As much as the kernel takes from one advice: the read-ahead of most volumes."""

WAIT_SECONDS: Final = 0.001
"""A buffer that takes longer did not come from memory."""

SMALL_BYTES: Final = 256 * 1024
"""Below this, opening a file costs as much as hashing it, and both hold the lock."""


_START_BYTES: Final = 64
"""Of a file, by which its kind is told."""


class Hasher(Protocol):
    """The common methods of hashlib's objects and blake3's."""

    def update(self, data: bytes, /) -> object:
        """Take in more bytes."""

    def digest(self) -> bytes:
        """Return the digest so far."""
        ...


def read(
    descriptor: int,
    part: Range,
    hasher: Callable[..., Hasher],
    progress: Callable[[int], None],
    *,
    leased: bool,
) -> tuple[bytes, bytes, bool] | None:
    """Hash an open file's range.

    Args:
        descriptor: The file.
        part: The range.
        hasher: Makes an object that takes in its bytes.
        progress: Called with the bytes of each read.
        leased: Whether leases on the file are given to this process.

    Returns:
        The digest; the file's first bytes, or none where the range begins elsewhere; and whether
        somebody has the file open for writing. None, if the file was too short.
    """
    if part.end - part.start < SMALL_BYTES:
        # Held during the read, which takes less than to ask twice. Progress waits, where the rate
        # is bounded: so it comes after the lease.
        lease = leases.take(descriptor) if leased else None
        content = _content(descriptor, part.start, part.end)
        is_written = lease is leases.REFUSED or (
            lease is leases.TAKEN and not leases.give_back(descriptor)
        )
        if content is None:
            return None
        progress(len(content))
        first = b"" if part.start else content[:_START_BYTES]
        return hasher(content).digest(), first, is_written
    is_written = leased and leases.is_written(descriptor)
    taker = hasher()
    start = _hash(descriptor, part, taker, progress)
    if start is None:
        return None
    # Asked twice: a writer who was there at the start may have closed the file, and one who opens
    # it later has to move its times.
    is_written = is_written or (leased and leases.is_written(descriptor))
    return taker.digest(), start, is_written


def _content(descriptor: int, start: int, end: int) -> bytes | None:
    """Return the bytes of a small range: by one read, where a file system gives what it is asked.

    It is None, if the file was too short.
    """
    content = os.pread(descriptor, end - start, start)
    while len(content) < end - start:
        more = os.pread(descriptor, end - start - len(content), start + len(content))
        if not more:
            return None
        content += more
    return content


def _hash(
    descriptor: int, part: Range, hasher: Hasher, progress: Callable[[int], None]
) -> bytes | None:
    """Hash an open file's range; return its first bytes, or None if the file was too short."""
    position = part.start
    asked = 0  # once a read had to wait: the end of what the kernel was asked to fetch
    start = b""
    while position < part.end:
        began = time.perf_counter()
        content = os.pread(descriptor, min(BUFFER_BYTES, part.end - position), position)
        if not content:
            return None
        if position == 0:
            start = content[:_START_BYTES]
        position += len(content)
        if asked or time.perf_counter() - began > WAIT_SECONDS:
            end = min(position + AHEAD_BYTES, part.end)
            asked = _ask_ahead(descriptor, max(asked, position), end)
        hasher.update(content)
        progress(len(content))
    return start


def _ask_ahead(descriptor: int, start: int, end: int) -> int:
    """Ask the kernel to fetch a part of a file; return where the next one begins."""
    while start < end:
        with contextlib.suppress(OSError):  # it is no more than advice
            os.posix_fadvise(descriptor, start, _ADVICE_BYTES, os.POSIX_FADV_WILLNEED)
        start += _ADVICE_BYTES
    return start
