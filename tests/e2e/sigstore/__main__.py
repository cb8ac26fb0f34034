"""`python -m tests.e2e.sigstore`: the lane, in a network of its own; arguments go to pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from tests.e2e.api_server import building
from tests.e2e.sigstore.fixtures import LANE
from tests.e2e.sigstore.services import PROGRAMS
from tests.support.caching import say

LANE_SECONDS: Final = 600
"""It takes half a minute; more than this is a hang."""

ISOLATED: Final = (
    *("unshare", "--map-root-user", "--net", "--"),
    *("sh", "-c", 'ip link set lo up && exec "$@"', "sh"),
)
"""Runs a command in a network that has a loopback device and nothing else."""


def main(arguments: list[str]) -> int:
    """Build what is missing, and run the lane; return the exit code."""
    try:
        building.build(PROGRAMS)
    except building.ProgramsMissingError as error:
        say(str(error))
        return 1
    if subprocess.run([*ISOLATED, "true"], check=False).returncode != 0:
        say("the lane needs a network of its own: run it as root, or allow user namespaces")
        return 1
    tests = [sys.executable, "-m", "pytest", "-n0", "tests/e2e/sigstore", *arguments]
    environment = {**os.environ, LANE: "1"}
    try:
        ended = subprocess.run(
            [*ISOLATED, *tests], env=environment, check=False, timeout=LANE_SECONDS
        )
    except subprocess.TimeoutExpired:
        say(f"the lane took longer than {LANE_SECONDS} s, and was ended")
        return 1
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
