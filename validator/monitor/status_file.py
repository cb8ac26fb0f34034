"""The monitor's last verdict, for probes that run in its container.

Three files in a folder that nobody else mounts: the verdict with the time of the
monitor's last movement; one that it keeps locked while it lives, and the kernel
takes the lock back when it dies, however it dies; and one that says that there was
a good verdict, so that the workload may run.

A probe starts every few seconds in every pod: importing this loads next to nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT_SECONDS: Final = 5.0
"""Seconds between two of the monitor's signs of life, at least."""

STALE_SECONDS: Final = 300.0
"""A monitor that has not moved for so long hangs. It says nothing while it lists a tree, and on
a slow network file system 100,000 files take two minutes."""

SENTENCE_LIMIT: Final = 2000
"""Characters of a sentence; the kubelet keeps 10 KiB of what a probe says."""

_FILE_LIMIT: Final = 16 * 1024
"""Bytes: a sentence of four each, and the rest."""

_VERDICT: Final = "monitor"
_LOCK: Final = "monitor.lock"
_GOOD: Final = "monitor.good"
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class StatusFile:
    """The monitor's side.

    Args:
        folder: Where to keep the files; it must exist.
        clock: Seconds of the clock that probes read, too.

    Attributes:
        was_good: Whether a monitor before this one had a good verdict. The folder outlives it, as
            an emptyDir does a container; a restart of the node empties it.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        import threading  # noqa: PLC0415 — start-up, of probes

        self._folder = folder
        self._clock = clock
        self._guard = threading.Lock()
        self.was_good = os.path.exists(f"{folder}/{_GOOD}")  # noqa: PTH110 — start-up
        self.say("the first verification has not ended", good=False)
        # Only now: what an earlier monitor has left here must not be taken for ours.
        self._lock = os.open(f"{folder}/{_LOCK}", _WRITE, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def say(self, sentence: str, *, good: bool) -> None:
        """Publish a verdict."""
        with self._guard:
            self._sentence, self._good = sentence[:SENTENCE_LIMIT], good
            if good:
                os.close(os.open(f"{self._folder}/{_GOOD}", _WRITE, 0o600))
            self._write()

    def forget(self) -> None:
        """Have the next monitor know that no workload runs: the pod begins again."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._folder}/{_GOOD}")  # noqa: PTH108 — start-up

    @property
    def silence(self) -> float:
        """Seconds since the monitor's last movement."""
        return self._clock() - self._moved

    def beat(self) -> None:
        """Say that the monitor moves; from any thread, and as often as it likes."""
        if self.silence >= BEAT_SECONDS and self._guard.acquire(blocking=False):
            try:
                self._write()
            finally:
                self._guard.release()

    def _write(self) -> None:
        self._moved = self._clock()
        word = "good" if self._good else "bad"
        text = f"{self._moved}\n{word}\n{self._sentence}"
        path = f"{self._folder}/{_VERDICT}"
        descriptor = os.open(f"{path}.new", _WRITE | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(f"{path}.new", path)  # noqa: PTH105 — start-up


def read(folder: str, *, now: float) -> tuple[bool, str]:
    """Return whether all is well, and the sentence on it: a probe's side.

    Args:
        folder: Where the monitor keeps its files.
        now: Seconds of the clock that the monitor reads, too.
    """
    try:
        if not _is_locked(f"{folder}/{_LOCK}"):
            return False, "the monitor does not run: see its log and why it ended"
        with open(f"{folder}/{_VERDICT}", encoding="utf-8") as file:  # noqa: PTH123 — start-up
            moved, word, sentence = file.read(_FILE_LIMIT).split("\n", 2)
        silent = now - float(moved)
    except (OSError, ValueError) as error:
        return False, f"the monitor has not begun: {error}"
    if silent > STALE_SECONDS:
        return False, hangs(silent)
    return word == "good", sentence


def hangs(silent: float) -> str:
    """Return the sentence on a monitor that has not moved for some seconds."""
    return f"the monitor has not moved for {silent:.0f} s: the model's volume may hang"


def _is_locked(path: str) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
