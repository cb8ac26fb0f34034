"""A process that changes a file through a shared mapping, and hides it.

It touches the page once, so that its times move; whatever it writes after that moves them no more
until the kernel has written the page back. With files to watch, it shows the good byte while one of
them was opened (inotify) within the last moments, and the bad one otherwise.

    python -m tests.support.fakes.hidden_writer FILE [WATCHED...]

It is told by lines on standard input ("bad", "good"), and answers each by one on standard output;
while it watches, it says "bad" whenever it shows that byte again.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_OPEN: Final = 0x20
QUIET_SECONDS: Final = 0.05
"""After the last opening, until the bad byte is shown again."""

ROOT: Final = Path(__file__).parents[3]


class HiddenWriter:
    """The tests' side."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def show(self, which: Literal["good", "bad"]) -> None:
        """Let it write, and wait until it has."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{which}\n")
        self._process.stdin.flush()
        self.wait()

    def wait(self) -> None:
        """Wait for its next line."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline()


@contextmanager
def hidden_writer(file: Path, *watched: Path) -> Iterator[HiddenWriter]:
    """Run a writer that has the file mapped; it shows what it found there."""
    program = [sys.executable, "-m", "tests.support.fakes.hidden_writer"]
    command = [*program, str(file), *map(str, watched)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            writer = HiddenWriter(process)
            writer.wait()
            yield writer
        finally:
            process.kill()


def main() -> None:
    """Map, touch, and write when it is told to or when nobody looks."""
    name, *watched = sys.argv[1:]
    descriptor = os.open(name, os.O_RDWR)
    page = mmap.mmap(descriptor, 0)
    os.close(descriptor)
    shown = {"good": page[0], "bad": page[0] ^ 1}
    page[0] = shown["good"]  # the touch
    events = _watch(watched)
    sys.stdout.write("mapped\n")
    sys.stdout.flush()
    hiding = False
    while True:
        pause = QUIET_SECONDS if hiding else None
        ready, _, _ = select.select([sys.stdin, events], [], [], pause)
        if events in ready:
            page[0] = shown["good"]
            os.read(events, 4096)
            hiding = True
        elif sys.stdin in ready:
            which = sys.stdin.readline().strip()
            page[0] = shown[which]
            sys.stdout.write(f"{which}\n")
            sys.stdout.flush()
        elif hiding:
            page[0] = shown["bad"]
            hiding = False
            sys.stdout.write("bad\n")
            sys.stdout.flush()


def _watch(paths: list[str]) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = int(library.inotify_init1(os.O_CLOEXEC))
    for path in paths:
        if library.inotify_add_watch(descriptor, os.fsencode(path), IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), path)
    return descriptor


if __name__ == "__main__":
    main()
