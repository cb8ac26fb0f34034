"""Fixtures of the stack's tests: programs, and a cluster that has all of its kinds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.api_server import building
from tests.e2e.api_server.fixtures import REQUIRE
from tests.e2e.api_server.installation.manifests import WEBHOOK
from tests.e2e.stack.static.definitions import DefinitionsMissingError, definitions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.control_plane import ControlPlane


def _missing(sentence: str) -> None:
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but: {sentence}", pytrace=False)
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def tools(programs: dict[str, Path]) -> dict[str, Path]:
    """Programs that check and encrypt manifests, in addition to the control plane's."""
    try:
        return {**programs, **building.find(building.MANIFESTS)}
    except building.ProgramsMissingError as error:
        _missing(str(error))
        raise


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """The shared control plane, with all resource definitions that the stack uses."""
    try:
        others = definitions()
    except DefinitionsMissingError as error:
        _missing(str(error))
        raise
    ours = yaml.safe_load((WEBHOOK / "base" / "crd-modelvalidations.yaml").read_text())
    control_plane.apply([ours, *others])
    return control_plane
