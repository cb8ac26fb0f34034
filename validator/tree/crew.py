"""Threads that do one job together: the first error ends all, and more can join on the way."""

from __future__ import annotations

import contextlib
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class Crew:
    """Some threads, which have all ended when its `with` block has.

    As a pool of `concurrent.futures`, of which the import takes 9 ms of a gate's start.

    Attributes:
        stop: Set when the others should give up.
    """

    def __init__(self) -> None:
        self.stop = Event()
        self._lock = Lock()
        self._threads: list[Thread] = []
        self._failures: list[BaseException] = []

    def start(self, work: Callable[[], None], *, most: int | None = None) -> None:
        """Have a thread do some work, if there are fewer than `most`; each of them may ask, too.

        There may be none, where the container's limit of processes does not let one start.
        """
        with self._lock:
            number = len(self._threads)
            if most is None or number < most:
                thread = Thread(target=self._run, args=(work,), name=f"hashing-{number}")
                with contextlib.suppress(RuntimeError):  # it cannot be started
                    thread.start()
                    self._threads.append(thread)

    def __len__(self) -> int:
        """Return the number of threads that were started."""
        return len(self._threads)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 — raised in the thread that waits
            self._failures.append(error)
            self.stop.set()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for all threads; raise the first error that one of them had."""
        if kind is not None:
            self.stop.set()
        try:
            self._join()
        except BaseException:
            self.stop.set()  # an interrupt must not wait for the end of a file of terabytes
            self._join()
            raise
        if self._failures and kind is None:
            raise self._failures[0]

    def _join(self) -> None:
        # Who starts another thread ends after it is in the list.
        for thread in self._threads:
            thread.join()
