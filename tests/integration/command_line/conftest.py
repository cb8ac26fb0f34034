"""Fixtures of the command line's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.signed_model import (
    FILES,
    Signer,
    Site,
    statement,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path


from tests.support.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A model `granite` of three files, honestly signed."""
    model = write(tmp_path / "granite", FILES)
    site = Site(model, model / "model.sig", Signer())
    site.sign(statement())
    return Desk(tmp_path, site)
