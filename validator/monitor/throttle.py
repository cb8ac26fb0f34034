"""Reading at a bounded rate, so that hashing beside a workload leaves it the disk and the cores.

It hooks into a verification as its progress display, which every reading thread
calls after each read: a verification without it does not pay for it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST_SECONDS: Final = 0.01
"""Less is not slept but saved up: a shorter sleep takes longer than it was asked to."""


class Throttle:
    """Holds threads back until what they have read fits the rate.

    A token bucket without depth: what a slow disk leaves unused is lost, and no burst follows.

    Args:
        rate: Bytes per second, of all threads together.
        clock: Seconds, steadily growing.
        sleep: Waits for some seconds.
    """

    def __init__(
        self, rate: float, *, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._done = 0
        self._due = clock()

    def __call__(self, done: int, total: int) -> None:
        """Take note that `done` of `total` bytes are read, and wait until they may be."""
        del total
        with self._lock:
            now = self._clock()
            # A read that took longer than the rate asks for has waited already.
            self._due = max(self._due + max(0, done - self._done) / self._rate, now)
            self._done = max(self._done, done)
            early = self._due - now
        if early >= SHORTEST_SECONDS:
            self._sleep(early)
