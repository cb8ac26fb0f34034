"""The claims of a signature as lines for people."""

from __future__ import annotations

from validator.cli import inspect


def test_how_to_sign_for_a_quicker_verification_is_shown() -> None:
    """Where there is such advice; it depends on the machine."""
    found = {"method": "key", "files": 2}
    assert "advice: sign in shards" in inspect._lines(found | {"advice": "sign in shards"})
    assert not any(line.startswith("advice") for line in inspect._lines(found))
