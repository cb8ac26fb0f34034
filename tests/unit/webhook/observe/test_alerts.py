"""The alerts and the dashboard: they ask for metrics that exist, and fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
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


JOB = 'job="model-validation-webhook-metrics",pod="w"'
OBSERVED = 'model_validation_observe_pods{namespace="llm",policy="granite",verdict='
FIRES: dict[str, tuple[str, str, str]] = {
    # alert: series, values that fire, values that do not
    "ModelValidationWebhookAbsent": (f"up{{{JOB}}}", "0x60", "1x60"),
    "ModelValidationWebhookReplicaDown": (f"up{{{JOB}}}", "0x60", "1x60"),
    "ModelValidationWebhookErrors": (
        f'model_validation_webhook_reviews_total{{{JOB},verdict="error"}}',
        "0+1x60",
        "7x60",
    ),
    "ModelValidationWatchStale": (
        f'model_validation_webhook_watch_heard_timestamp_seconds{{{JOB},resource="x"}}',
        "0x60",
        "0+60x60",
    ),
    "ModelValidationCertificateNearItsEnd": (
        f"model_validation_webhook_certificate_expiry_timestamp_seconds{{{JOB}}}",
        "500000x60",
        "900000x60",
    ),
    "ModelValidationPolicyBroken": (
        f'model_validation_webhook_policies{{{JOB},state="broken"}}',
        "1x60",
        "0x60",
    ),
    "ModelValidationNamespaceLeftOut": (
        f"model_validation_webhook_namespaces_left_out{{{JOB}}}",
        "1x60",
        "0x60",
    ),
    "ModelRefused": (f'{OBSERVED}"refused"}}', "2x60", "0x60"),
    "ModelChanged": (f'{OBSERVED}"unready"}}', "1x60", "0x60"),
    "ModelUnproven": (f'{OBSERVED}"unproven"}}', "1x60", "0x60"),
    "ModelValidationStatusNotWritten": (
        'model_validation_observe_status_writes_total{outcome="failed"}',
        "0+1x60",
        "3x60",
    ),
    "ModelValidationObserveLeftOut": (
        'model_validation_observe_left_out{resource="pods"}',
        "1x60",
        "0x60",
    ),
}


def test_each_alert_is_tried() -> None:
    """By `FIRES`."""
    assert FIRES.keys() == {rule["alert"] for rule in RULES}


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """Half an hour of each series makes its alert fire, and another half hour does not."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip(
            "no promtool: it is in Debian's package `prometheus`, and in each release of it"
        )
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": GROUPS}))
    tests = []
    for alert, (series, bad, good) in FIRES.items():
        for values, fires in ((bad, True), (good, False)):
            expression = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
            test: Document = {
                "name": f"{alert} {values}",
                "interval": "1m",
                "input_series": [{"series": series, "values": values}],
                "promql_expr_test": [
                    {
                        "expr": expression,
                        "eval_time": "30m",
                        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                    }
                ],
            }
            tests.append(test)
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "test.yaml").write_text(json.dumps(document))
    ran = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "test.yaml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
