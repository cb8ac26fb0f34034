"""A kubelet's mount of a Secret: it shows changes after a while."""

from __future__ import annotations

import threading
import time
from base64 import b64decode
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.control_plane import ControlPlane

LOOK_SECONDS = 0.2


@contextmanager
def mounted(
    control_plane: ControlPlane, path: str, folder: Path, *, keys: tuple[str, ...], lag: float
) -> Iterator[None]:
    """Show the keys of the Secret at `path` as files in `folder`, each change `lag` seconds late.

    All files change at once, as the kubelet's do, and stay where a key vanishes.
    """
    ended = threading.Event()

    def keep() -> None:
        shown: dict[str, str] = {}
        while not ended.wait(LOOK_SECONDS):
            try:
                data = control_plane.call("GET", path).document.get("data") or {}
            except OSError:  # the API server is away
                continue
            if set(keys) <= set(data) and data != shown:
                ended.wait(lag if shown else 0)
                shown = data
                _show(folder, {key: b64decode(data[key]) for key in keys})

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files into a folder of their own, and turn one link to it."""
    version = folder / f"..{time.monotonic_ns()}"
    version.mkdir(parents=True, mode=0o700)
    for name, content in files.items():
        (version / name).write_bytes(content)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    turned = folder / "..data_tmp"
    turned.symlink_to(version.name)
    turned.rename(folder / "..data")
