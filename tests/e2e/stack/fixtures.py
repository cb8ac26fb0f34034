"""The fixture of the lane's tests: the stack that they join."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.stack.stack import JOIN, Stack


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests that need the stack."""
    if "stack" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.stack)


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The stack, installed and ready, its model signed."""
    named = os.environ.get(JOIN)
    if named is None:
        pytest.skip(f"needs the LLM stack in a cluster: run `make e2e-stack`, or set {JOIN}")
    return Stack.join(Path(named))
