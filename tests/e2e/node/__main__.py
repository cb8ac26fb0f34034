"""`python -m tests.e2e.node`: a cluster with the webhook installed, to look at or to run tests in.

python -m tests.e2e.node          # until Ctrl-C; says how kubectl and tests join it
python -m tests.e2e.node test     # the lane: all scenarios, further arguments go to pytest
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from tests.e2e.api_server import building
from tests.e2e.api_server.processes import ControlPlaneError
from tests.e2e.images.buildah import ImagesMissingError
from tests.e2e.node.cluster import JOIN, NEW
from tests.e2e.node.running import build, running_cluster
from tests.support.caching import say

SIDE_BY_SIDE = 4
"""Scenarios at a time: they wait more than they work."""


def main(arguments: list[str]) -> int:
    """Run a cluster, or the lane; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(arguments)
    except (building.ProgramsMissingError, ControlPlaneError, ImagesMissingError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _run(arguments: list[str]) -> int:
    match arguments:
        case []:
            return _show()
        case ["build"]:
            build()
            return 0
        case ["test", *options]:
            return _test(options)
    say("unknown arguments: say nothing, `build`, or `test` and what pytest is to know")
    return 2


def _show() -> int:
    with running_cluster() as (cluster, _):
        kubectl = building.find(["kubectl"])["kubectl"]
        sys.stdout.write(
            f"export KUBECONFIG={cluster.api.kubeconfig} {JOIN}={cluster.folder}\n"
            f"export PATH={kubectl.parent}:$PATH\n"
        )
        sys.stdout.flush()
        threading.Event().wait()
    return 0


def _test(options: list[str]) -> int:
    """Run what can share a cluster in one, side by side; then what disturbs, in its own."""
    pytest = [sys.executable, "-m", "pytest", "tests/e2e/node"]
    with running_cluster() as (cluster, _):
        environment = {**os.environ, JOIN: str(cluster.folder)}
        shared = [*pytest, "-m", "node and not disruptive", f"-n{SIDE_BY_SIDE}", *options]
        code = subprocess.run(shared, env=environment, check=False).returncode
    if code == 0:
        alone = [*pytest, "-m", "node and disruptive", *options]
        code = subprocess.run(alone, env={**os.environ, JOIN: NEW}, check=False).returncode
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
