"""Images of one static program, as archives that a container runtime imports."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from typing import TYPE_CHECKING, Final

from tests.e2e.api_server.processes import ControlPlaneError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAUSE_IMAGE: Final = "docker.io/test/pause:1"
DNS_IMAGE: Final = "docker.io/test/coredns:1"

PAUSE: Final = """
#include <signal.h>
#include <unistd.h>
static void end(int number) { _exit(0); }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }
"""
"""The program that holds a pod's namespaces: it does nothing until it is told to end."""


def pause(folder: Path) -> Path:
    """Compile the pause program and return the archive of its image.

    Raises:
        ControlPlaneError: There is no C compiler, or no static C library.
    """
    program = folder / "pause"
    compiled = subprocess.run(
        ["cc", "-static", "-Os", "-s", "-x", "c", "-o", str(program), "-"],
        input=PAUSE.encode(),
        capture_output=True,
        check=False,
    )
    if compiled.returncode != 0:
        raise ControlPlaneError(f"cc: {compiled.stderr.decode(errors='replace').strip()}")
    return one_program(program, PAUSE_IMAGE, folder / "pause.tar")


def one_program(program: Path, image: str, target: Path, *, arguments: Sequence[str] = ()) -> Path:
    """Write the archive (docker-archive) of an image that has only this static program."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(program, arcname=program.name)
    configuration = {
        "architecture": _architecture(),
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}", *arguments]},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"],
        },
    }
    manifest = [{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]
    with tarfile.open(target, mode="w") as archive:
        _add(archive, "layer.tar", layer.getvalue())
        _add(archive, "config.json", json.dumps(configuration).encode())
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    return target


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _architecture() -> str:
    """Return the machine's architecture by Go's name for it, which images use."""
    known = {"x86_64": "amd64", "aarch64": "arm64"}
    return known.get(platform.machine(), platform.machine())
