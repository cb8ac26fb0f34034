"""`python -m tests.e2e.stack`: the LLM stack in a cluster of its own, to look at or to test.

python -m tests.e2e.stack         # until Ctrl-C; says how kubectl and tests join it
python -m tests.e2e.stack test    # the lane; further arguments go to pytest
python -m tests.e2e.stack guide   # docs/stack.md, command by command; likewise
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

from tests.e2e.api_server import building
from tests.e2e.api_server.processes import ControlPlaneError
from tests.e2e.images.buildah import ImagesMissingError
from tests.e2e.stack.environments import EnvironmentMissingError
from tests.e2e.stack.running import install, running_stack
from tests.e2e.stack.stack import JOIN, SCREENSHOTS
from tests.support.caching import say

ARTIFACTS: Final = Path(__file__).parents[3] / "build" / "e2e-stack"
IN_ORDER: Final = (
    *("chat", "model_changes", "browser", "conversations", "telemetry", "enforced_paths"),
    *("deletion", "flux"),
)
"""The lane's tests: each file finds the stack as the one before it leaves it."""
GUIDE: Final = ("documents",)
"""It restarts vLLM time and again, which takes as long as all of the lane."""


def main(arguments: list[str]) -> int:
    """Run the stack, or the lane; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        match arguments:
            case []:
                return _show()
            case ["test", *options]:
                return _test(IN_ORDER, options)
            case ["guide", *options]:
                return _test(GUIDE, options)
            case _:
                say("unknown arguments: say nothing, or `test` or `guide` and pytest's own")
                return 2
    except (
        building.ProgramsMissingError,
        ControlPlaneError,
        EnvironmentMissingError,
        ImagesMissingError,
    ) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _show() -> int:
    with running_stack() as stack:
        kubectl = building.find(["kubectl"])["kubectl"]
        sys.stdout.write(
            f"export KUBECONFIG={stack.cluster.api.kubeconfig} {JOIN}={stack.cluster.folder}\n"
            f"export PATH={kubectl.parent}:$PATH\n"
        )
        sys.stdout.flush()
        install(stack)
        threading.Event().wait()
    return 0


def _test(names: tuple[str, ...], options: list[str]) -> int:
    start = time.monotonic()
    files = [f"tests/e2e/stack/scenarios/test_{name}.py" for name in names]
    with running_stack() as stack:
        install(stack)
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            JOIN: str(stack.cluster.folder),
            SCREENSHOTS: str(ARTIFACTS),
        }
        pytest = [sys.executable, "-m", "pytest", "-n0", "-p", "no:randomly", "--durations=12"]
        code = subprocess.run([*pytest, *files, *options], env=environment, check=False).returncode
    say(f"the lane took {(time.monotonic() - start) / 60:.1f} minutes")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
