"""Fixtures of all tests: the private Sigstore, and the settings of hypothesis."""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.sigstore.fixtures"]

# No test is timed: the machine may be busy. CI draws the same examples each time.
settings.register_profile(
    "project",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("project")


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers: two more than cores, since half of the time is waiting.

    The tests wait for programs: API servers that start, watches, intervals. A worker takes 0.2 GiB,
    and its two API servers 0.6.
    """
    return len(os.sched_getaffinity(0)) + 2


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Write what `make test COVERAGE=1` counts: xdist kills a worker that takes long to end."""
    if "PYTEST_XDIST_WORKER" in os.environ and "coverage" in sys.modules:
        running = sys.modules["coverage"].Coverage.current()
        if running is not None:
            running.save()
