"""The fixtures of the lanes. Pytest reads this file for this folder alone, so no unit test does."""

from typing import Final

import pytest

FIXTURES: Final = (
    "tests.e2e.api_server.fixtures",
    "tests.e2e.images.fixtures",
    "tests.e2e.node.fixtures",
    "tests.e2e.sigstore.fixtures",
    "tests.e2e.stack.fixtures",
)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Load the lanes' fixtures, before a conftest of a folder below imports one of them."""
    for module in FIXTURES:
        pluginmanager.import_plugin(module)
