"""Build the images as `make images` does, on a base made here, into archives, once per content.

Run as a command, it prints the archives' paths. `ctr image import` reads them; the names inside
are those of the manifests.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.images import base
from tests.e2e.images.buildah import ImagesMissingError, buildah, check_machine
from tests.e2e.images.package_index import secrets
from tests.support.caching import alone, cache, exclusive, say, shared

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
KEPT = 6
"""Sets of archives that stay in the cache; one is 600 MB."""
UNNAMED_KEPT = 40
"""Images without a name, which make the next build quick; a set leaves 3, half a GB together."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its name in the cluster, and how it is built."""

    reference: str
    dockerfile: str
    target: str

    @property
    def archive(self) -> Path:
        """The path of the archive, built or not."""
        return _folder() / f"{self.target}.tar"


def project_version() -> str:
    """Return the version that manifests and images carry, such as `0.1.0`."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return str(document["project"]["version"])


def images() -> dict[str, Image]:
    """Return the images by target: `validator`, `webhook` and `debug`."""
    prefix, version = "docker.io/model-validation", project_version()
    listed = (
        Image(f"{prefix}/validator:{version}", "Dockerfile.validator", "validator"),
        Image(f"{prefix}/webhook:{version}", "Dockerfile.webhook", "webhook"),
        Image(f"{prefix}/validator:{version}-debug", "Dockerfile.validator", "debug"),
    )
    return {image.target: image for image in listed}


def find() -> dict[str, Image]:
    """Return the images by target, all of them built.

    Raises:
        ImagesMissingError: one has not been built from the tree as it is.
    """
    found = images()
    if not all(image.archive.is_file() for image in found.values()):
        raise ImagesMissingError(
            "The images are not built from this tree yet: run "
            "`python -m tests.e2e.images.building` "
            "as root (two minutes, the first time)."
        )
    return found


def build() -> dict[str, Image]:
    """Build the images that are missing, telling progress on standard error.

    Raises:
        ImagesMissingError: a program is missing, or a build failed.
    """
    check_machine("buildah")
    with shared(cache("images")), exclusive(_folder()):
        found = images()
        missing = [image for image in found.values() if not image.archive.is_file()]
        if not missing:
            say(f"images: already in {_folder()}")
        for image in missing:
            _build(image, base.build())
        _folder().touch()
    with alone(cache("images")) as is_alone:
        if is_alone:  # nobody builds: neither a set nor a layer is in use
            _tidy()
    return found


def build_on(image: Image, base_image: str, *, builder: str) -> str:
    """Build an image on any base, and return its id in the storage.

    Raises:
        ImagesMissingError: the build failed.
    """
    with secrets() as settings:
        return buildah(
            "build",
            "--quiet",
            "--isolation=chroot",
            "--layers",
            "--pull=false",
            f"--timestamp={_source_date()}",
            f"--build-arg=BASE={base_image}",
            f"--build-arg=BUILDER={builder}",
            *settings,
            f"--file={ROOT / image.dockerfile}",
            f"--target={image.target}",
            ROOT,
        ).splitlines()[-1]


def _build(image: Image, on: str) -> None:
    say(f"{image.target}: building ...")
    start = time.monotonic()
    identity = build_on(image, on, builder=on)
    partial = image.archive.with_name(f".{image.target}.{os.getpid()}")
    try:
        # docker-archive: what every containerd imports, with layers as they are.
        buildah("push", "--quiet", identity, f"docker-archive:{partial}:{image.reference}")
        partial.replace(image.archive)
    finally:
        partial.unlink(missing_ok=True)
    say(f"{image.target}: built in {time.monotonic() - start:.0f} s")


def _folder() -> Path:
    digest = hashlib.sha256(base.name().encode())
    for path in _sources():
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return cache("images") / digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    """List what goes into the images: the build's context and its recipes."""
    ignore = ROOT / ".dockerignore"
    yield ignore
    context = [line[1:] for line in ignore.read_text().splitlines() if line.startswith("!")]
    for pattern in sorted({"Dockerfile.*", "tests/e2e/images/building.py", *context}):
        for match in sorted(ROOT.glob(pattern)):
            inner = sorted(match.rglob("*")) if match.is_dir() else [match]
            yield from (path for path in inner if path.is_file() and path.suffix != ".pyc")


def _source_date() -> str:
    """Return the last commit's time, in seconds since 1970: all files in our layers carry it."""
    told = os.environ.get("SOURCE_DATE_EPOCH")
    if told:
        return told
    git = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    ran = subprocess.run(git, capture_output=True, text=True, check=False)
    return ran.stdout.strip() if ran.returncode == 0 else "0"


def _tidy() -> None:
    """Forget what was not used for longest."""
    sets = {archive.parent for archive in cache("images").glob("*/validator.tar")}
    for old in sorted(sets, key=lambda folder: folder.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old)
    unnamed = buildah("images", "--all", "--quiet", "--filter=dangling=true").splitlines()
    if len(unnamed) > UNNAMED_KEPT:
        # It fails where a container still needs one, when it has removed the others.
        with suppress(ImagesMissingError):
            buildah("rmi", "--prune")


def main() -> int:
    """Build the images, print their archives' paths, and return the exit code."""
    try:
        for image in build().values():
            sys.stdout.write(f"{image.archive}\n")
    except ImagesMissingError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
