"""The alerts and the dashboard: they ask for metrics and labels that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from prometheus_client import CollectorRegistry

from webhook import metrics as of_webhook
from webhook.observe import metrics as of_observe
from webhook.observe.metrics import Held
from webhook.observe.pods import Pods
from webhook.observe.policies import Policies

if TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, Any]
COMPONENTS = Path(__file__).parents[4] / "manifests" / "webhook" / "components"
GROUPS = yaml.safe_load((COMPONENTS / "alerts" / "rules.yaml").read_text())["spec"]["groups"]
PANELS = json.loads((COMPONENTS / "dashboard" / "model-validation.json").read_text())["panels"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
OF_PROMETHEUS = {"job", "pod", "namespace", "instance"}
"""Labels that it gives to each target's series."""


def known() -> dict[str, set[str]]:
    """Return the metrics of both programs, with their labels."""
    registry = CollectorRegistry()
    webhook = of_webhook.Metrics(registry)
    webhook.count_policies(usable=1, broken=0)
    webhook.count_cluster_objects("x", usable=1, broken=0, left_out=False)
    webhook.reviews.labels("/mutate", "allowed")
    webhook.seconds.labels("/mutate")
    webhook.watch.heard("modelvalidations")
    webhook.certificate_expiry.set(1)
    observe = of_observe.Metrics(registry)
    observe.watch.heard("pods")
    registry.register(Held(Pods(), Policies()))
    return {s.name: set(s.labels) for family in registry.collect() for s in family.samples}


def expressions() -> Iterator[str]:
    """Yield all that Prometheus is asked."""
    yield from (rule["expr"] for rule in RULES)
    for panel in PANELS:
        yield from (target["expr"] for target in panel["targets"])


def test_all_metrics_exist() -> None:
    """By their names and labels."""
    metrics = known()
    for expression in expressions():
        names = re.findall(r"\bmodel_validation_\w+", expression)
        if "{__name__=~" in expression:
            (pattern,) = re.findall(r'__name__=~"([^"]*)"', expression)
            names = [name for name in metrics if re.fullmatch(pattern, name)]
            assert len(names) == 2
        assert set(names) <= metrics.keys(), expression
        labels = {
            each for by in re.findall(r"by \(([^)]*)\)", expression) for each in by.split(", ")
        }
        labels |= set(re.findall(r"[{,](\w+)=~?", expression)) - {"__name__"}
        for name in names:
            assert labels - OF_PROMETHEUS <= metrics[name], expression


def test_sentences_name_labels_that_the_alerts_have() -> None:
    """An empty name in a sentence helps nobody."""
    for rule in RULES:
        (by,) = re.findall(r"by \(([^)]*)\)", rule["expr"]) or [""]
        kept = set(by.split(", ")) if by else OF_PROMETHEUS | {"resource"}
        text = "".join(rule["annotations"].values())
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= kept, rule["alert"]


def test_panels_lie_side_by_side() -> None:
    """None over another, none past the edge of 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        across, down = range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        cells = {(x, y) for x in across for y in down}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
