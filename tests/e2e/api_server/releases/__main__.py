"""`python -m tests.e2e.api_server.releases`: the API server's lane on each release of Kubernetes.

python -m tests.e2e.api_server.releases              # on each one
python -m tests.e2e.api_server.releases v1.35 -x     # on one; further arguments go to pytest
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.e2e.api_server import building
from tests.support.caching import say


def main(arguments: list[str]) -> int:
    """Run the lane on each release that can be built; return 1 if it fails on one."""
    named = [argument for argument in arguments if argument in building.releases()]
    options = [argument for argument in arguments if argument not in building.releases()]
    outcomes = {release: _outcome(release, options) for release in named or building.releases()}
    for release, outcome in outcomes.items():
        say(f"{release}: {outcome}")
    return int("failed" in outcomes.values())


def _outcome(release: str, options: list[str]) -> str:
    os.environ[building.RELEASE] = release
    try:
        building.build()
    except building.ProgramsMissingError as error:
        return f"skipped, since its API server cannot be built: {error}"
    command = [sys.executable, "-m", "pytest", "-n2", "tests/e2e/api_server", *options]
    return "failed" if subprocess.run(command, check=False).returncode else "passed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
