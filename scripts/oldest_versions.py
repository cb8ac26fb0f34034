"""Print the oldest version that pyproject.toml allows of each package that the programs import."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS: Final = ("validator", "blake3", "webhook", "certs")


def main() -> None:
    """Print one requirement a line, each with `==` in place of `>=`."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    wanted = set(project["dependencies"])
    for extra in EXTRAS:
        wanted.update(project["optional-dependencies"][extra])
    for requirement in sorted(wanted):
        lowest, _, _ = requirement.partition(",")
        sys.stdout.write(lowest.replace(">=", "==") + "\n")


if __name__ == "__main__":
    main()
