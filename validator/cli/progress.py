"""Progress of a verification: a bar, lines in a pod's log, or JSON lines."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from validator.text import size

if TYPE_CHECKING:
    from collections.abc import Callable

BAR_SECONDS: Final = 0.1
LINE_SECONDS: Final = 10.0
"""A pod's log is kept: a line every ten seconds says enough."""

_WIDTH: Final = 30


class Progress(Protocol):
    """Shows how far hashing has come; called from several threads."""

    def __call__(self, done: int, total: int) -> None:
        """Take note of `done` of `total` bytes."""

    def close(self) -> None:
        """Clear the bar from the stream, so that a verdict can be written."""


class Silent:
    """Shows nothing."""

    def __call__(self, done: int, total: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Paced:
    """Shows at most one state per interval, and only one thread's at a time."""

    def __init__(
        self, stream: TextIO, *, interval: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._interval = interval
        self._clock = clock
        self._began = self._last = clock()
        self._lock = threading.Lock()

    def __call__(self, done: int, total: int) -> None:
        """Show the state, if it is time to."""
        now = self._clock()
        if now - self._last < self._interval or not self._lock.acquire(blocking=False):
            return
        try:
            self._last = now
            self._show(done, total, now - self._began)
            self._stream.flush()
        except OSError:
            self._interval = float("inf")  # nobody reads any more; the verdict still counts
        finally:
            self._lock.release()

    def close(self) -> None:
        """Do nothing."""

    def _show(self, done: int, total: int, seconds: float) -> None:
        raise NotImplementedError


class Bar(_Paced):
    """A bar in one line of a terminal, wiped when done."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, interval=BAR_SECONDS, clock=clock)
        self._shown = False

    def _show(self, done: int, total: int, seconds: float) -> None:
        filled = _WIDTH * done // max(total, 1)
        bar = "#" * filled + "-" * (_WIDTH - filled)
        self._stream.write(f"\r[{bar}] {_state(done, total, seconds)}\x1b[K")
        self._shown = True

    def close(self) -> None:
        """Wipe the line."""
        if self._shown:
            with contextlib.suppress(OSError):  # as above
                self._stream.write("\r\x1b[K")
                self._stream.flush()


class Lines(_Paced):
    """A line now and then."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, interval=LINE_SECONDS, clock=clock)

    def _show(self, done: int, total: int, seconds: float) -> None:
        self._stream.write(f"hashed {_state(done, total, seconds)}\n")


class JsonLines(_Paced):
    """A JSON object a line, for programs."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, interval=1.0, clock=clock)

    def _show(self, done: int, total: int, seconds: float) -> None:
        state = {"done": done, "total": total, "seconds": round(seconds, 1)}
        self._stream.write(json.dumps({"progress": state}) + "\n")


def _state(done: int, total: int, seconds: float) -> str:
    speed = done / max(seconds, 1e-6)
    left = (total - done) / max(speed, 1e-6)
    return (
        f"{size(done)} of {size(total)}, {100 * done // max(total, 1)} %, "
        f"{size(round(speed))}/s, {left:.0f} s left"
    )


def choose(name: str, stream: TextIO) -> Progress:
    """Return the progress display called `name`: auto, bar, lines, json or none."""
    if name == "auto":
        name = "bar" if stream.isatty() else "lines"
    displays: dict[str, Callable[[TextIO], Progress]] = {
        "bar": Bar,
        "lines": Lines,
        "json": JsonLines,
    }
    return displays[name](stream) if name in displays else Silent()
