"""The fixtures of the lane: its programs, the running services, and a model signed by them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server import building
from tests.e2e.sigstore.services import PROGRAMS, RealSigstore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LANE = "MODEL_VALIDATION_E2E_SIGSTORE"
"""Set to 1 by the lane, in whose network the services may listen."""


@pytest.fixture(scope="session")
def sigstore_programs() -> dict[str, Path]:
    """The services' programs, and Rekor's client."""
    if os.environ.get(LANE) != "1":
        pytest.skip("a real private Sigstore is built and tried by `make e2e-sigstore`")
    try:
        return building.find(PROGRAMS)
    except building.ProgramsMissingError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def real_sigstore(
    sigstore_programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealSigstore]:
    """Fulcio, Rekor v2 and the timestamp authority, running; the log grows."""
    with RealSigstore.start(sigstore_programs, tmp_path_factory.mktemp("sigstore")) as running:
        yield running
