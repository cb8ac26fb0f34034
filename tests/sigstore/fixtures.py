"""The private Sigstore as a fixture, one for all tests of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sigstore.private import PrivateSigstore

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def private_sigstore() -> Iterator[PrivateSigstore]:
    """A running private Sigstore; its log grows, nothing else of it changes."""
    with PrivateSigstore.start() as sigstore:
        yield sigstore
