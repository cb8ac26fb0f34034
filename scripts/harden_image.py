"""Take out of an image's base what a running Python program never needs.

Run once while the image is built, as root and by the base's own Python (the standard library is
all it uses, so it also runs on a base without a shell):

1. compile the standard library where the base does not (the official Python images do not): on a
   read-only root file system Python would compile what it imports at every start;
2. remove pip, setuptools and whatever else lies in the base's own site-packages: the program
   has a virtual environment of its own (Debian keeps pip's wheel in a folder elsewhere);
3. remove every command but Python: shells, package managers, and with them most of what is setuid;
4. remove what is setuid or setgid anywhere else, and this script.

The package manager's database stays, so that scanners still know what the base consists of.
"""

from __future__ import annotations

import argparse
import os
import shutil
import site
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")


IN_AN_IMAGE = Path("/harden_image.py")
"""The place where the Dockerfiles put this. Anywhere else it would take a machine apart."""


def main() -> None:
    """Harden the root file system that this runs in."""
    parser = argparse.ArgumentParser(
        prog="harden_image.py",
        description="Remove from this root file system every command but Python. The build of an "
        f"image runs this as {IN_AN_IMAGE}; from any other place it refuses.",
    )
    parser.parse_args()
    if Path(__file__).resolve() != IN_AN_IMAGE:
        parser.error(f"this is not {IN_AN_IMAGE} in the build of an image: nothing was removed")
    library = Path(sysconfig.get_path("stdlib"))
    wheels = sysconfig.get_config_var("WHEEL_PKG_DIR")
    for folder in [*site.getsitepackages(), library / "ensurepip", *filter(None, [wheels])]:
        shutil.rmtree(folder, ignore_errors=True)
    # For a reproducible build: times are set anew after us, and strings' hashes order constants.
    subprocess.run(  # noqa: S603 — Python itself
        [sys.executable, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", library],
        env={"PYTHONHASHSEED": "0"},
        check=True,
    )
    python = Path(sys.executable).resolve()
    for file in [*_other_commands(python), *_setuid_files(), Path(__file__)]:
        file.unlink(missing_ok=True)


def _other_commands(python: Path) -> Iterator[Path]:
    """Find what is neither Python nor one of its names."""
    for folder in {Path(name).resolve() for name in COMMANDS if Path(name).is_dir()}:
        for file in folder.iterdir():
            if not file.is_dir() and file.resolve() != python:
                yield file


def _setuid_files() -> Iterator[Path]:
    """Find setuid and setgid files of the image; what is mounted into the build is not its own."""
    device = Path("/").stat().st_dev
    for folder, inner, files in os.walk("/"):
        inner[:] = [name for name in inner if os.lstat(f"{folder}/{name}").st_dev == device]
        for name in files:
            file = Path(folder, name)
            if stat.S_ISREG(mode := file.lstat().st_mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                yield file


if __name__ == "__main__":
    main()
