"""A cache outside the tree for files that are slow to make, with a lock for each."""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


def cache(name: str) -> Path:
    """Return the folder of this name in the user's cache; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "model-validation" / name


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes, and make it if need be."""
    with _lock(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running: waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def shared(folder: Path) -> Iterator[None]:
    """Hold a folder together with others, so that nobody is `alone` in it meanwhile."""
    with _lock(folder) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Hold a folder where nobody else does, and tell whether that is so; wait for nobody."""
    with _lock(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _lock(folder: Path) -> TextIO:
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / "lock").open("w")


def say(line: str) -> None:
    """Tell progress on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
