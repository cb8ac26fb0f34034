"""Fixtures of all tests: the private Sigstore, and the settings of hypothesis."""

import os

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
