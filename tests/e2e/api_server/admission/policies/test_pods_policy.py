"""The always-on policy on pods: what holds with the webhook, and what holds without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.admission.policies.in_force import denied
from tests.e2e.api_server.admission.serving import GATE_IMAGE, in_force
from tests.e2e.api_server.webhook_registration import LABEL_KEYS
from tests.e2e.api_server.workloads import KINDS, pod_of, vllm_spec, workload
from validator.contract import GATE_CONTAINER, MONITOR_CONTAINER

if TYPE_CHECKING:
    from tests.e2e.api_server.admission.serving import ServingWebhook
    from tests.e2e.api_server.control_plane import Answer, ControlPlane, Document
    from tests.e2e.api_server.fixtures import TeamFactory

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
KEYS = pytest.mark.parametrize("key", LABEL_KEYS)
GATE = {"name": GATE_CONTAINER, "image": GATE_IMAGE}

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("policies")]


def labelled(namespace: str, key: str = LABEL_KEYS[0], **spec: object) -> Document:
    """Return a pod that carries the label `key`, and a gate unless `spec` says otherwise."""
    whole = vllm_spec(**({"initContainers": [GATE]} | spec))
    pod = workload("Pod", namespace, label=None, spec=whole)
    pod["metadata"]["labels"][key] = "true"
    return pod


@dataclass(frozen=True, slots=True)
class Live:
    """A namespace with one pod, which is changed as clients, kubelets and controllers do."""

    control_plane: ControlPlane
    namespace: str

    @property
    def path(self) -> str:
        """The pod's."""
        return f"/api/v1/namespaces/{self.namespace}/pods/vllm"

    def change(self, body: Document, *, sub: str = "", how: str = STRATEGIC) -> Answer:
        """Patch the pod or one of its subresources."""
        return self.control_plane.call("PATCH", f"{self.path}{sub}", body, content_type=how)

    def label(self, key: str) -> str | None:
        """Return the pod's label."""
        labels: dict[str, str] = self.control_plane.call("GET", self.path).document["metadata"][
            "labels"
        ]
        return labels.get(key)


@pytest.fixture
def live(control_plane: ControlPlane, team: TeamFactory) -> Live:
    """The namespace; the test creates the pod."""
    return Live(control_plane, team())


# CREATE


@KEYS
def test_a_pod_without_a_gate(key: str, control_plane: ControlPlane, team: TeamFactory) -> None:
    """With the webhook's configuration missing, nothing that is labelled starts."""
    for spec in ({}, {"initContainers": [GATE | {"name": "other"}]}):
        pod = labelled(team(), key, **{"initContainers": []} | spec)
        denied(control_plane.create(pod), "has no init container 'model-validation'")


def test_a_gate_that_is_a_sidecar(control_plane: ControlPlane, team: TeamFactory) -> None:
    """Nothing waits for what restarts always."""
    pod = labelled(team(), initContainers=[GATE | {"restartPolicy": "Always"}])
    denied(control_plane.create(pod), "has no init container 'model-validation'")


@KEYS
def test_a_static_pod(key: str, control_plane: ControlPlane, team: TeamFactory) -> None:
    """Its mirror pod must not look as if a gate had run."""
    pod = labelled(team(), key, nodeName="node-1")
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "0123"}
    denied(control_plane.create(pod), "a node starts a static pod without asking")


@KEYS
@pytest.mark.parametrize("field", ["hostPID", "shareProcessNamespace"])
def test_a_shared_process_namespace(
    field: str, key: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """Others could reach into the gate's memory."""
    denied(control_plane.create(labelled(team(), key, **{field: True})), f"spec.{field}")
    assert control_plane.create(labelled(team(), key, **{field: False})).status == 201


@pytest.mark.parametrize("kind", KINDS)
def test_unlabelled_workloads_are_free(
    kind: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """No expression is evaluated for them, whatever they do."""
    spec = vllm_spec(hostPID=True)
    made = control_plane.created(workload(kind, team(), label=None, spec=spec))
    if kind != "Pod":
        control_plane.created(pod_of(made))


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_webhook_all_workloads_pass(
    kind: str, control_plane: ControlPlane, team: TeamFactory, serving_webhook: ServingWebhook
) -> None:
    """The policy sees a pod as the webhook has left it."""
    with in_force(control_plane, serving_webhook):
        made = control_plane.created(workload(kind, team()))
        if kind != "Pod":
            control_plane.created(pod_of(made))


# UPDATE


@KEYS
@pytest.mark.parametrize("sub", ["", "/status", "/ephemeralcontainers", "/resize"])
@pytest.mark.parametrize(
    "values",
    [(None, "true"), (None, ""), ("true", None), ("true", "lax"), ("true", "false")],
    ids=str,
)
def test_the_label_stays_as_it_is(
    values: tuple[str | None, str | None], sub: str, key: str, live: Live
) -> None:
    """Taken off, put on or changed later it would say what is not so; by no subresource."""
    before, after = values
    pod = labelled(live.namespace, key)
    if before is None:
        del pod["metadata"]["labels"][key]
    live.control_plane.created(pod)
    answer = live.change({"metadata": {"labels": {key: after}}}, sub=sub)
    if sub in {"", "/status"}:
        denied(answer, "cannot be added, changed or taken off later")
    assert live.label(key) == before


@KEYS
@pytest.mark.parametrize("legacy", [False, True])
def test_a_binding_brings_no_label(
    legacy: bool,  # noqa: FBT001 — a parameter of the test
    key: str,
    control_plane: ControlPlane,
    team: TeamFactory,
) -> None:
    """A scheduler's Binding has its labels copied to the pod, over what is there."""
    name = team()
    control_plane.created(labelled(name))
    pods = f"/api/v1/namespaces/{name}"
    path = f"{pods}/bindings" if legacy else f"{pods}/pods/vllm/binding"
    binding: Document = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "vllm", "labels": {key: "lax"}},
        "target": {"kind": "Node", "name": "node-1"},
    }
    denied(control_plane.call("POST", path, binding), "a Binding must not carry")
    binding["metadata"]["labels"] = {"topology.kubernetes.io/zone": "a"}
    assert control_plane.call("POST", path, binding).status == 201


@KEYS
@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [{"name": "vllm", "image": "evil:1"}]},
        {"initContainers": [{"name": GATE_CONTAINER, "image": "evil:1"}]},
        {"initContainers": [{"name": "fetch", "image": "evil:1"}]},
    ],
    ids=["workload", "gate", "another init container"],
)
@pytest.mark.parametrize("phase", ["Pending", "Running"])
def test_images_stay_as_they_are(spec: Document, phase: str, key: str, live: Live) -> None:
    """Kubernetes would restart a container with another image, without its gate."""
    init = [{"name": "fetch", "image": "busybox:1"}, GATE]
    live.control_plane.created(labelled(live.namespace, key, initContainers=init))
    assert live.change({"status": {"phase": phase}}, sub="/status", how=MERGE).status == 200
    denied(live.change({"spec": spec}), "the containers and images of a pod")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("container", [GATE_CONTAINER, MONITOR_CONTAINER])
def test_no_program_runs_beside_the_verification(method: str, container: str, live: Live) -> None:
    """`kubectl exec` reaches the workload, and neither the gate nor its monitor."""
    live.control_plane.created(labelled(live.namespace))
    path = f"{live.path}/exec?command=true&container="
    denied(live.control_plane.call(method, path + container), "no program can be run in the")
    for other in ("vllm", ""):
        assert "denied request" not in live.control_plane.call(method, path + other).message


def test_images_of_other_pods_may_change(live: Live) -> None:
    """Unlabelled pods are not affected."""
    live.control_plane.created(workload("Pod", live.namespace, label=None))
    body = {"spec": {"containers": [{"name": "vllm", "image": "other:1"}]}}
    assert live.change(body).status == 200


def test_all_else_may_change(live: Live) -> None:
    """Other labels, annotations, owners, finalizers, deadlines, gates of scheduling, status."""
    gated = labelled(live.namespace, schedulingGates=[{"name": "test.example/wait"}])
    made = live.control_plane.created(gated)
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": made["metadata"]["uid"]}
    ready = {"type": "Ready", "status": "True"}
    changes: list[tuple[str, Document]] = [
        ("", {"metadata": {"labels": {"pod-template-hash": "abc"}}}),
        ("", {"metadata": {"annotations": {"a": "b"}}}),
        ("", {"metadata": {"ownerReferences": [owner]}}),
        ("", {"metadata": {"finalizers": ["test.example/kept"]}}),
        ("", {"spec": {"activeDeadlineSeconds": 60}}),
        ("", {"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}}),
        ("", {"spec": {"schedulingGates": []}}),
        ("/status", {"status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [ready]}}),
        ("", {"metadata": {"finalizers": []}}),
    ]
    for sub, body in changes:
        answer = live.change(body, sub=sub, how=MERGE)
        assert answer.status == 200, (body, answer.message)


def test_templates_may_change(control_plane: ControlPlane, team: TeamFactory) -> None:
    """Scaling, another image, label on or off: in a template they make new pods."""
    name = team()
    control_plane.created(workload("Deployment", name))
    control_plane.kubectl("scale", "-n", name, "deployment", "vllm", "--replicas=3")
    control_plane.kubectl("set", "image", "-n", name, "deployment", "vllm", "vllm=other:1")
    body = {"spec": {"template": {"metadata": {"labels": {LABEL_KEYS[0]: None}}}}}
    path = f"/apis/apps/v1/namespaces/{name}/deployments/vllm"
    assert control_plane.call("PATCH", path, body, content_type=MERGE).status == 200


def test_with_the_webhook_down_pods_are_updated_and_deleted(
    live: Live, serving_webhook: ServingWebhook
) -> None:
    """The API server alone enforces the policies, and admits other changes."""
    control_plane = live.control_plane
    with in_force(control_plane, serving_webhook):
        control_plane.created(workload("Pod", live.namespace))
        serving_webhook.program.kill()
        try:
            body = {"spec": {"containers": [{"name": "vllm", "image": "evil:1"}]}}
            denied(live.change(body), "the containers and images of a pod")
            assert live.change({"metadata": {"finalizers": ["test.example/a"]}}).status == 200
            assert live.change({"metadata": {"finalizers": None}}, how=MERGE).status == 200
            deleted = control_plane.call("DELETE", f"{live.path}?gracePeriodSeconds=0")
            assert deleted.status == 200
            assert control_plane.call("GET", live.path).status == 404
        finally:
            serving_webhook.start()
