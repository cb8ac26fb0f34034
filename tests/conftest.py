"""What all tests share: the other sides' fixtures, and how hypothesis runs."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.e2e.api_server.fixtures",
    "tests.e2e.images.fixtures",
    "tests.e2e.node.fixtures",
    "tests.sigstore.fixtures",
    "tests.e2e.stack.fixtures",
]

# No test is timed: the machine may be busy. CI draws the same examples each time.
settings.register_profile(
    "project",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("project")
