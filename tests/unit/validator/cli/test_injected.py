"""The gate's effect on its own process, and its message at the end."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from validator.cli.injected import make_undumpable
from validator.errors import Undecided


def test_a_process_that_cannot_be_protected_gives_no_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A kernel, or a seccomp profile, may refuse it: others could then change what we read."""
    refusing = SimpleNamespace(prctl=lambda *_: -1)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: refusing)
    with pytest.raises(Undecided, match="cannot protect its own process"):
        make_undumpable()
