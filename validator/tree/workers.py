"""Forked processes that work beside this one, on what they take from one queue with it.

Threads make many small files no faster: they wait for each other, for the interpreter's lock. A
forked process has a lock of its own, and all of its parent's tables without reading them again.

A worker has nothing to decide and nothing to keep. It sends messages; what it has not sent is done
by its parent, so that a worker that is killed costs time and no verdict. It ends with its parent,
however that ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import struct
import sys
from array import array
from collections import deque
from fcntl import F_SETFL, F_SETOWN, F_SETSIG, fcntl, ioctl
from functools import partial
from termios import FIONREAD
from typing import TYPE_CHECKING, Final, Self

from validator.errors import Undecided
from validator.limits.cgroup import granted_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

_LENGTH: Final = struct.Struct("=L")
"""Comes before each message: its length in bytes."""

_NUMBER_BYTES: Final = 4
_READ_BYTES: Final = 64 * 1024

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)
"""Signals that end a worker at once, whatever its parent does when it gets one."""

_THREADS: Final = "/proc/self/task"


_MOST: Final = 8
"""Processes beside this one, at most."""

_PROCESS_BYTES: Final = 8 * 1024 * 1024
_FILE_BYTES: Final = 128
"""Memory of such a process, and more for each file of the model: pages that it writes to."""

_MEMORY_SHARE: Final = 4
"""Part of the memory that such processes may take: a quarter."""


def worth_starting(files: int, *, each: int, cores: int) -> int:
    """Return how many processes pay, and may be forked.

    Args:
        files: What there is to do.
        each: How many files pay for a process.
        cores: Those that would have nothing to do otherwise.
    """
    count = min(cores, files // each, _MOST)
    if count > 0 and (memory := granted_memory()) is not None:
        count = min(count, memory // _MEMORY_SHARE // (_PROCESS_BYTES + _FILE_BYTES * files))
    return count if count > 0 and _is_alone() else 0


def _is_alone() -> bool:
    """Tell whether this process has one thread: else another may hold a lock as it forks."""
    try:
        return len(os.listdir(_THREADS)) == 1
    except OSError:
        return False


def nonsense() -> Undecided:
    """Return the error for a message that no process of ours sends."""
    return Undecided(
        "a process that works beside this one has sent what makes no sense: verify again, with "
        "--jobs 1 if it happens again"
    )


class Queue:
    """Numbers from 0 on, of which each is taken once, by one of several processes or threads.

    They wait in a pipe, from which the kernel gives each to one reader. (Readers of one file, whose
    place they share, would get some twice.) What a pipe does not hold, the process that has made
    the queue takes, after all others.

    Raises:
        OSError: No pipe can be made here.
    """

    def __init__(self, length: int) -> None:
        self._owner = os.getpid()
        self._pipe, filling = os.pipe()
        os.set_blocking(filling, False)
        numbers = memoryview(array("I", range(length))).cast("B")
        start = 0
        try:
            # So many bytes are written together, or not at all.
            while start < len(numbers):
                start += os.write(filling, numbers[start : start + select.PIPE_BUF])
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            raise
        finally:
            os.close(filling)
        self._rest = deque(range(start // _NUMBER_BYTES, length))

    def take(self) -> int | None:
        """Return the next number; None, if there is none left."""
        if number := os.read(self._pipe, _NUMBER_BYTES):
            return int.from_bytes(number, sys.byteorder)
        try:
            return self._rest.popleft() if os.getpid() == self._owner else None
        except IndexError:
            return None

    def __len__(self) -> int:
        """Return how many are left."""
        waiting = ioctl(self._pipe, FIONREAD, bytes(4))
        return int.from_bytes(waiting, sys.byteorder) // _NUMBER_BYTES + len(self._rest)

    def close(self) -> None:
        """Let the pipe go."""
        os.close(self._pipe)


class _Worker:
    """One process, as its parent sees it.

    Attributes:
        process: Its id.
        messages: The end of a pipe on which its messages arrive.
        life: The end of a pipe that this process holds open for as long as the other may live.
    """

    def __init__(self, process: int, messages: int, life: int) -> None:
        self.process = process
        self.messages = messages
        self.life = life
        self._received = bytearray()

    def read(self, *, wait: bool) -> Iterator[bytes]:
        """Yield messages: those that have arrived, or all until its end."""
        os.set_blocking(self.messages, wait)
        # A message that was not sent to its end does not count.
        with contextlib.suppress(BlockingIOError):
            while content := os.read(self.messages, _READ_BYTES):
                self._received += content
                yield from self._whole()

    def _whole(self) -> Iterator[bytes]:
        place = 0
        while len(self._received) >= (start := place + _LENGTH.size):
            (length,) = _LENGTH.unpack_from(self._received, place)
            if len(self._received) < start + length:
                break
            yield bytes(self._received[start : start + length])
            place = start + length
        del self._received[:place]


class Workers:
    """Some processes, which have all ended when its `with` block has."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._queue: Queue | None = None

    def queue(self, length: int) -> Queue:
        """Return a queue that is there for as long as they are.

        Raises:
            OSError: None can be made here.
        """
        self._queue = Queue(length)
        return self._queue

    def start(self, work: Callable[[Callable[[bytes], None]], None]) -> bool:
        """Fork a process that does some work, and tell whether there is one.

        There is none where the container or the user may have no more processes or files.

        Args:
            work: Called with a function that sends a message.
        """
        parent, opened = os.getpid(), list[int]()
        try:
            opened += os.pipe()
            opened += os.pipe()
            # An interrupt just after the fork would be handled twice.
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
            try:
                if not (process := os.fork()):
                    _live(work, parent, opened, self._ends())
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            return False
        messages, sending, living, life = opened
        os.close(sending)
        os.close(living)
        self._workers.append(_Worker(process, messages, life))
        return True

    def _ends(self) -> list[int]:
        return [end for worker in self._workers for end in (worker.messages, worker.life)]

    def messages(self, *, wait: bool = False) -> Iterator[bytes]:
        """Yield messages: those that have arrived, or all until the end of all workers."""
        for worker in self._workers:
            yield from worker.read(wait=wait)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all that still run, and wait for them."""
        for end in self._ends():
            os.close(end)
        if self._queue is not None:
            self._queue.close()
        for worker in self._workers:
            with contextlib.suppress(ChildProcessError):  # where SIGCHLD is ignored
                os.waitpid(worker.process, 0)


def _live(
    work: Callable[[Callable[[bytes], None]], None],
    parent: int,
    opened: list[int],
    others: list[int],
) -> None:
    """Be a worker: work, and end."""
    code = 1
    try:
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        messages, sending, living, life = opened
        # Whoever else held the parent's ends would seem to be the parent.
        for descriptor in (messages, life, *others):
            os.close(descriptor)
        # When nobody holds the pipe's other end any more, the kernel sends a signal.
        fcntl(living, F_SETOWN, os.getpid())
        fcntl(living, F_SETSIG, signal.SIGTERM)
        fcntl(living, F_SETFL, os.O_ASYNC)
        if os.getppid() == parent:
            gc.disable()  # it would write to each object, and so copy the page that it is in
            work(partial(_send, sending))
            code = 0
    finally:
        os._exit(code)


def _send(pipe: int, message: bytes) -> None:
    content = memoryview(_LENGTH.pack(len(message)) + message)
    while content:
        content = content[os.write(pipe, content) :]
