"""Every kind of workload gets its gate, and Kubernetes' own plugins do not get in its way."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api
from kubernetes_asyncio.config import load_kube_config

from tests.e2e.api_server.admission.serving import GATE_IMAGE, in_force, running_webhook
from tests.e2e.api_server.control_plane import ControlPlane
from tests.e2e.api_server.other_webhook import other_webhook
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.webhook_registration import mutating_all, registered
from tests.e2e.api_server.workloads import KINDS, MODEL, pod_of, policy, vllm, vllm_spec, workload
from validator.contract import GATE_CONTAINER, SCRATCH_VOLUME, SERVICE_ACCOUNT_PATH

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.admission.serving import ServingWebhook
    from tests.e2e.api_server.control_plane import Document
    from tests.e2e.api_server.fixtures import NamespaceFactory, TeamFactory
    from tests.e2e.api_server.other_webhook import Patch

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force")]

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def init_names(pod: Document) -> list[str]:
    """Return the names of a pod's init containers, in their order."""
    return [str(each["name"]) for each in pod["spec"].get("initContainers", ())]


def gate_of(pod: Document) -> Document:
    """Return a pod's one gate."""
    gates = [each for each in pod["spec"]["initContainers"] if each["name"] == GATE_CONTAINER]
    assert len(gates) == 1
    return dict(gates[0])


def reviewed(webhook: ServingWebhook, namespace: str) -> list[str]:
    """Return the paths on which the webhook was asked about a namespace."""
    return [str(line["path"]) for line in webhook.lines() if line.get("namespace") == namespace]


def container(name: str, **changes: object) -> Document:
    """Return a container that does something else than serving, fit for "restricted"."""
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {"name": name, "image": "busybox:1", "securityContext": context} | changes


# Kinds


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_workload_gets_its_gate(
    kind: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """With `restricted` enforced, without a warning; the model is read-only for vLLM."""
    made = control_plane.create(workload(kind, team(RESTRICTED)))
    assert (made.status, made.warnings) == (201, ())
    pod = made.document
    if kind != "Pod":
        template = made.document["spec"].get("jobTemplate", made.document)["spec"]["template"]
        assert "initContainers" not in template["spec"]
        answer = control_plane.create(pod_of(made.document))
        assert (answer.status, answer.warnings) == (201, ()), answer.message
        pod = answer.document
    assert init_names(pod) == [GATE_CONTAINER]
    assert gate_of(pod)["image"] == GATE_IMAGE
    (mount, *_) = pod["spec"]["containers"][0]["volumeMounts"]
    assert mount == {
        "name": "model",
        "mountPath": "/models",
        "readOnly": True,
        "recursiveReadOnly": "IfPossible",
    }


def test_the_pod_of_a_workload_is_itself_the_next_template(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """A pod copied from a cluster, gate and defaults and all, is admitted unchanged."""
    name = team()
    first = control_plane.created(workload("Pod", name))
    copied = json.loads(json.dumps(first))
    copied["metadata"] = {"name": "copy", "namespace": name, "labels": first["metadata"]["labels"]}
    copied["spec"].pop("nodeName", None)
    second = control_plane.created(copied)
    assert second["spec"] == first["spec"]


def test_unlabelled_pods_are_not_touched(
    control_plane: ControlPlane, team: TeamFactory, webhook_in_force: ServingWebhook
) -> None:
    """The webhook is not even asked."""
    name = team()
    pod = control_plane.created(workload("Pod", name, label=None))
    assert init_names(pod) == []
    assert pod["spec"]["volumes"][0]["name"] == "model"
    assert reviewed(webhook_in_force, name) == []


# Kubernetes' own plugins


def test_the_gate_gets_no_token(control_plane: ControlPlane, team: TeamFactory) -> None:
    """ServiceAccount mounts one wherever nothing is mounted yet, and runs again after us."""
    pod = control_plane.created(workload("Pod", team()))
    at = {
        each["name"]: [
            mount["name"]
            for mount in each["volumeMounts"]
            if mount["mountPath"] == SERVICE_ACCOUNT_PATH
        ]
        for each in (*pod["spec"]["initContainers"], *pod["spec"]["containers"])
    }
    assert at[GATE_CONTAINER] == [SCRATCH_VOLUME]
    assert [name.startswith("kube-api-access-") for name in at["vllm"]] == [True]


def test_several_containers_with_tokens(control_plane: ControlPlane, team: TeamFactory) -> None:
    """Each has its own token mount; the gate copies none of them."""
    spec = vllm_spec(containers=[vllm(), container("metrics"), container("proxy")])
    answer = control_plane.create(workload("Pod", team(), spec=spec))
    assert answer.status == 201, answer.message
    assert len(gate_of(answer.document)["volumeMounts"]) == 2


def limit_range(namespace: str, **limits: Document) -> Document:
    """Return a LimitRange on containers."""
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "limits", "namespace": namespace},
        "spec": {"limits": [{"type": "Container", **limits}]},
    }


def created_once_limited(control_plane: ControlPlane, pod: Document, *, limit: str) -> Document:
    """Return a pod that is created when the plugin's cache knows the LimitRange."""

    def known() -> bool:
        return limit in json.dumps(control_plane.create(pod, dry_run=True).document)

    until(known, what="the LimitRange is in force")
    return control_plane.created(pod)


def test_limit_range_defaults(control_plane: ControlPlane, team: TeamFactory) -> None:
    """Resources that it adds to the gate do no harm; the CPU is the workload's."""
    name = team()
    amounts = {"cpu": "700m", "memory": "2Gi", "ephemeral-storage": "3Gi"}
    control_plane.created(limit_range(name, default=amounts, defaultRequest=amounts))
    pod = workload("Pod", name, spec=vllm_spec(containers=[vllm(resources={})]))
    gate = gate_of(created_once_limited(control_plane, pod, limit="3Gi"))
    own = {"cpu": "700m", "memory": "256Mi", "ephemeral-storage": "3Gi"}
    assert gate["resources"] == {"limits": own, "requests": own}


def test_a_limit_range_that_the_gate_is_too_small_for(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """The refusal is Kubernetes' own; the policy's `resources` are the way out."""
    amounts = {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    name = team()
    control_plane.created(limit_range(name, min={"memory": "512Mi"}))
    pod = workload("Pod", name)

    def refused() -> bool:
        answer = control_plane.create(pod, dry_run=True)
        return "minimum memory usage per Container is 512Mi" in answer.message

    until(refused, what="the LimitRange is in force")
    control_plane.created(policy(name, name="roomy", resources=amounts))
    pod["metadata"]["labels"]["validation.rhtas.redhat.com/ml"] = "roomy"
    assert gate_of(control_plane.created(pod))["resources"]["limits"]["memory"] == "1Gi"


@pytest.mark.parametrize("resource", ["cpu", "memory"])
def test_a_quota_that_demands_requests_and_limits(
    resource: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """The gate names both, and costs nothing: it runs before the workload."""
    name = team()
    request, limit = {"cpu": ("2", "4"), "memory": ("8Gi", "16Gi")}[resource]
    control_plane.make_quota(name, {f"requests.{resource}": request, f"limits.{resource}": limit})
    without = workload("Pod", name, spec=vllm_spec(containers=[vllm(resources={})]))
    exactly = vllm(resources={"requests": {resource: request}, "limits": {resource: limit}})

    def demanded() -> bool:
        return "must specify" in control_plane.create(without, dry_run=True).message

    until(demanded, what="the quota is enforced")
    answer = control_plane.create(workload("Pod", name, spec=vllm_spec(containers=[exactly])))
    assert answer.status == 201, answer.message
    used = control_plane.call("GET", f"/api/v1/namespaces/{name}/resourcequotas/quota")
    assert used.document["status"]["used"] == used.document["status"]["hard"]


def test_always_pull_images(programs: dict[str, Path], tmp_path: Path) -> None:
    """The plugin changes the gate's pull policy after the webhook; no other change passes."""
    (tmp_path / "control-plane").mkdir()
    with (
        ControlPlane(
            programs, folder=tmp_path / "control-plane", admission_plugins=["AlwaysPullImages"]
        ) as own,
        running_webhook(own, tmp_path) as webhook,
        in_force(own, webhook),
    ):
        own.make_namespace("team")
        own.created(policy("team", revalidation={}))
        pod = own.created(workload("Pod", "team"))
    assert [each["imagePullPolicy"] for each in pod["spec"]["initContainers"]] == ["Always"] * 2


@pytest.mark.parametrize(
    ("pod_level", "container_level", "user"),
    [
        ({"runAsNonRoot": True}, {}, 65532),
        ({"runAsNonRoot": True, "runAsUser": 1001, "fsGroup": 2000}, {}, 1001),
        ({"runAsNonRoot": True, "runAsUser": 1001}, {"runAsUser": 1002, "runAsGroup": 7}, 1002),
    ],
)
def test_pod_security_restricted(
    pod_level: Document,
    container_level: Document,
    user: int,
    control_plane: ControlPlane,
    team: TeamFactory,
) -> None:
    """The gate passes as the workload's user and in its groups, for each user."""
    context = {"seccompProfile": {"type": "RuntimeDefault"}} | pod_level
    served = vllm(securityContext=container("x")["securityContext"] | container_level)
    spec = vllm_spec(securityContext=context, containers=[served])
    answer = control_plane.create(workload("Pod", team(RESTRICTED), spec=spec))
    assert (answer.status, answer.warnings) == (201, ()), answer.message
    gate = gate_of(answer.document)["securityContext"]
    assert (gate["runAsUser"], gate["runAsNonRoot"]) == (user, True)
    assert gate.get("runAsGroup") == container_level.get("runAsGroup")
    assert answer.document["spec"]["securityContext"] == context


def test_a_workload_that_runs_as_root(control_plane: ControlPlane, team: TeamFactory) -> None:
    """The gate follows it, or could not read its files, with no capability at all."""
    spec = vllm_spec(securityContext={"runAsUser": 0}, containers=[vllm(securityContext={})])
    pod = control_plane.created(workload("Pod", team(), spec=spec))
    gate = gate_of(pod)["securityContext"]
    assert (gate["runAsUser"], gate["runAsNonRoot"]) == (0, False)
    assert gate["capabilities"] == {"drop": ["ALL"]}


def test_runtime_class_overhead(control_plane: ControlPlane, team: TeamFactory) -> None:
    """The plugin adds the overhead to a pod with a gate as to any other."""
    overhead = {"podFixed": {"cpu": "250m", "memory": "160Mi"}}
    kind = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": "sandbox"}
    control_plane.apply([kind | {"metadata": {"name": "sandboxed"}, "overhead": overhead}])
    pod = workload("Pod", team(), spec=vllm_spec(runtimeClassName="sandboxed"))
    until(
        lambda: control_plane.create(pod, dry_run=True).status == 201,
        what="the RuntimeClass is known",
    )
    assert control_plane.created(pod)["spec"]["overhead"] == overhead["podFixed"]


# Other webhooks


def test_a_sidecar_that_another_webhook_adds(
    control_plane: ControlPlane, team: TeamFactory, webhook_in_force: ServingWebhook, tmp_path: Path
) -> None:
    """A mesh's sidecar comes in, and what it mounts of the model becomes read-only."""
    name = team(RESTRICTED)
    proxy = container("proxy", volumeMounts=[{"name": "model", "mountPath": "/cache"}])
    add = [{"op": "add", "path": "/spec/containers/-", "value": proxy}]

    def once(pod: Document) -> Patch:
        return [] if len(pod["spec"]["containers"]) > 1 else add

    with (
        other_webhook(tmp_path, patch=once) as mesh,
        registered(control_plane, mutating_all(mesh.endpoint, name="zzz-mesh")),
    ):
        answer = control_plane.create(workload("Pod", name))
    assert answer.status == 201, answer.message
    mount = answer.document["spec"]["containers"][1]["volumeMounts"][0]
    assert (mount["mountPath"], mount["readOnly"]) == ("/cache", True)
    assert any("'/cache' has become read-only" in sentence for sentence in answer.warnings)
    assert reviewed(webhook_in_force, name) == ["/mutate", "/mutate", "/validate"]


def test_asked_again_it_changes_nothing(
    control_plane: ControlPlane, team: TeamFactory, webhook_in_force: ServingWebhook, tmp_path: Path
) -> None:
    """A pod with both labels is reviewed once for each, and again after other webhooks."""
    name = team()
    pod = workload("Pod", name)
    pod["metadata"]["labels"]["validation.ml.sigstore.dev/ml"] = "true"
    add = [{"op": "add", "path": "/metadata/labels/other", "value": "yes"}]
    with (
        other_webhook(tmp_path, patch=lambda _: add) as other,
        registered(control_plane, mutating_all(other.endpoint, name="zzz-other")),
    ):
        made = control_plane.created(pod)
    assert init_names(made) == [GATE_CONTAINER]
    volumes = [volume["name"] for volume in made["spec"]["volumes"]]
    assert volumes.count(SCRATCH_VOLUME) == 1
    assert reviewed(webhook_in_force, name).count("/mutate") >= 3


# How people create and change


def test_dry_run_shows_the_gate_and_stores_nothing(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """`kubectl apply --dry-run=server` prints the pod as it would be."""
    name = team()
    given = json.dumps(workload("Pod", name))
    for way in ([], ["--server-side"]):
        command = ["apply", *way, "--dry-run=server", "-o", "json", "-f", "-"]
        shown = control_plane.kubectl(*command, given=given)
        assert init_names(json.loads(shown.stdout)) == [GATE_CONTAINER]
    assert control_plane.call("GET", f"/api/v1/namespaces/{name}/pods/vllm").status == 404


def test_policy_and_pod_in_one_file(
    control_plane: ControlPlane, namespace: NamespaceFactory
) -> None:
    """The pod comes before the watch has told of the policy: it is read live."""
    for _ in range(5):
        name = namespace()
        documents = yaml.safe_dump_all([policy(name), workload("Pod", name)])
        control_plane.kubectl("apply", "-f", "-", given=documents)
        pod = control_plane.call("GET", f"/api/v1/namespaces/{name}/pods/vllm").document
        assert init_names(pod) == [GATE_CONTAINER]


@pytest.mark.parametrize("way", [("create",), ("apply",), ("apply", "--server-side")])
def test_kubectl(way: tuple[str, ...], control_plane: ControlPlane, team: TeamFactory) -> None:
    """Each way of kubectl gets a gate; warnings come through."""
    name = team()
    given = json.dumps(workload("Pod", name))
    made = control_plane.kubectl(*way, "-f", "-", given=given)
    assert made.stderr == ""
    pod = control_plane.call("GET", f"/api/v1/namespaces/{name}/pods/vllm").document
    assert init_names(pod) == [GATE_CONTAINER]


@pytest.mark.parametrize("way", [("apply",), ("apply", "--server-side")])
def test_applying_a_pod_again(
    way: tuple[str, ...], control_plane: ControlPlane, team: TeamFactory
) -> None:
    """Applying a manifest again neither removes the webhook's additions nor fails on them."""
    name = team()
    path, given = f"/api/v1/namespaces/{name}/pods/vllm", json.dumps(workload("Pod", name))
    control_plane.kubectl(*way, "-f", "-", given=given)
    before = control_plane.call("GET", path).document["spec"]
    control_plane.kubectl(*way, "-f", "-", given=given)
    assert control_plane.call("GET", path).document["spec"] == before


def test_an_update_does_not_ask_the_webhook(
    control_plane: ControlPlane, team: TeamFactory, webhook_in_force: ServingWebhook
) -> None:
    """Annotations, labels, finalizers and the kubelet's status are changed without us."""
    name = team()
    control_plane.created(workload("Pod", name))
    control_plane.kubectl("annotate", "-n", name, "pod", "vllm", "a=b")
    control_plane.kubectl("label", "-n", name, "pod", "vllm", "a=b")
    status = {"status": {"phase": "Running"}}
    path = f"/api/v1/namespaces/{name}/pods/vllm/status"
    merge = "application/merge-patch+json"
    assert control_plane.call("PATCH", path, status, content_type=merge).status == 200
    assert reviewed(webhook_in_force, name) == ["/mutate", "/validate"]


def test_a_client_library(control_plane: ControlPlane, team: TeamFactory) -> None:
    """A client library's request, and the typed pod that it gets back."""
    name = team()

    async def create() -> list[str]:
        configuration = Configuration()
        await load_kube_config(
            config_file=str(control_plane.kubeconfig), client_configuration=configuration
        )
        async with ApiClient(configuration) as client:
            pod: Any = workload("Pod", name)  # typed as V1Pod, yet it takes what it would send
            made = await CoreV1Api(client).create_namespaced_pod(name, pod)
        return [each.name for each in made.spec.init_containers]

    assert asyncio.run(create()) == [GATE_CONTAINER]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_policys_csi_volume_needs_the_namespaces_label(
    control_plane: ControlPlane, team: TeamFactory, *, allowed: bool
) -> None:
    """A driver's name is one of a label, which the API server takes as docs/upgrading.md says."""
    driver = "gcsfuse.csi.storage.gke.io"
    labels = {f"csi-driver.validation.rhtas.redhat.com/{driver}": "true"} if allowed else {}
    name = team(labels, model={"volume": {"csi": {"driver": driver}}})
    spec = vllm_spec()
    spec["containers"][0].pop("volumeMounts")
    spec.pop("volumes")
    answer = control_plane.create(workload("Pod", name, spec=spec))
    assert answer.status == (201 if allowed else 403), answer.message
    if allowed:
        volumes = answer.document["spec"]["volumes"]
        assert [each["csi"]["driver"] for each in volumes if "csi" in each] == [driver]
    else:
        assert f"label it csi-driver.validation.rhtas.redhat.com/{driver}" in answer.message


def test_a_policy_brings_its_volume_along(control_plane: ControlPlane, team: TeamFactory) -> None:
    """A pod without volume and mount gets both, at the policy's path."""
    name = team(model={"volume": {"persistentVolumeClaim": {"claimName": "shared"}}})
    spec = vllm_spec(containers=[vllm(volumeMounts=[])], volumes=[])
    pod = control_plane.created(workload("Pod", name, spec=spec))
    mounts = {each["mountPath"]: each for each in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounts[MODEL]["readOnly"]
    claims = [volume.get("persistentVolumeClaim") for volume in pod["spec"]["volumes"]]
    assert {"claimName": "shared"} in claims
