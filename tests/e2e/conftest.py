"""The fixtures of the lanes; a unit test never loads them, since pytest reads this file only here."""

from typing import Final

import pytest

FIXTURES: Final = (
    "tests.e2e.api_server.fixtures",
    "tests.e2e.images.fixtures",
    "tests.e2e.node.fixtures",
    "tests.e2e.stack.fixtures",
)


def pytest_configure(config: pytest.Config) -> None:
    """Load the lanes' fixtures and the hooks beside them."""
    for module in FIXTURES:
        config.pluginmanager.import_plugin(module)
