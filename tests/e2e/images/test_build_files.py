"""The build files, checked without building an image."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.images.building import ROOT, images
from tests.e2e.images.package_index import secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULTS: Final = {"Dockerfile.validator": "validator", "Dockerfile.webhook": "webhook"}
PACKAGES: Final = ("validator", "webhook", "certs")
TIMEOUT_SECONDS: Final = 30


def run(command: list[str], *, path: Path) -> subprocess.CompletedProcess[str]:
    """Run one of the project's scripts where only the programs in a folder are installed."""
    return subprocess.run(
        ["/bin/bash", *command],
        cwd=ROOT,
        env={"PATH": str(path), "HOME": str(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of programs: what the scripts themselves use, and no image builder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("dirname", "sed", "git"):
        program = shutil.which(name)
        assert program
        (folder / name).symlink_to(program)
    return folder


@pytest.mark.parametrize("dockerfile", [*DEFAULTS])
def test_packages_are_copied_whole(dockerfile: str) -> None:
    """A module that is added or moved is in the images without a change of the build files."""
    copies = re.findall(r"^COPY (?!-)(.+)$", (ROOT / dockerfile).read_text(), re.MULTILINE)
    packages = [line for line in copies if line.startswith(PACKAGES)]
    assert packages == [f"{name} {name}" for name in PACKAGES if f"{name} {name}" in packages]
    assert "validator validator" in packages


def test_the_context_is_an_allow_list() -> None:
    """Only listed files are sent to the builder, so that no secret is."""
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[0] == "*"
    assert [line for line in lines[1:] if not line.startswith("!")] == ["**/__pycache__"]
    assert {"!.", "!*", "!**"}.isdisjoint(lines)


@pytest.mark.parametrize("dockerfile", [*DEFAULTS])
def test_everything_from_a_package_index_is_locked(dockerfile: str) -> None:
    """Every installation either demands hashes or cannot reach an index."""
    text = (ROOT / dockerfile).read_text().replace("\\\n", " ")
    commands = [part for line in text.splitlines() for part in line.split("&&")]
    installs = [part for part in commands if re.search(r"pip\b.* (install|wheel)\b", part)]
    assert installs
    for part in installs:
        assert "--no-deps" in part
        assert "--require-hashes" in part or "--no-index" in part


@pytest.mark.parametrize(("dockerfile", "target"), [*DEFAULTS.items()])
def test_the_default_is_the_hardened_image(dockerfile: str, target: str) -> None:
    """Without a target, the builder takes the last stage."""
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / dockerfile).read_text(), re.MULTILINE)
    assert stages[-1] == target


@pytest.mark.parametrize("dockerfile", [*DEFAULTS])
def test_every_stage_is_built_on_what_the_reader_says(dockerfile: str) -> None:
    """BASE for the images and BUILDER for the build; without BUILDER, BASE for both."""
    text = (ROOT / dockerfile).read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    bases = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - stages
    assert bases == {"${BASE}", "${BUILDER}"}
    assert "ARG BUILDER=${BASE}\n" in text


def test_without_a_builder_one_sentence_says_what_to_install(installed: Path) -> None:
    """`make images` on a machine that has none."""
    ended = run(["scripts/build_images.sh"], path=installed)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "podman" in ended.stderr


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_any_builder_is_asked_for_the_same_images(
    installed: Path, tmp_path: Path, builder: str
) -> None:
    """The names are those of the manifests."""
    log = tmp_path / "log"
    (installed / builder).write_text(f'#!/bin/bash\necho "$@" >>{log}\n')
    (installed / builder).chmod(0o755)
    ended = run(["scripts/build_images.sh"], path=installed)
    assert ended.returncode == 0, ended.stderr
    asked = log.read_text().splitlines()[1:]
    names = [image.reference.removeprefix("docker.io/") for image in images().values()]
    assert sorted(ended.stdout.split()) == sorted(names)
    assert len(asked) == len(names)
    assert all("--build-arg REVISION=" in line for line in asked)


def test_missing_packages_are_named_where_they_cannot_be_installed(tmp_path: Path) -> None:
    """`make cluster-packages` on a machine without apt."""
    ended = run(["scripts/cluster_packages.sh"], path=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "buildah" in ended.stderr


def test_pips_settings_reach_the_build_and_leave_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index and its authority, from files or the environment; nothing that is not network."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://index.example/simple\nrequire-virtualenv = 1\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_CERT", "/etc/authority.pem")
    with secrets() as options:
        given = _secrets(options)
        written = Path(given["pip.conf"]).read_text()
    assert given["ca.pem"] == "/etc/authority.pem"
    assert "index-url = https://index.example/simple" in written
    assert "cert = /run/secrets/ca.pem" in written
    assert "require-virtualenv" not in written
    assert not Path(given["pip.conf"]).exists()


def _secrets(options: list[str]) -> Mapping[str, str]:
    found = (re.fullmatch(r"--secret=id=(\S+?),src=(\S+)", option) for option in options)
    return {match[1]: match[2] for match in found if match}
