"""`mode: Audit` stops nothing: neither the webhook nor the API server's own policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.admission.policies.in_force import denied
from tests.e2e.api_server.admission.serving import GATE_IMAGE
from tests.e2e.api_server.workloads import vllm_spec, workload
from validator.contract import AUDIT_ANNOTATION, GATE_CONTAINER, LABEL

if TYPE_CHECKING:
    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import TeamFactory

GATE = {"name": GATE_CONTAINER, "image": GATE_IMAGE}
STRATEGIC = "application/strategic-merge-patch+json"
REQUIRE = {"validation.rhtas.redhat.com/require": "true"}

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force", "policies")]

REFUSED_UNDER_ENFORCE: dict[str, Document] = {
    "no volume holds the model": {"volumes": [], "containers": [{"name": "vllm", "image": "vllm"}]},
    "hostPID": {"hostPID": True},
    "shareProcessNamespace": {"shareProcessNamespace": True},
    "a gate of its own": {"containers": [{**GATE, "name": GATE_CONTAINER}], "initContainers": []},
    "a sidecar for a gate": {"initContainers": [{**GATE, "restartPolicy": "Always"}]},
    "another image for the gate": {"initContainers": [{**GATE, "image": "busybox"}]},
}


def pod(namespace: str, **spec: object) -> Document:
    """Return a labelled pod that serves the model."""
    return workload("Pod", namespace, spec=vllm_spec(**spec))


@pytest.mark.parametrize("case", REFUSED_UNDER_ENFORCE)
def test_what_enforce_refuses_is_admitted(
    case: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """And refused under Enforce, as ever."""
    spec = REFUSED_UNDER_ENFORCE[case]
    made = control_plane.created(pod(team(mode="Audit"), **spec))
    assert made["metadata"]["annotations"][AUDIT_ANNOTATION] == "granite"
    replaced = case in {"a sidecar for a gate", "another image for the gate"}
    assert (control_plane.create(pod(team(), **spec)).status == 201) is replaced


def test_a_static_pod_is_shown(control_plane: ControlPlane, team: TeamFactory) -> None:
    """Its kubelet has started it already."""
    mirror = pod(team(mode="Audit"), nodeName="node-1")
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "0123"}
    control_plane.created(mirror)


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"labels": {LABEL: "other"}}},
        {"metadata": {"labels": {LABEL: None}}},
        {"spec": {"containers": [{"name": "vllm", "image": "another"}]}},
    ],
    ids=["label changed", "label taken off", "image"],
)
def test_a_pod_is_changed(change: Document, control_plane: ControlPlane, team: TeamFactory) -> None:
    """A change that Enforce refuses."""
    for mode, status in (("Audit", 200), ("Enforce", 403)):
        namespace = team(mode=mode)
        control_plane.created(pod(namespace))
        path = f"/api/v1/namespaces/{namespace}/pods/vllm"
        answer = control_plane.call("PATCH", path, change, content_type=STRATEGIC)
        assert answer.status in ({200} if status == 200 else {403, 422}), answer.message


@pytest.mark.parametrize(("mode", "mark"), [("Enforce", "granite"), ("Audit", None)])
def test_the_mark_is_nobodys_to_write(
    mode: str, mark: str | None, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """Not at the creation, where the webhook decides, and not later."""
    namespace = team(mode=mode)
    given = pod(namespace)
    given["metadata"]["annotations"] = {AUDIT_ANNOTATION: "forged"}
    made = control_plane.created(given)["metadata"].get("annotations", {})
    assert made.get(AUDIT_ANNOTATION) == ("granite" if mode == "Audit" else None)
    path = f"/api/v1/namespaces/{namespace}/pods/vllm"
    change = {"metadata": {"annotations": {AUDIT_ANNOTATION: mark}}}
    answer = control_plane.call("PATCH", path, change, content_type=STRATEGIC)
    denied(answer, "the annotation validation.rhtas.redhat.com/audit is the webhook's")


def test_the_admins_demand_is_not_lifted(control_plane: ControlPlane, team: TeamFactory) -> None:
    """In a namespace that demands the label, the annotation does not exempt a pod."""
    namespace = team(REQUIRE, mode="Audit")
    denied(control_plane.create(pod(namespace, hostPID=True)), "spec.hostPID")
