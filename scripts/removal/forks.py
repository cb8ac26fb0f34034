"""A plugin of pytest that loads tests once, and runs some of them for each refusal of a plan.

The plan is a file of JSON, named by the variable PLAN: the numbers of the refusals, each with the
tests that reach it, and when to stop. Beside it is written a line for each, with the exit code.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

SECONDS: Final = 120
"""For the tests of one refusal, which may wait for each other, or for a busy machine."""
KILLED: Final = -signal.SIGKILL
"""The exit code where they took longer."""
TEST_SECONDS: Final = 10
"""Of computing, for one test: a loop without its limit may never end."""
ENDLESS: Final = -signal.SIGVTALRM
"""The exit code where one took longer."""


def pytest_runtest_setup() -> None:
    """End the process where the next test computes for too long."""
    signal.setitimer(signal.ITIMER_VIRTUAL, TEST_SECONDS)


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Take each refusal out in a fork of this process.

    Returns:
        Nothing in a fork, so that pytest runs its tests; else that no test is left to run.
    """
    file = Path(os.environ["PLAN"])
    plan = json.loads(file.read_text())
    gc.freeze()  # else each fork goes through all that is loaded when it ends, and so copies it
    for number, tests in plan["tests"].items():
        left = min(SECONDS, plan["end"] - time.monotonic())
        if left < 1:
            break
        fork = os.fork()
        if not fork:
            os.setpgid(0, 0)
            os.environ["REMOVED"] = number
            session.items = items_of(tests, session.items)
            return None
        with os.fdopen(os.pidfd_open(fork)) as ends:
            if not select.select([ends], [], [], left)[0]:
                os.killpg(fork, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
        with file.with_suffix(".txt").open("a") as codes:
            codes.write(f"{number} {code}\n")
    return True


def items_of(tests: Sequence[str], items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests that reach a refusal, in their order, and then the rest of their files.

    Tests may share a program that the first of them started, which alone is seen to reach it.
    """
    places = {test: place for place, test in enumerate(tests)}
    files = {file_of(test) for test in tests}
    return sorted(
        (item for item in items if file_of(item.nodeid) in files),
        key=lambda item: places.get(item.nodeid, len(places)),
    )


def file_of(test: str) -> str:
    """Return the file of a test."""
    return test.partition("::")[0]
