"""The images that the stack and its gateway run on here: Python's plain one, and what they need."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.e2e.images import base
from tests.e2e.images.buildah import buildah, container, execute
from tests.support.caching import cache, exclusive, say

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAMS_IMAGE: Final = "docker.io/test/stack:1"
PACKAGES: Final = ("libnuma1", "curl")
"""Debian's packages that upstream's images have: vLLM's kernels link to one, people ask by one."""

GATEWAY_IMAGE: Final = "docker.io/test/gateway:1"


def programs() -> Path:
    """Return the archive of the stack's image, made if it is missing.

    Raises:
        ImagesMissingError: It could not be made.
    """
    return _built(PROGRAMS_IMAGE, packages=PACKAGES)


def gateway(*files: Path) -> Path:
    """Return the archive of an image with Envoy and Envoy Gateway, made if it is missing.

    Raises:
        ImagesMissingError: It could not be made.
    """
    return _built(GATEWAY_IMAGE, files=files)


def _built(image: str, *, packages: Sequence[str] = (), files: Sequence[Path] = ()) -> Path:
    on = base.build()
    content = "\n".join([on, image, *packages, *map(str, files)])
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    archive = cache("images") / f"stack-{key}.tar"
    with exclusive(cache("images") / "stack"):
        if not archive.is_file():
            say(f"{image}: building ...")
            with container(on) as (name, root):
                _unpack(packages, root)
                for file in files:
                    shutil.copy(file, root / "usr" / "local" / "bin" / file.name)
                buildah("commit", "--quiet", name, image)
            partial = archive.with_suffix(".partial")
            buildah("push", "--quiet", image, f"docker-archive:{partial}:{image}")
            partial.replace(archive)
    return archive


def _unpack(packages: Sequence[str], root: Path) -> None:
    """Unpack Debian's packages, of this machine's release, into an image, with what they need."""
    with tempfile.TemporaryDirectory() as folder:
        for package in _missing(packages, root):
            execute("env", f"--chdir={folder}", "apt-get", "--quiet", "download", package)
        for archive in Path(folder).glob("*.deb"):
            execute("dpkg-deb", "--extract", archive, root)


def _missing(packages: Sequence[str], root: Path) -> list[str]:
    """Return the packages, and those that they depend on, that an image does not have."""
    if not packages:
        return []  # `apt-cache depends` ends with 100 when it is given no name
    others = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    without = (f"--no-{kind}" for kind in others)
    listed = execute("apt-cache", "depends", "--recurse", *without, *packages)
    there = {path.stem.partition(":")[0] for path in root.glob("var/lib/dpkg/info/*.list")}
    needed = [line for line in listed.splitlines() if not line.startswith((" ", "<"))]
    return [name for name in needed if name not in there]
