"""The environments of the stack: found, keyed, refused in a sentence; nothing is installed."""

import sys
from pathlib import Path

import pytest

from tests.e2e.stack import environments
from tests.e2e.stack.environments import ENVIRONMENTS, EnvironmentMissingError

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the home, the cache, the whole PATH and pyenv's root."""
    for name in ("HOME", "XDG_CACHE_HOME", "PATH", "PYENV_ROOT"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def _link_python(folder: Path, version: str = HERE) -> Path:
    link = folder / f"python{version}"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(sys.executable)
    return link


def test_a_shim_that_starts_nothing_is_passed_over_for_a_python_of_pyenv(nowhere: Path) -> None:
    """Pyenv's shims are on PATH for versions that are not chosen: they fail when they run."""
    shim = nowhere / f"python{HERE}"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    _link_python(nowhere / "versions" / f"{HERE}.0" / "bin")
    assert environments.interpreter(HERE).version == sys.version.split()[0]


def test_an_interpreter_is_the_program_itself(nowhere: Path) -> None:
    """A virtual environment's Python is followed to the one that it links to."""
    _link_python(nowhere)
    found = environments.interpreter(HERE)
    assert not found.executable.is_symlink()
    assert found.prefix == Path(sys.base_prefix)


@pytest.mark.usefixtures("nowhere")
def test_a_missing_python_is_named_with_what_to_do() -> None:
    """Without the version that a lock is for, the sentence says which one to install."""
    with pytest.raises(EnvironmentMissingError, match=r"Python 3\.99 is missing: install it"):
        environments.interpreter("3.99")


def test_a_python_of_another_version_is_not_taken_for_the_named_one(nowhere: Path) -> None:
    """The name of a program does not count: its version is asked."""
    _link_python(nowhere, "3.99")
    with pytest.raises(EnvironmentMissingError, match=r"Python 3\.99 is missing"):
        environments.interpreter("3.99")


def test_an_environment_that_is_not_whole_is_not_found(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted installation is not used, and the sentence has the command."""
    _link_python(nowhere)
    own = environments.Environment(name="vllm", python=HERE)
    monkeypatch.setitem(ENVIRONMENTS, "vllm", own)
    with pytest.raises(
        EnvironmentMissingError, match=r"python -m tests\.e2e\.stack\.environments vllm"
    ):
        environments.find("vllm")
    whole = environments._place(own)
    whole.path.mkdir(parents=True)
    with pytest.raises(EnvironmentMissingError):
        environments.find("vllm")
    (whole.path / environments.READY).touch()
    assert environments.find("vllm") == whole


def test_another_lock_is_another_environment(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment that was made from an older lock is never taken for the newer one."""
    _link_python(nowhere)
    own = environments.Environment(name="own", python=HERE)
    monkeypatch.setattr(environments, "REQUIREMENTS", nowhere)
    own.lock.write_text("one==1 --hash=sha256:00\n")
    before = environments._place(own)
    own.lock.write_text("one==2 --hash=sha256:00\n")
    assert environments._place(own).path != before.path


def test_what_a_container_needs_is_the_environment_and_its_python(nowhere: Path) -> None:
    """Both are mounted, save a Python below /usr, which would hide the container's own."""
    _link_python(nowhere)
    python = environments.interpreter(HERE)
    own = environments.Interpreter(
        executable=python.executable, prefix=Path("/opt/python"), version=python.version
    )
    system = environments.Interpreter(
        executable=Path("/usr/bin/python3"), prefix=Path("/usr"), version=python.version
    )
    path = nowhere / "venv"
    assert environments.Installed(path=path, interpreter=own).mounts == (path, own.prefix)
    assert environments.Installed(path=path, interpreter=system).mounts == (path,)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_lock_pins_every_package_by_its_hash_and_names_no_index(name: str) -> None:
    """Each line is a name, a version and a hash: pip resolves nothing and trusts no index."""
    comment, *lines = ENVIRONMENTS[name].lock.read_text().splitlines()
    assert comment.startswith("# Made by `python -m tests.e2e.stack.locking")
    assert len(lines) >= 3
    for line in lines:
        pin, _, digest = line.partition(" --hash=sha256:")
        assert len(pin.split("==")) == 2
        assert len(bytes.fromhex(digest)) == 32


def test_an_unknown_name_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The command says which names there are."""
    assert environments.main(["vlm"]) == 2
    known = "vllm, ogx, open-webui, visitor"
    assert capsys.readouterr().err == f"unknown environment vlm; known are {known}\n"
