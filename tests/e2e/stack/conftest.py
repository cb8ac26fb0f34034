"""Fixtures of the stack's tests: programs, and a cluster that has all of its kinds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.api_server import building
from tests.e2e.api_server.control_plane import ControlPlane
from tests.e2e.api_server.fixtures import REQUIRE
from tests.e2e.api_server.installation.manifests import WEBHOOK
from tests.e2e.stack.static.definitions import DefinitionsMissingError, definitions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


@pytest.fixture(scope="module")
def cluster(
    programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A control plane of the module's own, with all resource definitions that the stack uses."""
    try:
        others = definitions()
    except DefinitionsMissingError as error:
        _missing(str(error))
        raise
    ours = yaml.safe_load((WEBHOOK / "base" / "crd.yaml").read_text())
    with ControlPlane(programs, folder=tmp_path_factory.mktemp("control-plane")) as running:
        running.apply([ours, *others])
        yield running
