"""Documents whose claims name tests name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_each_clause_names_a_test_that_exists() -> None:
    """A row without a test, or with one that was renamed, shows nothing."""
    rows = _rows((ROOT / "docs/conformance.md").read_text(), heads=("| clause", "| disagreement"))
    assert len(rows) > 50
    _assert_that_tests_exist(rows)


def test_each_claim_of_the_check_inside_vllm_names_a_test_that_exists() -> None:
    """As above, for the last table of docs/vllm.md."""
    _, _, table = (ROOT / "docs/vllm.md").read_text().partition("## Where each claim is tried")
    rows = _rows(table, heads=("| claim",))
    assert len(rows) > 5
    _assert_that_tests_exist(rows)


def _rows(text: str, *, heads: tuple[str, ...]) -> list[str]:
    """Return a table's rows without its head."""
    return [
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith(heads)
    ]


def _assert_that_tests_exist(rows: list[str]) -> None:
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
        assert named, row
        for file, test in named:
            texts = [path.read_text() for path in (ROOT / "tests").rglob(file)]
            assert any(f"def {test}(" in text for text in texts), f"{file}::{test}"
