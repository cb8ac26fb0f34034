"""Virtual environments of the stack's programs, made once, in a cache.

    python -m tests.e2e.stack.environments [vllm|ogx|open-webui|visitor ...]

makes what is missing, several GB in all, and says where each lies. `requirements/` pins every
file by its hash; `locking` writes it. An environment is keyed by its lock and its Python, so one
of an older lock is never taken for this one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.caching import cache, exclusive, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REQUIREMENTS: Final = Path(__file__).parent / "requirements"
MACHINE: Final = "Linux x86_64"
"""The machine that the locks are for: others take other files, with other hashes."""
INSTALL_SECONDS: Final = 3600
"""The largest takes minutes; more than an hour is a hang."""
TAIL_LINES: Final = 15

READY: Final = ".ready"
"""In an environment that is whole; written last."""


class EnvironmentMissingError(Exception):
    """An environment is not there, or could not be made; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One program of the stack, and what it is installed with.

    Attributes:
        name: Names the lock and the folder.
        python: The Python that the lock is for, such as `3.12`.
    """

    name: str
    python: str

    @property
    def lock(self) -> Path:
        """The file that pins each package by its hash."""
        return REQUIREMENTS / f"{self.name}.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python of this machine.

    Attributes:
        executable: The program itself, not a shim or a virtual environment's link.
        prefix: Where its library lies.
        version: Such as `3.12.1`.
    """

    executable: Path
    prefix: Path
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An environment that is there.

    Attributes:
        path: The environment's folder.
        interpreter: The Python that it links to.
    """

    path: Path
    interpreter: Interpreter

    @property
    def python(self) -> Path:
        """The environment's Python."""
        return self.path / "bin" / "python"

    @property
    def mounts(self) -> tuple[Path, ...]:
        """Folders of this machine without which it does not run elsewhere.

        A virtual environment names itself and its Python by absolute path: both must appear in a
        container at the same place. A Python below /usr is left out, since a mount there would
        hide the container's own: its image must have the same.
        """
        prefix = self.interpreter.prefix
        return (self.path,) if prefix.is_relative_to("/usr") else (self.path, prefix)


ENVIRONMENTS: Final = {
    environment.name: environment
    for environment in (
        Environment(name="vllm", python="3.11"),
        Environment(name="ogx", python="3.12"),
        Environment(name="open-webui", python="3.12"),
        Environment(name="visitor", python="3.12"),
    )
}


def find(name: str) -> Installed:
    """Return an environment that was made before.

    Raises:
        EnvironmentMissingError: it was not, or its Python has gone.
    """
    installed = _place(ENVIRONMENTS[name])
    if not (installed.path / READY).is_file():
        raise EnvironmentMissingError(
            f"the environment of {name} is not made yet: run "
            f"`python -m tests.e2e.stack.environments {name}` (minutes and GB, once)."
        )
    return installed


def make(name: str) -> Installed:
    """Return an environment, made now if it is missing; progress goes to standard error.

    Raises:
        EnvironmentMissingError: its Python is missing, or the installation failed.
    """
    environment = ENVIRONMENTS[name]
    installed = _place(environment)
    # One at a time: each fills the network and the disk.
    with exclusive(cache("venvs")):
        if (installed.path / READY).is_file():
            say(f"{name}: already in {installed.path}")
        else:
            _install(environment, installed)
    return installed


def interpreter(version: str) -> Interpreter:
    """Return a Python of a version such as `3.12`, from PATH or from pyenv.

    Raises:
        EnvironmentMissingError: there is none.
    """
    for candidate in _candidates(version):
        if found := _asked(candidate, version):
            return found
    raise EnvironmentMissingError(
        f"Python {version} is missing: install it, so that `python{version}` is on PATH "
        f"(with pyenv: `pyenv install {version}`)."
    )


def index_environment() -> dict[str, str]:
    """Return the variables for pip: a folder of wheels would lend other hashes than the index."""
    return {name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"}


def _place(environment: Environment) -> Installed:
    if not environment.lock.is_file():
        raise EnvironmentMissingError(
            f"{environment.lock} is missing: run "
            f"`python -m tests.e2e.stack.locking {environment.name}`."
        )
    python = interpreter(environment.python)
    made_of = environment.lock.read_bytes() + f"{python.executable} {python.version}".encode()
    key = hashlib.sha256(made_of).hexdigest()[:16]
    return Installed(path=cache("venvs") / f"{environment.name}-{key}", interpreter=python)


def _install(environment: Environment, installed: Installed) -> None:
    here = f"{platform.system()} {platform.machine()}"
    if here != MACHINE:
        raise EnvironmentMissingError(
            f"the locks of the stack are for {MACHINE} and this machine is {here}: write them for "
            "it by `python -m tests.e2e.stack.locking`."
        )
    count = sum("==" in line for line in environment.lock.read_text().splitlines())
    say(f"{environment.name}: installing {count} packages into {installed.path} ...")
    start = time.monotonic()
    # In its place from the start: its programs name it by absolute path.
    _run(installed.interpreter.executable, "-m", "venv", "--clear", "--without-pip", installed.path)
    # The lock is whole, so pip resolves nothing: a release of tomorrow cannot get in its way.
    _run(
        *(sys.executable, "-m", "pip", "--python", installed.python, "install", "--quiet"),
        *("--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--only-binary", ":all:"),
        *("--require-hashes", "--requirement", environment.lock),
    )
    (installed.path / READY).touch()
    say(f"{environment.name}: made in {time.monotonic() - start:.0f} s")


def _candidates(version: str) -> Iterator[Path]:
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)


def _asked(candidate: Path, version: str) -> Interpreter | None:
    """Ask a program what it is; None where it does not run: a shim may start nothing."""
    question = (
        "import os, sys; "
        "print(os.path.realpath(sys._base_executable), sys.base_prefix, sys.version.split()[0], "
        "sep='\\n')"
    )
    try:
        asked = subprocess.run(
            [candidate, "-I", "-c", question],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    executable, prefix, exactly = asked.stdout.splitlines()
    if not exactly.startswith(f"{version}."):
        return None
    return Interpreter(executable=Path(executable), prefix=Path(prefix), version=exactly)


def _run(*arguments: str | Path) -> None:
    shown = " ".join(map(str, arguments))
    try:
        ran = subprocess.run(
            arguments,
            env=index_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentMissingError(
            f"`{shown}` took longer than {INSTALL_SECONDS} s; is the package index reachable?"
        ) from None
    if ran.returncode != 0:
        tail = "\n".join((ran.stdout + ran.stderr).splitlines()[-TAIL_LINES:])
        raise EnvironmentMissingError(
            f"`{shown}` failed with exit code {ran.returncode}; its last lines:\n{tail}"
        )


def main(names: Sequence[str]) -> int:
    """Make the named environments, or all; return the exit code."""
    unknown = [name for name in names if name not in ENVIRONMENTS]
    if unknown:
        say(f"unknown environment {', '.join(unknown)}; known are {', '.join(ENVIRONMENTS)}")
        return 2
    try:
        for name in names or ENVIRONMENTS:
            make(name)
    except EnvironmentMissingError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
