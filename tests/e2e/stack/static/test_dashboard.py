"""The dashboard asks for metrics that exist."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from tests.e2e.stack import environments
from tests.e2e.stack.environments import EnvironmentMissingError
from tests.e2e.stack.static.manifests import STACK
from webhook.metrics import PREFIX, Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = STACK / "components" / "dashboards" / "llm.json"
SUFFIXES = "_(bucket|count|sum|total)$"


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels."""
    found: list[dict[str, Any]] = json.loads(FILE.read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    """Yield what each panel asks Prometheus."""
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])


def asked(prefix: str) -> set[str]:
    """Return the metrics with a prefix that are asked for."""
    return {name for each in expressions() for name in re.findall(rf"\b{prefix}\w+", each)}


def test_the_webhooks_metrics_are_its_own() -> None:
    """By the names and labels that its registry has."""
    metrics = Metrics(CollectorRegistry())
    metrics.count_policies(usable=1, broken=0)
    metrics.reviews.labels("/mutate", "allowed")
    metrics.seconds.labels("/mutate")
    metrics.watch.restarted("pods")
    metrics.live_reads.labels("found")
    known = {s.name: s.labels for family in metrics.registry.collect() for s in family.samples}
    assert asked(PREFIX)
    assert asked(PREFIX) <= known.keys()
    for each in expressions():
        names = re.findall(rf"\b{PREFIX}\w+", each)
        labels = {label for by in re.findall(r"by \(([^)]*)\)", each) for label in by.split(", ")}
        for name in names:
            assert labels <= known[name].keys(), each


def test_vllms_metrics_are_its_own() -> None:
    """By the names in the source of the vLLM that the stack is tried with."""
    try:
        vllm = environments.find("vllm")
    except EnvironmentMissingError as error:
        pytest.skip(str(error))
    (package,) = vllm.path.glob("lib/python*/site-packages/vllm")
    source = "\n".join(path.read_text() for path in (package / "v1" / "metrics").glob("*.py"))
    known = set(re.findall(r'name="(vllm:\w+)"', source))
    assert asked("vllm:")
    assert {re.sub(SUFFIXES, "", name) for name in asked("vllm:")} <= {
        re.sub(SUFFIXES, "", name) for name in known
    }


def test_panels_lie_side_by_side() -> None:
    """None over another, none past the edge of 24 columns, each with a name and a number."""
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert all(panel["title"] for panel in panels())
