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


def cache(name: str) -> Path:
    """Return the folder of this name in the user's cache; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "model-validation" / name


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes, and make it if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running: waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """Tell progress on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
