"""Fixtures of the differential tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.differential.signers import Signers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Signers:
    """Everybody who signs, with fresh keys."""
    folder: Path = tmp_path_factory.mktemp("signers")
    return Signers(folder)
