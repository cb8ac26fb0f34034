"""The contents of the images."""

from __future__ import annotations

import os
import re
import stat
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.images.building import ROOT
from tests.e2e.images.running import PYTHON, USER
from tests.e2e.images.unpacking import own_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.images.fixtures import ImageFactory

LOCKS: Final = {"validator": "validator.txt", "webhook": "webhook.txt", "debug": "debug.txt"}
HARDENED: Final = ("validator", "webhook")
COMMANDS: Final = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin")
TEMPORARY: Final = ("tmp", "var/tmp", "run/lock")
OWN_BYTES: Final = 60_000_000
"""Bytes that our layers, compressed, may add to a base with Python: every node pulls them."""

every_image = pytest.mark.parametrize("target", [*LOCKS])
hardened = pytest.mark.parametrize("target", HARDENED)


@every_image
def test_the_user_is_a_number(image: ImageFactory, target: str) -> None:
    """The kubelet can then tell that it is not root, and no user database is needed."""
    assert image(target).config["User"] == f"{USER}:{USER}"


@every_image
def test_the_labels_tell_what_it_is(image: ImageFactory, target: str) -> None:
    """Title, licence and the project's version; a builder adds the revision."""
    labels = image(target).config["Labels"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "org.opencontainers.image"
    assert labels[f"{prefix}.version"] == project["version"]
    assert labels[f"{prefix}.licenses"] == project["license"]
    assert labels[f"{prefix}.title"].startswith("model-validation ")
    assert f"{prefix}.revision" in labels


@every_image
def test_nothing_is_installed_but_the_lock(image: ImageFactory, target: str) -> None:
    """No pip, no build tool, no test library: exactly what is locked, and ourselves."""
    lock = (ROOT / "requirements" / LOCKS[target]).read_text()
    locked = set(re.findall(r"^\S+==\S+", lock, re.MULTILINE))
    script = (
        "from importlib.metadata import distributions\n"
        "for one in distributions(): print(f'{one.name}=={one.version}')"
    )
    ended = image(target).run("-I", "-c", script, entrypoint=[PYTHON])
    installed = {line.lower().replace("_", "-") for line in ended.out.split()}
    assert installed - locked == {f"signed-model-validation=={_version()}"}
    assert locked <= installed


@every_image
def test_our_own_tests_stay_outside(image: ImageFactory, target: str) -> None:
    """Of this project there are only the packages that the image is for."""
    packages = {path.name for path in _site_packages(image(target).root).iterdir()}
    ours = {"validator", "webhook", "certs", "tests", "benchmarks", "scripts"} & packages
    assert ours == ({"validator", "webhook", "certs"} if target == "webhook" else {"validator"})


@hardened
def test_no_command_but_python(image: ImageFactory, target: str) -> None:
    """No shell, no package manager: what gets into the process finds nothing to run."""
    root = image(target).root
    left = {path.name for folder in COMMANDS for path in (root / folder).glob("*")}
    assert {name for name in left if not name.startswith("python3")} <= {"python"}
    assert any(name.startswith("python3") for name in left)
    own = {path.name for path in (root / "opt/model-validation/bin").iterdir()}
    assert {name for name in own if not name.startswith("python")} <= {"model-validator"}


@every_image
def test_there_is_no_compiler(image: ImageFactory, target: str) -> None:
    """In the debug image, which keeps the base's commands, neither: wheels are all it gets."""
    tool = re.compile(r"(.*-)?(cc|c\+\+|gcc|g\+\+|clang|ld|as|make|rustc|cargo|go)(-[\d.]+)?")
    root = image(target).root
    folders = [root / folder for folder in (*COMMANDS, "opt/model-validation/bin")]
    left = [path.name for folder in folders for path in folder.glob("*")]
    assert [name for name in left if tool.fullmatch(name)] == []


@hardened
def test_pip_is_nowhere(image: ImageFactory, target: str) -> None:
    """Neither the base's own, nor the wheel that a virtual environment would get it from."""
    pip = re.compile(r"(^|/)(pip|setuptools|ensurepip)(-[^/]*)?(\.whl|/__init__\.py)$")
    assert [path for path in _files(image(target).root) if pip.search(str(path))] == []


@hardened
def test_nothing_is_setuid(image: ImageFactory, target: str) -> None:
    """No program changes its user, even if a pod allows privilege escalation."""
    bits = stat.S_ISUID | stat.S_ISGID
    assert [path for path in _files(image(target).root) if path.lstat().st_mode & bits] == []


@every_image
def test_nothing_can_be_written_by_its_user(image: ImageFactory, target: str) -> None:
    """Even if the root file system is not read-only, only the temporary folders are writable."""
    root = image(target).root
    writable = [
        path.relative_to(root)
        for path in [*_files(root), *_folders(root)]
        if path.lstat().st_mode & stat.S_IWOTH or USER in {path.lstat().st_uid, path.lstat().st_gid}
    ]
    assert {str(path) for path in writable} <= set(TEMPORARY)


@pytest.mark.parametrize(
    ("target", "module"),
    [
        ("validator", "validator.cli.verify_policy"),
        ("validator", "validator.signatures.keyless"),
        ("webhook", "webhook.cli.serve"),
    ],
)
def test_nothing_is_compiled_at_start(image: ImageFactory, target: str, module: str) -> None:
    """Neither our modules, nor the libraries', nor the standard library's."""
    ended = image(target).run("-I", "-v", "-c", f"import {module}", entrypoint=[PYTHON])
    assert f"import '{module}'" in ended.err
    # Python quotes the path of bytecode here, and does not quote that of a source.
    assert re.findall(r"^# code object from [^'\n]*$", ended.err, re.MULTILINE) == []


@every_image
def test_bytecode_depends_on_its_source_alone(image: ImageFactory, target: str) -> None:
    """None has the time of its build in it, as what an import writes: two builds are one image."""
    unchecked = (1).to_bytes(4, "little")  # PEP 552: by hash, and not compared at start
    compiled = list(_site_packages(image(target).root).rglob("*.pyc"))
    assert len(compiled) > 100
    timed = [path.name for path in compiled if path.read_bytes()[4:8] != unchecked]
    assert timed == []


@hardened
def test_our_layers_are_small(
    image: ImageFactory, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A node pulls our layers, compressed, on top of a base with Python."""
    size = own_bytes(image(target))
    with capsys.disabled():
        sys.stdout.write(f"\n{target}: {size / 1e6:.1f} MB compressed, on top of the base\n")
    assert size < OWN_BYTES


def _version() -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version


def _site_packages(root: Path) -> Path:
    (found,) = (root / "opt/model-validation/lib").glob("python3*/site-packages")
    return found


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def _folders(root: Path) -> Iterator[Path]:
    return (Path(folder) for folder, _, _ in os.walk(root))
