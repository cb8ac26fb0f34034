"""A FUSE file system that shows a directory and numbers its inodes anew at each look.

As gcsfuse, s3fs, rclone and others do once the kernel has dropped an inode from its cache: libfuse
makes the numbers, and keeps one only while the file is open. It speaks the kernel's protocol
(linux/fuse.h, 7.31) itself, so that no library is needed; root and /dev/fuse are.

    python -m tests.support.fakes.fuse FOLDER MOUNT_POINT [--whole-seconds]
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BUFFER: Final = 1024 * 1024 + 4096
ROOT: Final = 1
HEADER: Final = struct.Struct("<IIQQIIII")
REPLY: Final = struct.Struct("<IiQ")
ATTRIBUTES: Final = struct.Struct("<6Q10I")

LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 5, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 25, 26, 27, 28, 29, 36, 42
WITHOUT_REPLY: Final = {FORGET, INTERRUPT, BATCH_FORGET}


@contextlib.contextmanager
def mounted(folder: Path, point: Path, *options: str) -> Iterator[Path]:
    """Show a folder at a mount point."""
    with served(folder, point, *options):
        yield point


@contextlib.contextmanager
def served(folder: Path, point: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Show a folder at a mount point, by a process of its own, which is returned."""
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):  # noqa: PTH110 — a device
        pytest.skip("a FUSE file system needs root and /dev/fuse")
    point.mkdir()
    command = [sys.executable, "-m", "tests.support.fakes.fuse", str(folder), str(point), *options]
    with subprocess.Popen(command) as server:
        try:
            for _ in range(1000):
                if os.path.ismount(point) or server.poll() is not None:
                    break
                time.sleep(0.01)
            if not os.path.ismount(point):
                pytest.skip("this machine lets nobody mount a FUSE file system")
            yield server
        finally:
            subprocess.run(["umount", "--lazy", str(point)], check=False, capture_output=True)
            server.kill()


class Server:
    """The file system's side of /dev/fuse."""

    def __init__(self, folder: str, device: int, *, whole_seconds: bool) -> None:
        self._device = device
        self._whole_seconds = whole_seconds
        self._paths = {ROOT: folder}
        self._numbers = count(ROOT + 1)
        self._opened: dict[str, int] = {}  # how often
        self._nodes: dict[str, int] = {folder: ROOT}
        self._listings: dict[int, list[os.DirEntry[bytes]]] = {}
        self._handles = count(1)

    def serve(self) -> None:
        """Answer until the file system is unmounted."""
        while True:
            try:
                request = os.read(self._device, BUFFER)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                raise
            _, code, unique, node, *_ = HEADER.unpack_from(request)
            try:
                result, body = 0, self._answer(code, node, request[HEADER.size :])
            except OSError as error:
                result, body = -(error.errno or errno.EIO), b""
            if code not in WITHOUT_REPLY:
                os.write(self._device, REPLY.pack(REPLY.size + len(body), result, unique) + body)

    def _answer(self, code: int, node: int, body: bytes) -> bytes:
        if code == INIT:
            return struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 8, 8, 1 << 17, 1, 32, 0, *[0] * 8)
        if code in WITHOUT_REPLY or code == FLUSH:
            return b""
        path = self._paths[node]
        answers = {
            LOOKUP: lambda: self._look_up(f"{path}/{os.fsdecode(body[:-1])}"),
            GETATTR: lambda: struct.pack("<QII", 0, 0, 0) + self._attributes(path, node),
            READLINK: lambda: os.fsencode(Path(path).readlink()),
            OPEN: lambda: self._open(path, os.open(path, os.O_RDONLY)),
            OPENDIR: lambda: self._open_directory(path),
            READ: lambda: self._read(*struct.unpack_from("<QQI", body)),
            READDIR: lambda: self._entries(*struct.unpack_from("<QQI", body)),
            RELEASE: lambda: self._release(path, *struct.unpack_from("<Q", body)),
            RELEASEDIR: lambda: self._release(path),
            STATFS: lambda: struct.pack("<5Q4I6I", *[0] * 5, 4096, 255, 4096, *[0] * 7),
        }
        if code not in answers:
            raise OSError(errno.ENOSYS, "not implemented")
        return answers[code]()

    def _open(self, path: str, handle: int) -> bytes:
        self._opened[path] = self._opened.get(path, 0) + 1
        return struct.pack("<QII", handle, 0, 0)

    def _open_directory(self, path: str) -> bytes:
        handle = next(self._handles)
        self._listings[handle] = list(os.scandir(os.fsencode(path)))
        return self._open(path, handle)

    def _read(self, handle: int, offset: int, size: int) -> bytes:
        return os.pread(handle, size, offset)

    def _release(self, path: str, handle: int | None = None) -> bytes:
        self._opened[path] -= 1
        if handle is not None:
            os.close(handle)
        return b""

    def _look_up(self, path: str) -> bytes:
        os.lstat(path)
        if not self._opened.get(path):
            self._nodes[path] = next(self._numbers)
        node = self._nodes[path]
        self._paths[node] = path
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self._attributes(path, node)

    def _attributes(self, path: str, node: int) -> bytes:
        status = os.lstat(path)
        times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
        seconds, nanoseconds = zip(*(divmod(each, 10**9) for each in times), strict=True)
        if self._whole_seconds:
            nanoseconds = (0, nanoseconds[1], 0)
        return ATTRIBUTES.pack(
            *(node, status.st_size, status.st_blocks, *seconds, *nanoseconds),
            *(status.st_mode, status.st_nlink, status.st_uid, status.st_gid, 0, 4096, 0),
        )

    def _entries(self, handle: int, offset: int, size: int) -> bytes:
        found = b""
        for number, entry in enumerate(self._listings[handle][offset:], offset + 1):
            record = struct.pack("<QQII", 1, number, len(entry.name), 0) + entry.name
            record += bytes(-len(record) % 8)
            if len(found) + len(record) > size:
                break
            found += record
        return found


def main() -> None:
    """Mount and serve."""
    folder, point, *options = sys.argv[1:]
    device = os.open("/dev/fuse", os.O_RDWR)
    data = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(b"test", os.fsencode(point), b"fuse.test", 1, data.encode()) != 0:
        raise SystemExit(os.strerror(ctypes.get_errno()))
    Server(folder, device, whole_seconds="--whole-seconds" in options).serve()


if __name__ == "__main__":
    main()
