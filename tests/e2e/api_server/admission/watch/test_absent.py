"""When the webhook, half of its configuration or a policy is missing: what stops, what goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.admission.serving import in_force
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.webhook_registration import registered, validating
from tests.e2e.api_server.workloads import vllm_spec, workload
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.admission.serving import ServingWebhook
    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import TeamFactory

pytestmark = pytest.mark.apiserver

MERGE = "application/merge-patch+json"


@pytest.fixture
def live_pod(
    control_plane: ControlPlane, team: TeamFactory, serving_webhook: ServingWebhook
) -> Iterator[str]:
    """The namespace of a pod that was admitted, with the webhook in force."""
    name = team()
    with in_force(control_plane, serving_webhook):
        control_plane.created(workload("Pod", name))
        yield name


@pytest.fixture
def down(serving_webhook: ServingWebhook, live_pod: str) -> Iterator[str]:
    """The same, and then the webhook is killed until the test has ended."""
    serving_webhook.program.kill()
    yield live_pod
    serving_webhook.start()


def _life_goes_on(control_plane: ControlPlane, namespace: str) -> None:
    """Do with a live pod what controllers, the kubelet and people do; it is gone in the end."""
    path = f"/api/v1/namespaces/{namespace}/pods/vllm"
    changes: list[tuple[str, Document]] = [
        (path, {"metadata": {"finalizers": ["test.example/kept"]}}),
        (path, {"metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}}}),
        (path, {"spec": {"activeDeadlineSeconds": 60}}),
        (f"{path}/status", {"status": {"phase": "Running"}}),
        (path, {"metadata": {"finalizers": None}}),
    ]
    for where, change in changes:
        answer = control_plane.call("PATCH", where, change, content_type=MERGE)
        assert answer.status == 200, answer.message
    assert control_plane.call("DELETE", f"{path}?gracePeriodSeconds=0").status == 200
    assert control_plane.call("GET", path).status == 404


def test_labelled_pods_are_refused_while_we_are_down(
    control_plane: ControlPlane, down: str
) -> None:
    """And unlabelled ones are not."""
    pod = workload("Pod", down)
    pod["metadata"]["name"] = "new"
    answer = control_plane.create(pod)
    assert answer.status == 500
    assert "failed calling webhook" in answer.message
    del pod["metadata"]["labels"]
    assert control_plane.create(pod).status == 201


def test_no_ephemeral_container_is_added_while_we_are_down(
    control_plane: ControlPlane, down: str
) -> None:
    """A container that the webhook cannot review is not added."""
    answer = control_plane.call(
        "PATCH",
        f"/api/v1/namespaces/{down}/pods/vllm/ephemeralcontainers",
        {"spec": {"ephemeralContainers": [{"name": "debugger", "image": "busybox:1"}]}},
        content_type="application/strategic-merge-patch+json",
    )
    assert (answer.status, "failed calling webhook" in answer.message) == (500, True)


def test_live_pods_are_updated_and_deleted_while_we_are_down(
    control_plane: ControlPlane, down: str
) -> None:
    """Finalizers, labels, status: nothing of it asks us."""
    _life_goes_on(control_plane, down)


def test_live_pods_outlive_their_policy(control_plane: ControlPlane, live_pod: str) -> None:
    """A policy that is deleted holds no pod hostage; new ones are refused."""
    control_plane.kubectl("delete", "-n", live_pod, "modelvalidation", "granite")

    def refused() -> bool:
        pod = workload("Pod", live_pod)
        return "has no ModelValidation" in control_plane.create(pod, dry_run=True).message

    until(refused, what="pods are refused without their policy")
    _life_goes_on(control_plane, live_pod)


@pytest.mark.parametrize("own", [False, True])
def test_a_pod_that_was_not_mutated(
    own: bool,  # noqa: FBT001 — a parameter of the test
    control_plane: ControlPlane,
    team: TeamFactory,
    serving_webhook: ServingWebhook,
) -> None:
    """With the mutating configuration gone, the other one says so; an own gate is no gate."""
    gate = {"name": GATE_CONTAINER, "image": "evil:1", "command": ["true"]}
    spec = vllm_spec(initContainers=[gate]) if own else None
    with registered(control_plane, validating(serving_webhook.endpoint)):
        answer = control_plane.create(workload("Pod", team(), spec=spec))
    assert answer.status == 403
    expected = {
        False: "the pod has no init container 'model-validation': it has not been mutated",
        True: "initContainers[0] 'model-validation' runs the image 'evil:1', and the webhook wrote",
    }
    assert expected[own] in answer.message
