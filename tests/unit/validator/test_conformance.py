"""docs/conformance.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_each_clause_names_a_test_that_exists() -> None:
    """A row without a test, or with one that was renamed, shows nothing."""
    rows = [
        line
        for line in (ROOT / "docs/conformance.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| clause")
    ]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
        assert named, row
        for file, test in named:
            texts = [path.read_text() for path in (ROOT / "tests").rglob(file)]
            assert any(f"def {test}(" in text for text in texts), f"{file}::{test}"
