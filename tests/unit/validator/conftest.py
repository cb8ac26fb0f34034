"""Fixtures of the validator's unit tests."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.signed_model import FILES, Signer, Site, statement, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

NOBODY: Final = 65534


@pytest.fixture(scope="session")
def signer() -> Signer:
    """The signer of tests that name no other."""
    return Signer()


@pytest.fixture
def site(tmp_path: Path, signer: Signer) -> Site:
    """A directory `granite` of three files, honestly signed by a key."""
    model = write(tmp_path / "granite", FILES)
    made = Site(model, model / "model.sig", signer)
    made.sign(statement())
    return made


@pytest.fixture
def public_path() -> Iterator[Path]:
    """An empty directory that other users may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="model-validation-") as name:
        path = Path(name).resolve()
        path.chmod(0o755)
        yield path


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which file permissions count, although root runs the tests."""

    @contextlib.contextmanager
    def as_nobody() -> Iterator[None]:
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            if user == 0:
                os.seteuid(0)

    return as_nobody


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in the order in which they were signed, for tests that act between two."""
    monkeypatch.setattr("validator.tree.digests.hashing.shuffle", lambda _: None)
