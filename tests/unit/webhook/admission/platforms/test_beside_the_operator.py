"""One pod and two admission webhooks: the Go operator's, simulated, and ours, which comes last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.support.fakes import go_operator
from tests.support.pods import (
    IMAGE,
    NAMESPACE,
    SETTINGS,
    Document,
    mutated,
    pod,
    policy,
)
from validator import contract
from webhook.admission.pod import Manifest
from webhook.admission.validation import check_created

CONFIGURATIONS = Path(__file__).parents[5] / "manifests/webhook/base/configurations.yaml"


def labelled(**labels: str) -> Document:
    """Return a pod with these labels alone."""
    made = pod()
    made["metadata"]["labels"] = labels
    return made


def test_the_configurations_ask_for_our_label_alone() -> None:
    """A pod with the operator's label alone does not come to us, without operator-compat."""
    for configuration in yaml.safe_load_all(CONFIGURATIONS.read_text()):
        (webhook,) = configuration["webhooks"]
        assert webhook["objectSelector"] == {
            "matchExpressions": [{"key": contract.LABEL, "operator": "Exists"}]
        }
        assert configuration["metadata"]["name"] > "mutating-webhook-configuration"


def test_the_operator_leaves_a_pod_with_our_label_alone() -> None:
    """After ours, as on an update, and before ours."""
    given = labelled(**{contract.LABEL: "true"})
    assert go_operator.mutated(given) == given
    gated = mutated(given)
    assert go_operator.mutated(gated) == gated


def test_a_pod_with_both_labels_has_one_gate_and_it_is_ours() -> None:
    """The operator's container has the reserved name, so that ours takes its place."""
    given = labelled(**{contract.LABEL: "true", go_operator.LABEL: "demo"})
    theirs = go_operator.mutated(given)
    assert gates(theirs) == [go_operator.IMAGE]
    both = mutated(theirs)
    assert gates(both) == [IMAGE]
    assert both["metadata"]["finalizers"] == [f"{go_operator.DOMAIN}/finalizer"]
    check_created(Manifest(raw=both), policy(), gate=SETTINGS, namespace=NAMESPACE)
    # Asked again, neither changes anything: the operator finds a container of its name.
    assert go_operator.mutated(both) == both
    assert mutated(both) == both


def gates(given: Document) -> list[Any]:
    """Return the images of the containers with the reserved name."""
    init = given["spec"]["initContainers"]
    return [each["image"] for each in init if each["name"] == contract.GATE_CONTAINER]
