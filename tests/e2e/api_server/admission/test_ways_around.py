"""Each known way around a gate, tried on a real API server: none leads past ours.

What the webhook answers to a pod's fields, one by one, is for the unit tests; here it is the
whole way, through the server's own plugins, subresources and caches. What the always-on
policy answers is in `test_pods_policy`; what happens without us, in `test_admission_absent`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.other_webhook import other_webhook
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.webhook_registration import LABEL_KEYS, mutating_all, registered
from tests.e2e.api_server.workloads import MODEL, pod_of, policy, vllm, vllm_spec, workload
from validator.contract import GATE_CONTAINER, MODEL_VOLUME, NAMESPACE_POLICY_LABEL, SCRATCH_VOLUME

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.admission.serving import ServingWebhook
    from tests.e2e.api_server.control_plane import Answer, ControlPlane, Document
    from tests.e2e.api_server.fixtures import NamespaceFactory, TeamFactory
    from tests.e2e.api_server.other_webhook import Patch

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force")]

LABEL = LABEL_KEYS[0]
OF_THE_POLICY = {"persistentVolumeClaim": {"claimName": "granite"}}
CLAIM = {"name": "model"} | OF_THE_POLICY
DATA = {"name": "data", "emptyDir": {}}
MOUNT = {"name": "model", "mountPath": "/models"}
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


def tool(name: str, *mounts: Document, **changes: Any) -> Document:
    """Return a container that does something else than serving."""
    return {"name": name, "image": "busybox:1", "volumeMounts": list(mounts)} | changes


def at(path: str, name: str = "model", **changes: Any) -> Document:
    """Return a volume mount."""
    return {"name": name, "mountPath": path} | changes


def pod_path(namespace: str) -> str:
    """Return the path of these tests' pod."""
    return f"/api/v1/namespaces/{namespace}/pods/vllm"


def named(pod: Document, name: str) -> Document:
    """Return the one container of a name among all of a pod's."""
    everything = [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
    (found,) = [each for each in everything if each["name"] == name]
    return dict(found)


def mounted(pod: Document, container: str, path: str) -> Document:
    """Return a container's mount at a path."""
    (found,) = [each for each in named(pod, container)["volumeMounts"] if each["mountPath"] == path]
    return dict(found)


def refused(answer: Answer, sentence: str) -> None:
    """Assert that the webhook refused, in these words."""
    assert answer.status == 403, answer.document
    assert "denied the request" in answer.message
    assert sentence in answer.message


# 1. Reserved names, spoofed markers


@pytest.mark.parametrize(
    "own",
    [
        tool(GATE_CONTAINER, command=["true"]),
        tool(GATE_CONTAINER, at("/data"), image="evil:1", env=[{"name": "A", "value": "b"}]),
        tool(GATE_CONTAINER, command=["sleep", "1"], restartPolicy="Always"),
    ],
    ids=["image", "mounts and environment", "native sidecar"],
)
def test_an_own_gate_is_replaced(
    own: Document, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """Nothing is left of what the pod brought under the gate's name."""
    name = team()
    spoofed = control_plane.created(
        workload("Pod", name, spec=vllm_spec(initContainers=[own])), dry_run=True
    )
    plain = control_plane.created(workload("Pod", name), dry_run=True)
    assert named(spoofed, GATE_CONTAINER) == named(plain, GATE_CONTAINER)


def test_annotations_have_no_say(control_plane: ControlPlane, team: TeamFactory) -> None:
    """Neither the Go operator's, by which a pod chose its policy, nor a mark of injection."""
    name = team()
    plain = control_plane.created(workload("Pod", name), dry_run=True)
    annotations = {
        "validation.ml.sigstore.dev/signature-path": "/evil/model.sig",
        "validation.ml.sigstore.dev/model-path": "/evil",
        "validation.ml.sigstore.dev/injected-at": "2026-01-01T00:00:00Z",
        "validation.rhtas.redhat.com/mode": "Audit",
        "validation.rhtas.redhat.com/injected": "true",
    }
    marked = control_plane.created(workload("Pod", name, annotations=annotations), dry_run=True)
    assert named(marked, GATE_CONTAINER) == named(plain, GATE_CONTAINER)


REFUSED: dict[str, tuple[Document, str]] = {
    # 1. Reserved names
    "a container with the gate's name": (
        vllm_spec(containers=[vllm(), tool(GATE_CONTAINER)]),
        "containers[1] 'model-validation' bears the name",
    ),
    "the scratch volume's name": (
        vllm_spec(volumes=[CLAIM, {"name": SCRATCH_VOLUME, "emptyDir": {}}]),
        "bears a name that is reserved for the gate",
    ),
    "the model volume's name": (
        vllm_spec(volumes=[CLAIM, {"name": MODEL_VOLUME, "emptyDir": {}}]),
        "bears a name that is reserved for the gate",
    ),
    # 6. Something else is served
    "another model": (
        vllm_spec(containers=[vllm(command=["vllm", "serve", "/data/other"])]),
        "/data/other",
    ),
    "another model by an option": (
        vllm_spec(containers=[vllm(command=["vllm", "serve"], args=["--model=/data/other"])]),
        "/data/other",
    ),
    "a hub's model": (
        vllm_spec(containers=[vllm(command=["vllm", "serve", "ibm-granite/granite-4.0"])]),
        "ibm-granite/granite-4.0",
    ),
    "another tokenizer": (
        vllm_spec(containers=[vllm(args=["--tokenizer=/data/tokenizer"])]),
        "/data/tokenizer",
    ),
    "adapters at run time": (
        vllm_spec(
            containers=[vllm(env=[{"name": "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "value": "1"}])]
        ),
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
    ),
    # 7. The model changes after the check, or beside it
    "a mount over a sub-path": (
        vllm_spec(
            containers=[vllm(volumeMounts=[MOUNT, at(f"{MODEL}/tokenizer", "data")])],
            volumes=[CLAIM, DATA],
        ),
        "but what is verified at /models/granite is the volume 'model'",
    ),
    "another volume in another container": (
        vllm_spec(containers=[vllm(), tool("x", at("/models", "data"))], volumes=[CLAIM, DATA]),
        "but what is verified at /models/granite is the volume 'model'",
    ),
    "subPathExpr": (
        vllm_spec(
            containers=[vllm(volumeMounts=[at(MODEL, subPathExpr="$(HF_HUB_OFFLINE)")])],
        ),
        "with subPathExpr",
    ),
    "a path with a slash at its end": (
        vllm_spec(
            containers=[vllm(), tool("x", MOUNT, at(f"{MODEL}/", "data"))], volumes=[CLAIM, DATA]
        ),
        "but what is verified at /models/granite is the volume 'data'",
    ),
    "a path with two slashes": (
        vllm_spec(
            containers=[vllm(volumeMounts=[MOUNT, at(f"/{MODEL}", "data")])], volumes=[CLAIM, DATA]
        ),
        "write '/models/granite'",
    ),
    "a path that climbs": (
        vllm_spec(
            containers=[vllm(volumeMounts=[MOUNT, at("/x/../models/granite", "data")])],
            volumes=[CLAIM, DATA],
        ),
        "'/x/../models/granite'",
    ),
    "mount propagation": (
        vllm_spec(
            containers=[vllm(volumeMounts=[at("/models", mountPropagation="HostToContainer")])]
        ),
        "mountPropagation",
    ),
    "a block device of the claim": (
        vllm_spec(
            containers=[
                vllm(),
                tool("x", volumeDevices=[{"name": "again", "devicePath": "/dev/model"}]),
            ],
            volumes=[CLAIM, CLAIM | {"name": "again"}],
        ),
        "as a block device",
    ),
    "a ConfigMap as the model": (
        vllm_spec(volumes=[{"name": "model", "configMap": {"name": "granite"}}]),
        "is a configMap, which changes under a running pod",
    ),
    "a Secret as the model": (
        vllm_spec(volumes=[{"name": "model", "secret": {"secretName": "granite"}}]),
        "is a secret, which changes under a running pod",
    ),
    "an image by its tag": (
        vllm_spec(volumes=[{"name": "model", "image": {"reference": "example.com/granite:1"}}]),
        "refer to it by digest",
    ),
    "no volume at all": (
        vllm_spec(containers=[vllm(volumeMounts=[])], volumes=[]),
        "no container mounts a volume at or above the model's path /models/granite",
    ),
    # Privileges by which a verdict is undone
    "hostPID": (vllm_spec(hostPID=True), "spec.hostPID"),
    "shareProcessNamespace": (
        vllm_spec(shareProcessNamespace=True),
        "spec.shareProcessNamespace",
    ),
    "a privileged container": (
        vllm_spec(containers=[vllm(), tool("x", securityContext={"privileged": True})]),
        "containers[1] 'x' is privileged",
    ),
    "a capability": (
        vllm_spec(
            containers=[
                vllm(),
                tool("x", securityContext={"capabilities": {"add": ["SYS_PTRACE"]}}),
            ]
        ),
        "adds the capability 'SYS_PTRACE'",
    ),
}


@pytest.mark.parametrize("way", REFUSED)
def test_a_pod_that_is_refused(way: str, control_plane: ControlPlane, team: TeamFactory) -> None:
    """Each way is a pod that Kubernetes itself would take, and each has its sentence."""
    spec, sentence = REFUSED[way]
    name = team()
    without = control_plane.create(workload("Pod", name, label=None, spec=spec), dry_run=True)
    assert without.status == 201, without.message
    refused(control_plane.create(workload("Pod", name, spec=spec)), sentence)


def test_an_own_ephemeral_container_named_as_the_gate(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """Kubernetes takes none on CREATE, and later none with the name of another container."""
    name = team()
    spec = vllm_spec(ephemeralContainers=[tool(GATE_CONTAINER)])
    refused(
        control_plane.create(workload("Pod", name, spec=spec)),
        "a pod is created without ephemeral containers",
    )
    _verified_pod(control_plane, name)
    answer = _debug(control_plane, name, {"name": GATE_CONTAINER, "image": "busybox:1"})
    assert answer.status >= 400


# 2. Labels and policies


@pytest.mark.parametrize("value", ["", "false"])
def test_a_label_that_asks_for_nothing(
    value: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """It is refused, not taken for a way out."""
    refused(control_plane.create(workload("Pod", team(), label=value)), "asks for nothing")


@pytest.mark.parametrize(
    "labels",
    [
        {LABEL: "ignore"},
        {LABEL: "false"},
        {"validation.ml.sigstore.dev/ignore": "true"},
        {"ignore": "true"},
    ],
    ids=str,
)
def test_a_namespace_label_that_asks_to_be_ignored(
    labels: dict[str, str], control_plane: ControlPlane, team: TeamFactory
) -> None:
    """A namespace cannot opt out of what its pods ask for."""
    assert named(control_plane.created(workload("Pod", team(labels))), GATE_CONTAINER)


def test_the_label_of_the_operator(control_plane: ControlPlane, team: TeamFactory) -> None:
    """A pod that asks under a name which we are not told to honour does not start unverified."""
    pod = workload("Pod", team(), label=None)
    pod["metadata"]["labels"][LABEL_KEYS[1]] = "true"
    refused(control_plane.create(pod), f"the pod does not carry the label {LABEL}")


def test_the_label_on_the_deployment_only(
    control_plane: ControlPlane, team: TeamFactory, webhook_in_force: ServingWebhook
) -> None:
    """It asks for nothing: the label is the pod's, and opt-in unless the namespace demands it."""
    name = team()
    deployment = workload("Deployment", name, label=None)
    deployment["metadata"]["labels"] = {LABEL: "true"}
    pod = control_plane.created(pod_of(control_plane.created(deployment)))
    assert "initContainers" not in pod["spec"]
    assert all(line.get("namespace") != name for line in webhook_in_force.lines())


def test_a_second_laxer_policy(control_plane: ControlPlane, team: TeamFactory) -> None:
    """With several policies, the pod or its namespace must name one."""
    name = team()
    control_plane.created(policy(name, name="lax", mode="Audit"))
    refused(
        control_plane.create(workload("Pod", name)),
        "has several ModelValidations ('granite', 'lax')",
    )


def test_a_namespace_pins_its_policy(control_plane: ControlPlane, team: TeamFactory) -> None:
    """The pod that names another one gets the pinned one, and is told so."""
    name = team({NAMESPACE_POLICY_LABEL: "granite"})
    control_plane.created(policy(name, name="lax", mode="Audit", model={"path": "/models"}))
    answer = control_plane.create(workload("Pod", name, label="lax"))
    assert answer.status == 201, answer.message
    assert '"name":"granite"' in named(answer.document, GATE_CONTAINER)["env"][0]["value"]
    assert "bound to 'granite'" in "".join(answer.warnings)


def test_a_pin_that_comes_later(control_plane: ControlPlane, team: TeamFactory) -> None:
    """A changed namespace label counts from then on; a pin to no policy refuses all pods."""
    name = team()
    assert control_plane.create(workload("Pod", name), dry_run=True).status == 201
    control_plane.kubectl("label", "namespace", name, f"{NAMESPACE_POLICY_LABEL}=strict")
    _until_refused(control_plane, name, "is bound to the ModelValidation 'strict'")


def test_a_policy_without_a_method(
    control_plane: ControlPlane, namespace: NamespaceFactory
) -> None:
    """The API server does not even store it."""
    answer = control_plane.create(policy(namespace(), config={}))
    assert answer.status == 422
    assert "config" in answer.message


def test_no_policy(control_plane: ControlPlane, namespace: NamespaceFactory) -> None:
    """A labelled pod without any policy is refused, and so is one that names a wrong one."""
    name = namespace()
    refused(control_plane.create(workload("Pod", name)), "has no ModelValidation")
    control_plane.created(policy(name))
    refused(
        control_plane.create(workload("Pod", name, label="granit")),
        "has no ModelValidation 'granit' (there is 'granite')",
    )


def test_a_policy_that_is_being_deleted(control_plane: ControlPlane, team: TeamFactory) -> None:
    """A finalizer may keep it for long: no pod starts under it."""
    name = team()
    path = f"/apis/rhtas.redhat.com/v1alpha1/namespaces/{name}/modelvalidations/granite"
    kept = {"metadata": {"finalizers": ["test.example/kept"]}}
    assert control_plane.call("PATCH", path, kept, content_type=MERGE).status == 200
    control_plane.call("DELETE", path)
    _until_refused(control_plane, name, "'granite' is being deleted")
    free = {"metadata": {"finalizers": None}}
    control_plane.call("PATCH", path, free, content_type=MERGE)


# 5. Ephemeral containers, nodeName


def test_a_node_that_is_named_directly(control_plane: ControlPlane, team: TeamFactory) -> None:
    """Past the scheduler is not past admission."""
    pod = control_plane.created(workload("Pod", team(), spec=vllm_spec(nodeName="node-1")))
    assert named(pod, GATE_CONTAINER)


def test_a_pod_that_is_made_by_server_side_apply(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """Its author owns the fields of the gate that it brings; ours it is all the same."""
    name = team()
    own = tool(GATE_CONTAINER, command=["true"], env=[{"name": "PYTHONPATH", "value": "/models"}])
    pod = workload("Pod", name, spec=vllm_spec(initContainers=[own]))
    path = f"{pod_path(name)}?fieldManager=author&force=true"
    answer = control_plane.call("PATCH", path, pod, content_type=APPLY)
    assert answer.status == 201, answer.message
    gate = named(answer.document, GATE_CONTAINER)
    assert gate["command"][-2:] == ["verify", "policy"]
    assert "PYTHONPATH" not in {each["name"] for each in gate["env"]}


def test_a_resized_gate_is_the_same_gate(control_plane: ControlPlane, team: TeamFactory) -> None:
    """A user who may resize a pod can starve its gate; then the pod never starts."""
    name = team()
    before = named(control_plane.created(workload("Pod", name)), GATE_CONTAINER)
    starved = {"limits": {"cpu": "1m", "memory": "1Mi"}, "requests": {"cpu": "1m", "memory": "1Mi"}}
    other = {"image": "evil:1", "command": ["true"], "restartPolicy": "Always", "env": []}
    body = {"spec": {"initContainers": [{"name": GATE_CONTAINER, "resources": starved} | other]}}
    path = f"{pod_path(name)}/resize"
    answer = control_plane.call("PATCH", path, body, content_type=STRATEGIC)
    after = named(control_plane.call("GET", pod_path(name)).document, GATE_CONTAINER)
    if "init containers are immutable" in answer.message:  # before Kubernetes 1.36
        assert after == before
        return
    assert answer.status == 200, answer.message
    assert after == before | {"resources": starved}


def test_others_in_vllms_shared_memory(control_plane: ControlPlane, team: TeamFactory) -> None:
    """Under Strict: what lies there is read as Python objects, by the one that serves."""
    digest = f"sha256:{'a' * 64}"
    serving = vllm(image=f"registry.example/x@{digest}", securityContext={"runAsUser": 1000})
    dropped = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    other = tool("other", image=f"registry.example/x@{digest}", securityContext=dropped)
    other["securityContext"]["runAsUser"] = 2000
    spec = vllm_spec(containers=[serving, other])
    name = team(
        model={"volume": OF_THE_POLICY},
        workload={"arguments": "Strict", "images": [digest], "otherImages": [digest]},
    )
    refused(control_plane.create(workload("Pod", name, spec=spec)), "can write its /dev/shm")
    serving["volumeMounts"] = [MOUNT, at("/dev/shm", "shm")]  # noqa: S108 — a mount point
    spec["volumes"] = [CLAIM, {"name": "shm", "emptyDir": {"medium": "Memory"}}]
    assert control_plane.created(workload("Pod", name, spec=spec))
    spec["hostIPC"] = True
    refused(
        control_plane.create(workload("Pod", name, spec=spec)), "spec.hostIPC is not on the list"
    )


def test_an_ephemeral_container_under_strict(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """None is added, also after the policy has been relaxed: the pod carries what it was."""
    digest = f"sha256:{'a' * 64}"
    name = team(
        model={"volume": OF_THE_POLICY}, workload={"arguments": "Strict", "images": [digest]}
    )
    spec = vllm_spec(containers=[vllm(image=f"registry.example/x@{digest}")])
    control_plane.created(workload("Pod", name, spec=spec))
    debugger = {"name": "d", "image": "busybox:1", "targetContainerName": "vllm"}
    body = {"spec": {"ephemeralContainers": [debugger]}}
    path = f"{pod_path(name)}/ephemeralcontainers"
    answer = control_plane.call("PATCH", path, body, content_type=STRATEGIC)
    refused(answer, "under workload.arguments Strict no container is added")


def test_an_ephemeral_container_before_the_verdict(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """None is added while the gate runs, nor after it has failed."""
    name = team()
    control_plane.created(workload("Pod", name))
    debugger = {"name": "debugger", "image": "busybox:1", "targetContainerName": "vllm"}
    refused(_debug(control_plane, name, debugger), "the model is not verified yet")
    states: list[Document] = [{"running": {}}, {"terminated": {"exitCode": 1}}]
    for state in states:
        _report(control_plane, name, state)
        refused(_debug(control_plane, name, debugger), "the model is not verified yet")


EPHEMERAL_REFUSED: dict[str, tuple[Document, str]] = {
    "aimed at the gate": ({"targetContainerName": GATE_CONTAINER}, "or aims at it"),
    "the model writable": (
        {"volumeMounts": [at("/models")]},
        "mounts the volume 'model' writable",
    ),
    "the model writable by another entry": (
        {"volumeMounts": [at("/data", "again")]},
        "mounts the volume 'again' writable",
    ),
    "the gate's scratch volume": (
        {"volumeMounts": [at("/data", SCRATCH_VOLUME)]},
        "mounts the gate's own volume",
    ),
    "privileged": ({"securityContext": {"privileged": True}}, "is privileged"),
    "a capability": (
        {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
        "adds the capability 'SYS_ADMIN'",
    ),
}


@pytest.mark.parametrize("way", EPHEMERAL_REFUSED)
def test_an_ephemeral_container_that_is_refused(
    way: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """Also after the verdict."""
    changes, sentence = EPHEMERAL_REFUSED[way]
    name = team()
    _verified_pod(control_plane, name)
    debugger = {"name": "debugger", "image": "busybox:1"} | changes
    refused(_debug(control_plane, name, debugger), sentence)


def test_an_ephemeral_container_that_is_admitted(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """After the verdict, `kubectl debug` is allowed, with the model read-only."""
    name = team()
    _verified_pod(control_plane, name)
    reader = {
        "name": "reader",
        "image": "busybox:1",
        "volumeMounts": [at("/models", readOnly=True)],
    }
    assert _debug(control_plane, name, reader).status == 200
    command = ["debug", "vllm", "-n", name, "--image=busybox:1", "--target=vllm"]
    control_plane.kubectl(*command, "--profile=restricted")
    # Without a policy what holds for each gate still holds.
    control_plane.kubectl("delete", "-n", name, "modelvalidation", "granite")
    writer = {"name": "writer", "image": "busybox:1", "volumeMounts": [at("/models")]}
    refused(_debug(control_plane, name, writer), "writable")


# 7. Change after the check


def test_a_second_entry_for_the_same_claim(control_plane: ControlPlane, team: TeamFactory) -> None:
    """It is another name for the model's volume, and read-only as well."""
    again = CLAIM | {"name": "again"}
    spec = vllm_spec(containers=[vllm(), tool("x", at("/data", "again"))], volumes=[CLAIM, again])
    pod = control_plane.created(workload("Pod", team(), spec=spec))
    assert mounted(pod, "x", "/data")["readOnly"]
    assert mounted(pod, "x", "/data")["recursiveReadOnly"] == "IfPossible"


def test_a_native_sidecar_with_a_writable_mount(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """It starts before the gate and continues after it, so its mount is read-only at any place."""
    sidecar = tool("sync", at("/models"), restartPolicy="Always")
    spec = vllm_spec(initContainers=[sidecar])
    pod = control_plane.created(workload("Pod", team(), spec=spec))
    assert mounted(pod, "sync", "/models")["readOnly"]


def test_the_gate_stands_after_the_last_writer(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """The container that downloads the model may write; later ones only read."""
    init = [tool("fetch", at("/models")), tool("warm", at("/models", readOnly=True))]
    pod = control_plane.created(workload("Pod", team(), spec=vllm_spec(initContainers=init)))
    order = [each["name"] for each in pod["spec"]["initContainers"]]
    assert order == ["fetch", GATE_CONTAINER, "warm"]
    assert not mounted(pod, "fetch", "/models").get("readOnly")


def test_a_writer_that_another_webhook_adds_later(
    control_plane: ControlPlane, team: TeamFactory, tmp_path: Path
) -> None:
    """The gate moves after it when the webhook is called again."""
    name = team()

    def add(pod: Document) -> Patch:
        if any(each["name"] == "later" for each in pod["spec"].get("initContainers", ())):
            return []
        value = tool("later", at("/models"))
        return [{"op": "add", "path": "/spec/initContainers/-", "value": value}]

    with (
        other_webhook(tmp_path, patch=add) as other,
        registered(control_plane, mutating_all(other.endpoint, name="zzz")),
    ):
        pod = control_plane.created(workload("Pod", name))
    order = [each["name"] for each in pod["spec"]["initContainers"]]
    assert order == ["later", GATE_CONTAINER]


def test_another_webhook_that_insists_on_being_last(
    control_plane: ControlPlane, team: TeamFactory, tmp_path: Path
) -> None:
    """A writer that comes when we are asked no more is refused, with the reason."""
    name = team()

    def add(pod: Document) -> Patch:
        number = len(pod["spec"].get("initContainers", ()))
        value = tool(f"later-{number}", at("/models"))
        return [{"op": "add", "path": "/spec/initContainers/-", "value": value}]

    with (
        other_webhook(tmp_path, patch=add) as other,
        registered(control_plane, mutating_all(other.endpoint, name="zzz")),
    ):
        answer = control_plane.create(workload("Pod", name))
    refused(answer, "'model-validation' must be initContainers[2], after initContainers[2] 'later-")


TAMPERED: dict[str, tuple[str, Any, str]] = {
    "its image": ("image", "evil:1", "runs the image 'evil:1', and the webhook wrote"),
    "a variable": (
        "env/-",
        {"name": "PYTHONPATH", "value": "/models"},
        "env[3] 'PYTHONPATH' must not be there",
    ),
    "a mount": ("volumeMounts/-", at("/data"), "volumeMounts[2] 'model' must not be there"),
    "its command": ("command", ["true"], "command"),
    "variables of a Secret": (
        "envFrom",
        [{"secretRef": {"name": "x"}}],
        "envFrom must not be there",
    ),
    "that it restarts": ("restartPolicy", "Always", "restartPolicy must not be there"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_another_webhook_that_changes_the_gate(
    what: str, control_plane: ControlPlane, team: TeamFactory, tmp_path: Path
) -> None:
    """Once, and ours puts it right; one that insists is refused with the field's name."""
    field, value, sentence = TAMPERED[what]
    name = team()

    def tamper(pod: Document) -> Patch:
        for index, gate in enumerate(pod["spec"].get("initContainers", ())):
            done = value == gate.get(field) or value in gate.get(field.removesuffix("/-"), ())
            if gate["name"] == GATE_CONTAINER and not done:
                at = f"/spec/initContainers/{index}/{field}"
                return [{"op": "add", "path": at, "value": value}]
        return []

    with other_webhook(tmp_path, patch=tamper) as other:
        insisting = mutating_all(other.endpoint, name="zzz")
        with registered(control_plane, insisting):
            answer = control_plane.create(workload("Pod", name), dry_run=True)
        once = mutating_all(other.endpoint, name="zzz")
        once["webhooks"] = [each | {"reinvocationPolicy": "Never"} for each in once["webhooks"]]
        with registered(control_plane, once):
            pod = control_plane.created(workload("Pod", name))
    refused(answer, sentence)
    plain = workload("Pod", name) | {"metadata": workload("Pod", name)["metadata"] | {"name": "b"}}
    assert named(pod, GATE_CONTAINER) == named(control_plane.created(plain), GATE_CONTAINER)


# 8. Bring your own trust


@pytest.mark.parametrize("path", [f"{MODEL}/key.pub", "/keys/key.pub"])
def test_a_key_on_a_volume_of_the_pod(
    path: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """The pod's author would choose whom to trust."""
    name = team(config={"privateKeyConfig": {"keyPath": path}})
    keys = {"name": "keys", "configMap": {"name": "keys"}}
    spec = vllm_spec(
        containers=[vllm(volumeMounts=[MOUNT, at("/keys", "keys")])], volumes=[CLAIM, keys]
    )
    refused(control_plane.create(workload("Pod", name, spec=spec)), f"trust anchor {path}")


# 10. Break it


def test_a_huge_pod(
    control_plane: ControlPlane, team: TeamFactory, webhook_in_force: ServingWebhook
) -> None:
    """Near the API server's limit of 3 MiB, of characters that a review writes sixfold."""
    pid = webhook_in_force.program.pid
    env = [{"name": f"V{n}", "value": "<" * 100_000} for n in range(14)]
    spec = vllm_spec(containers=[vllm(), tool("x", env=env), tool("y", env=env)])
    name = team()
    answer = control_plane.create(workload("Pod", name, spec=spec), dry_run=True)
    assert answer.status == 201, answer.message
    assert named(answer.document, GATE_CONTAINER)
    assert (webhook_in_force.program.pid, webhook_in_force.ready) == (pid, True)


def test_a_pod_of_very_many_parts(
    control_plane: ControlPlane, team: TeamFactory, webhook_in_force: ServingWebhook
) -> None:
    """More containers than any node runs are refused before anything is done with them."""
    pid = webhook_in_force.program.pid
    spec = vllm_spec(containers=[vllm(), *(tool(f"c{n}") for n in range(5_000))])
    answer = control_plane.create(workload("Pod", team(), spec=spec))
    refused(answer, "has too many entries")
    assert (webhook_in_force.program.pid, webhook_in_force.ready) == (pid, True)


def _until_refused(control_plane: ControlPlane, namespace: str, sentence: str) -> None:
    """Return when pods are refused in these words: the watch takes a moment."""

    def sentences() -> bool:
        return sentence in control_plane.create(workload("Pod", namespace), dry_run=True).message

    until(sentences, what=f"pods are refused with {sentence!r}")


def _debug(control_plane: ControlPlane, namespace: str, container: Document) -> Answer:
    """Add an ephemeral container as `kubectl debug` does."""
    return control_plane.call(
        "PATCH",
        f"{pod_path(namespace)}/ephemeralcontainers",
        {"spec": {"ephemeralContainers": [container]}},
        content_type=STRATEGIC,
    )


def _report(control_plane: ControlPlane, namespace: str, state: Document) -> None:
    """Report the gate's state as the kubelet does."""
    gate = {"name": GATE_CONTAINER, "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    status = {"status": {"initContainerStatuses": [gate | {"state": state}]}}
    answer = control_plane.call(
        "PATCH", f"{pod_path(namespace)}/status", status, content_type=MERGE
    )
    assert answer.status == 200, answer.message


def _verified_pod(control_plane: ControlPlane, namespace: str) -> None:
    """Create a pod, with two entries for its claim, whose gate has succeeded."""
    again = CLAIM | {"name": "again"}
    control_plane.created(workload("Pod", namespace, spec=vllm_spec(volumes=[CLAIM, again])))
    _report(control_plane, namespace, {"terminated": {"exitCode": 0}})
