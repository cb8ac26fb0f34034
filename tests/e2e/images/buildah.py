"""Run buildah, as root, on a storage of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.caching import cache

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 900
"""A cold build takes a minute on 2 cores; more than this is a hang."""
TAIL_LINES = 15


class ImagesMissingError(Exception):
    """The images are not there, or could not be built; the message says what to do."""


def check_machine(*programs: str) -> None:
    """See that images can be built here.

    Raises:
        ImagesMissingError: not Linux's root user, or a program is not installed.
    """
    if os.geteuid() != 0:
        raise ImagesMissingError("Building the images needs root: run the command as root.")
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        raise ImagesMissingError(
            f"{', '.join(missing)} not installed: run `make cluster-packages` (Debian, Ubuntu)."
        )


def buildah(*arguments: str | Path) -> str:
    """Run one command of buildah and return its standard output, stripped.

    Raises:
        ImagesMissingError: it failed; the message has its last lines.
    """
    return execute("buildah", *_storage(), *arguments)


def execute(*command: str | Path) -> str:
    """Run a program and return its standard output, stripped.

    Raises:
        ImagesMissingError: it failed; the message has its last lines.
    """
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise ImagesMissingError(
            f"{command[0]} took longer than {SECONDS} s; are the package mirrors reachable?"
        ) from None
    if ran.returncode != 0:
        tail = "\n".join((ran.stdout + ran.stderr).splitlines()[-TAIL_LINES:])
        raise ImagesMissingError(
            f"{command[0]} failed with exit code {ran.returncode}; its last lines:\n{tail}"
        )
    return ran.stdout.strip()


@contextmanager
def container(image: str) -> Iterator[tuple[str, Path]]:
    """Make a container from an image (or `scratch`) and mount it: its name and its root."""
    name = buildah("from", image)
    try:
        yield name, Path(buildah("mount", name))
    finally:
        buildah("rm", name)


def exists(image: str) -> bool:
    """Say whether the storage has this image."""
    return bool(buildah("images", "--quiet", "--filter", f"reference={image}"))


def _storage() -> list[str]:
    folder = cache("images")
    return [f"--root={folder / 'storage'}", f"--runroot={folder / 'run'}"]
