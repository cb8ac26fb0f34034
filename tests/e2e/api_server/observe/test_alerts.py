"""The alerts fire when they should, by Prometheus' own promtool."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.api_server.installation.manifests import WEBHOOK

if TYPE_CHECKING:
    from pathlib import Path

Document = dict[str, Any]
RULES_FILE = WEBHOOK / "components" / "alerts" / "rules.yaml"
GROUPS = yaml.safe_load(RULES_FILE.read_text())["spec"]["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]

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
    "ModelValidationClusterObjectBroken": (
        f'model_validation_webhook_cluster_objects{{{JOB},resource="x",state="broken"}}',
        "1x60",
        "0x60",
    ),
    "ModelValidationClusterKindLeftOut": (
        f'model_validation_webhook_cluster_kinds_left_out{{{JOB},resource="x"}}',
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


@pytest.mark.apiserver
def test_alerts_fire_when_they_should(promtool: Path, tmp_path: Path) -> None:
    """Half an hour of each series makes its alert fire, and another half hour does not."""
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
