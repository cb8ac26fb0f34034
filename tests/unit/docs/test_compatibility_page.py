"""Each claim of docs/compatibility.md says how it was tried, and by which test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs/compatibility.md"
MARK = re.compile(r"\*(run here|simulated|by its source)\*: ")


def rows() -> list[list[str]]:
    """Return the cells of each row of each table, without heads and rules."""
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[1] not in {"tried", "---"}:
            found.append(cells)
    return found


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_each_claim_is_marked_and_tested(row: list[str]) -> None:
    """One mark; what was run or simulated names tests that exist."""
    name, tried, _ = row
    marks = MARK.findall(tried)
    assert len(marks) == 1, f"{name}: {tried}"
    assert MARK.match(tried)
    paths = [
        TESTS / path for path in re.findall(r"`((?:unit|integration|sigstore|e2e)[\w/.]*)`", tried)
    ]
    if marks == ["by its source"]:
        assert not paths
        return
    assert paths, f"{name} names no test"
    for path in paths:
        assert path.is_dir() or "def test_" in path.read_text(), f"{path} holds no test"
        assert path.is_file() or list(path.rglob("test_*.py")) or list(path.glob("__main__.py"))


def test_every_table_has_its_claims_in_the_same_column() -> None:
    """So that no row escapes."""
    tables = [
        line for line in PAGE.read_text().splitlines() if re.match(r"\|[^|]*\| tried \|", line)
    ]
    headings = re.findall(r"^## ", PAGE.read_text(), re.MULTILINE)
    assert len(tables) == len(headings)
    assert len(rows()) > 30
