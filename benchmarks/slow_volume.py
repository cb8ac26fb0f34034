"""A volume whose every answer takes a while, as those of network and object storage do.

    python -m benchmarks.slow_volume FOLDER MOUNT_POINT MILLISECONDS [READ_AHEAD_KIB]

The FUSE file system of the tests, answered by many threads: each answer to a look-up, an opening
or a read comes after the delay, and many are under way at once. Needs root and /dev/fuse.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from tests.support.fakes import fuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THREADS: Final = 64
DELAYED: Final = {fuse.LOOKUP, fuse.OPEN, fuse.READ, fuse.GETATTR}
READ_AHEAD: Final = 128
"""KiB that the kernel reads ahead, by default."""

INIT_REPLY: Final = struct.Struct("<IIIIHHIIHHI7I")
ASYNC_READ: Final = 1 << 0
MAX_PAGES: Final = 1 << 22
VALID: Final = 1
"""Seconds for which the kernel need not ask again."""
PAGES: Final = 256
"""Of one read at most: 1 MiB."""


@contextlib.contextmanager
def mounted(
    folder: Path, point: Path, *, milliseconds: float, read_ahead: int = READ_AHEAD
) -> Iterator[None]:
    """Show a folder at a mount point by a process of its own."""
    point.mkdir()
    module = "benchmarks.slow_volume"
    command = [sys.executable, "-m", module, *map(str, (folder, point, milliseconds, read_ahead))]
    with subprocess.Popen(command) as server:  # noqa: S603 — our own program
        try:
            while not os.path.ismount(point):
                if server.poll() is not None:
                    sys.exit("this machine lets nobody mount a FUSE file system")
                time.sleep(0.01)
            yield
        finally:
            subprocess.run(["umount", "--lazy", point], check=False)  # noqa: S603, S607
            server.kill()
    point.rmdir()


class SlowServer(fuse.Server):
    """The file system's side, which waits before it answers."""

    def __init__(self, folder: str, device: int, *, seconds: float, read_ahead: int) -> None:
        super().__init__(folder, device, whole_seconds=False)
        self._seconds = seconds
        self._ahead = read_ahead
        self._lock = threading.Lock()

    def answer_until_end(self) -> None:
        """Serve in one of several threads; a request that was given up has no answer."""
        while True:
            try:
                return self.serve()
            except FileNotFoundError:
                continue

    def _answer(self, code: int, node: int, body: bytes) -> bytes:
        if code == fuse.INIT:
            flags = ASYNC_READ | MAX_PAGES
            return INIT_REPLY.pack(
                *(7, 31, self._ahead * 1024, flags, THREADS, THREADS, 1 << 17, 1, PAGES, 0),
                *[0] * 8,
            )
        if code in DELAYED:
            time.sleep(self._seconds)
        if code == fuse.READ:
            return super()._answer(code, node, body)
        with self._lock:
            return super()._answer(code, node, body)

    def _look_up(self, path: str) -> bytes:
        # Inodes keep their numbers here, and the kernel may believe an answer for a second.
        os.lstat(path)
        node = self._nodes.setdefault(path, next(self._numbers))
        self._paths[node] = path
        attributes = self._attributes(path, node)
        return struct.pack("<QQQQII", node, 0, VALID, VALID, 0, 0) + attributes


def main() -> None:
    """Mount, and serve until it is unmounted."""
    folder, point, milliseconds, read_ahead = sys.argv[1:]
    device = os.open("/dev/fuse", os.O_RDWR)
    data = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,max_read={PAGES * 4096}"
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(b"slow", os.fsencode(point), b"fuse.slow", 1, data.encode()) != 0:
        raise SystemExit(os.strerror(ctypes.get_errno()))
    seconds = float(milliseconds) / 1000
    server = SlowServer(folder, device, seconds=seconds, read_ahead=int(read_ahead))
    threads = [threading.Thread(target=server.answer_until_end) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
