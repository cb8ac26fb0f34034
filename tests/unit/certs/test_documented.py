"""docs/certificates.md explains each event of the log, and no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from certs.metrics import PREFIX, Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "certificates.md").read_text()
LEVELS = {"info", "warning", "error"}


def events() -> Iterator[str]:
    """Yield the first argument of each call that logs, either one where it is a choice."""
    for path in (ROOT / "certs").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
            ):
                yield from (
                    each.value
                    for each in ast.walk(node.args[0])
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                )


def test_each_event_is_explained() -> None:
    """The table has exactly the events of the code."""
    (table,) = re.findall(r"\| `event` \|.*\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    explained = {
        name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])
    }
    assert explained == set(events())


def test_each_metric_is_named() -> None:
    """The page has exactly the metrics of the code."""
    registry = CollectorRegistry()
    Metrics(registry)
    names = {
        sample.name.removeprefix(f"{PREFIX}_")
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }
    (line,) = [line for line in PAGE.splitlines() if line.startswith("Metrics, on port 8080")]
    named = set(re.findall(r"`([a-z_]+)(?:\{[^`]*)?`", line)) - {f"{PREFIX}_"}
    assert named == names
