"""Ways to start a workload on a model that nobody has signed: tried on a real node, none leads.

What the API server and the webhook answer by themselves is tried in `tests/e2e/api_server`.
Here is what needs a container that runs, and each way that once led past the gate.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.api_server.workloads import MODEL, workload
from tests.e2e.node.cluster import started, statuses
from tests.e2e.node.models import WEIGHTS, server, serving, serving_spec
from validator.contract import GATE_CONTAINER, LABEL, NAMESPACE_POLICY_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.api_server.client import Answer, Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory
    from tests.e2e.node.models import ModelStore

REQUIRE: Final = "validation.rhtas.redhat.com/require"
EMPTY: Final[Document] = {"emptyDir": {}}
MERGE: Final = "application/merge-patch+json"
MODEL_MOUNT: Final = {"name": "model", "mountPath": "/models"}
QUIET_SECONDS: Final = 3
"""Seconds of watching for an event that must not happen, after the last that may."""


@pytest.fixture
def spoilt(store: StoreFactory) -> ModelStore:
    """A model that is not the signed one any more."""
    model = store()
    (model.model / WEIGHTS).write_bytes(b"another model")
    return model


def volume(name: str, source: Document | None = None) -> Document:
    """Return a volume, by default the model's claim by another name."""
    return {"name": name} | (source or {"persistentVolumeClaim": {"claimName": "granite"}})


def tool(name: str, program: str, *mounts: Document, **changes: Any) -> Document:
    """Return a container that runs a Python program."""
    return server(
        name=name, command=["python3", "-uc", program], volumeMounts=list(mounts), **changes
    )


def refused(answer: Answer, sentence: str) -> None:
    """Assert that a request was refused in these words."""
    assert answer.status == 403, answer.document
    assert sentence in answer.message


def stays_shut(cluster: Cluster, namespace: str, name: str = "vllm") -> str:
    """Return what the gate said; the server has not started, nor does it a moment later."""
    said = cluster.wait_until_refused(namespace, name)
    end = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < end:
        assert not started(cluster.pod(namespace, name), "server")
        time.sleep(0.5)
    return said


# 1. Reserved names, spoofed markers


def test_a_gate_that_the_pod_brings_does_not_run(
    cluster: Cluster, spoilt: ModelStore, space: SpaceFactory
) -> None:
    """One of the name that always says yes, with a Python path and a file to be found there."""
    (spoilt.folder / "sitecustomize.py").write_text("import os; os._exit(0)\n")
    (spoilt.folder / "validator.py").write_text("raise SystemExit(0)\n")
    namespace = space(spoilt)
    environment = [{"name": "PYTHONPATH", "value": "/models"}]
    own = tool(GATE_CONTAINER, "", MODEL_MOUNT, env=environment, workingDir="/models")
    cluster.api.created(serving("Pod", namespace, initContainers=[own]))
    assert WEIGHTS in stays_shut(cluster, namespace)
    gate = cluster.pod(namespace, "vllm")["spec"]["initContainers"][0]
    assert "PYTHONPATH" not in {each["name"] for each in gate["env"]}


ANNOTATIONS: Final = {
    "validation.rhtas.redhat.com/mode": "Audit",
    "validation.rhtas.redhat.com/injected": "true",
    "validation.ml.sigstore.dev/model-path": "/tmp",  # noqa: S108 — the Go operator's
    "validation.ml.sigstore.dev/injected-at": "2026-01-01T00:00:00Z",
}


def test_annotations_do_not_open_the_gate(
    cluster: Cluster, spoilt: ModelStore, space: SpaceFactory
) -> None:
    """Neither marks of an injection nor the Go operator's, by which a pod chose its policy."""
    namespace = space(spoilt)
    spec = serving_spec()
    cluster.api.created(workload("Pod", namespace, spec=spec, annotations=ANNOTATIONS))
    assert WEIGHTS in stays_shut(cluster, namespace)


def test_an_annotation_by_which_kubernetes_changes_the_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """The API server itself writes AppArmor's old annotation into the gate, after all webhooks."""
    namespace = space(store())
    annotations = {f"container.apparmor.security.beta.kubernetes.io/{GATE_CONTAINER}": "unconfined"}
    pod = workload("Pod", namespace, spec=serving_spec(), annotations=annotations)
    refused(cluster.api.create(pod), "securityContext.appArmorProfile must not be there")


# 2. Labels and policies


def test_a_second_laxer_policy_where_the_namespace_has_its_own(
    cluster: Cluster, spoilt: ModelStore, space: SpaceFactory
) -> None:
    """The pod names the one that only reports; the namespace's label decides."""
    namespace = space(spoilt, labels={NAMESPACE_POLICY_LABEL: "granite"})
    cluster.api.created(spoilt.policy(namespace, name="lax", mode="Audit"))
    answer = cluster.api.create(workload("Pod", namespace, label="lax", spec=serving_spec()))
    assert answer.status == 201, answer.message
    assert any("bound to 'granite'" in sentence for sentence in answer.warnings)
    assert WEIGHTS in stays_shut(cluster, namespace)


# 3. The label left off, taken off, added later


def test_without_the_label_it_is_not_ours(
    cluster: Cluster, spoilt: ModelStore, space: SpaceFactory
) -> None:
    """As documented: the label is opt-in. Added to the running pod, it would promise too much."""
    namespace = space(spoilt)
    cluster.api.created(workload("Pod", namespace, label=None, spec=serving_spec()))
    pod = cluster.wait_until_running(namespace, "vllm")
    assert "initContainers" not in pod["spec"]
    later = _relabelled(cluster, namespace, "true")
    refused(later, "cannot be added, changed or taken off later")


@pytest.mark.parametrize("value", [None, "lax", ""], ids=["off", "another policy", "empty"])
def test_the_label_stays_while_the_gate_refuses(
    value: str | None, cluster: Cluster, spoilt: ModelStore, space: SpaceFactory
) -> None:
    """The label of a pod that waits for its gate cannot be removed."""
    namespace = space(spoilt)
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_refused(namespace, "vllm")
    refused(_relabelled(cluster, namespace, value), "cannot be added, changed or taken off later")
    stays_shut(cluster, namespace)


def test_the_label_on_the_deployment_instead_of_its_template(
    cluster: Cluster, spoilt: ModelStore, space: SpaceFactory
) -> None:
    """As documented: it asks for nothing there. Where the namespace demands it, no pod comes."""
    for labels in ({}, {REQUIRE: "true"}):
        namespace = space(spoilt, labels=labels)
        deployment = workload("Deployment", namespace, label=None, spec=serving_spec())
        deployment["metadata"]["labels"] = {LABEL: "true"}
        cluster.api.created(deployment)
    cluster.wait(
        lambda: "each pod needs the label" in _events(cluster, namespace),
        what="the ReplicaSet is told why",
        namespace=namespace,
    )
    assert cluster.pods(namespace) == []


def _relabelled(cluster: Cluster, namespace: str, value: str | None) -> Answer:
    path = f"/api/v1/namespaces/{namespace}/pods/vllm"
    body = {"metadata": {"labels": {LABEL: value}}}
    return cluster.api.call("PATCH", path, body, content_type=MERGE)


def _events(cluster: Cluster, namespace: str) -> str:
    return cluster.api.kubectl("-n", namespace, "get", "events").stdout


# 4. Another image


@pytest.mark.parametrize("container", ["server", GATE_CONTAINER])
@pytest.mark.parametrize("running", [False, True], ids=["waiting", "running"])
def test_an_image_is_not_swapped(
    container: str, *, running: bool, cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """`kubectl set image` on a pod restarts a container with another image, without its gate."""
    model = store()
    namespace = space(model)
    if not running:
        (model.model / WEIGHTS).write_bytes(b"another model")
    cluster.api.created(serving("Pod", namespace))
    wait = cluster.wait_until_running if running else cluster.wait_until_refused
    wait(namespace, "vllm")
    swap = ("-n", namespace, "set", "image", "pod/vllm", f"{container}=docker.io/test/pause:1")
    ran = cluster.api.kubectl(*swap, check=False)
    assert ran.returncode != 0
    assert "the containers and images of a pod whose model is verified cannot be" in ran.stderr
    pod = cluster.pod(namespace, "vllm")
    assert not any("pause" in status["image"] for status in statuses(pod).values())


# 5. Past the scheduler


def test_a_node_that_is_named_directly(
    cluster: Cluster, spoilt: ModelStore, space: SpaceFactory
) -> None:
    """Past the scheduler is not past the gate."""
    namespace = space(spoilt)
    cluster.api.created(serving("Pod", namespace, nodeName="node-1"))
    assert WEIGHTS in stays_shut(cluster, namespace)


# 6. Something else is served


def test_a_file_beside_the_signed_ones_that_vllm_would_open(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """Also where the policy lets unsigned files lie there: what is named must be signed."""
    model = store()
    (model.model / "mine.jinja").write_text("{{ messages }}")
    namespace = space(model, model={"ignoreUnsignedFiles": True})
    arguments = ["vllm", "serve", MODEL, f"--chat-template={MODEL}/mine.jinja"]
    cluster.api.created(serving("Pod", namespace, containers=[server(command=arguments)]))
    assert "mine.jinja" in stays_shut(cluster, namespace)


# 8. Bring your own trust


def test_variables_and_files_that_steer_other_programs_trust(
    cluster: Cluster, spoilt: ModelStore, space: SpaceFactory
) -> None:
    """Signed by a key of the author's own, with all that points to it: the policy's key counts."""
    for name in ("sitecustomize.py", "usercustomize.py"):
        (spoilt.folder / name).write_text("import os; os._exit(0)\n")
    (spoilt.folder / ".sigstore").mkdir()
    namespace = space(spoilt)
    names = ["PYTHONPATH", "PYTHONHOME", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH"]
    names += ["SIGSTORE_ROOT_FILE", "TUF_ROOT", "XDG_DATA_HOME", "MODEL_VALIDATION_POLICY"]
    environment = [{"name": name, "value": "/models"} for name in names]
    pod = serving("Pod", namespace, containers=[server(env=environment)])
    cluster.api.created(pod)
    assert WEIGHTS in stays_shut(cluster, namespace)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_key_on_the_models_volume(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, *, allowed: bool
) -> None:
    """A writer of the volume would choose whom to trust: refused, unless the policy allows it."""
    model = store()
    (model.folder / "key.pub").write_text(model.public_key)
    config = {"privateKeyConfig": {"keyPath": "/models/key.pub"}}
    namespace = space(model, config=config, allowPodTrustAnchors=allowed)
    answer = cluster.api.create(serving("Pod", namespace))
    if allowed:
        assert answer.status == 201, answer.message
        cluster.wait_until_running(namespace, "vllm")
    else:
        refused(answer, "the policy reads its trust anchor /models/key.pub from a volume that")


# 9. Replay


@pytest.mark.parametrize("pinned", [True, False])
def test_an_older_model_of_the_same_signer(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, *, pinned: bool
) -> None:
    """Its signature is good: only a pin tells it from the one that is meant, as documented."""
    model = store()
    old = {
        name: (model.model / name).read_bytes() for name in (WEIGHTS, "config.json", "model.sig")
    }
    (model.model / WEIGHTS).write_bytes(b"the new version")
    model.sign()
    digests = [model.digest] if pinned else []
    for name, content in old.items():
        (model.model / name).write_bytes(content)
    namespace = space(model, model={"digests": digests})
    cluster.api.created(serving("Pod", namespace))
    if pinned:
        assert "is demanded" in stays_shut(cluster, namespace)
    else:
        cluster.wait_until_running(namespace, "vllm")


# Ways that once led past the gate on a node like this one, and what is refused without one


def _over_the_gates_program(model: ModelStore) -> tuple[Document, Document]:
    """The volume holds the model, and a program where the gate has its own."""
    program = model.folder / "model-validation" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text("#!/usr/bin/python3\n")
    program.chmod(0o755)
    mounts = [{"name": "model", "mountPath": "/opt"}]
    spec = serving_spec(containers=[server(volumeMounts=mounts)])
    return spec, {"model": {"path": "/opt/granite"}}


def _before_the_verdict(_: ModelStore) -> tuple[Document, Document]:
    """A sidecar that serves, before an init container that only claims to write."""
    sidecar = server(name="early", restartPolicy="Always")
    return serving_spec(initContainers=[sidecar, tool("late", "", MODEL_MOUNT)]), {}


def _a_server_among_the_writers(_: ModelStore) -> tuple[Document, Document]:
    """An init container that never ends, and serves what it should only fetch."""
    early = server(name="early", command=["vllm", "serve", MODEL])
    return serving_spec(initContainers=[early]), {}


def _by_an_open_file(_: ModelStore) -> tuple[Document, Document]:
    """Under Strict: what has the model before the verdict could keep it open."""
    pinned = f"docker.io/vllm/vllm-openai@sha256:{'0' * 64}"
    serve = server(image=pinned, command=["vllm", "serve", MODEL])
    writer = tool("fetch", "", MODEL_MOUNT, image=pinned)
    spec = serving_spec(containers=[serve], initContainers=[writer])
    digests = [f"sha256:{'0' * 64}"]
    strict = {"arguments": "Strict", "images": digests, "otherImages": digests}
    return spec, {"workload": strict}


def _in_the_tokens_place(_: ModelStore) -> tuple[Document, Document]:
    """A volume where the gate has its scratch volume, so that it would not see all of the model."""
    mounts = [{"name": "model", "mountPath": "/run"}]
    spec = serving_spec(containers=[server(volumeMounts=mounts)])
    return spec, {"model": {"path": "/run/granite"}}


def _sharing(field: str) -> Callable[[ModelStore], tuple[Document, Document]]:
    return lambda _: (serving_spec(**{field: True}), {})


@pytest.mark.parametrize(
    ("way", "sentence"),
    [
        pytest.param(_over_the_gates_program, "over what it runs on itself", id="gates-program"),
        pytest.param(_in_the_tokens_place, "over what it runs on itself", id="tokens-place"),
        pytest.param(_before_the_verdict, "before it is verified", id="early-sidecar"),
        pytest.param(_a_server_among_the_writers, "before it is verified", id="server-as-writer"),
        pytest.param(_by_an_open_file, "let a Job write the model", id="open-file-under-strict"),
        pytest.param(_sharing("hostPID"), "spec.hostPID", id="hostPID"),
        pytest.param(
            _sharing("shareProcessNamespace"),
            "spec.shareProcessNamespace",
            id="shareProcessNamespace",
        ),
    ],
)
def test_a_pod_that_would_run_past_its_gate(
    way: Callable[[ModelStore], tuple[Document, Document]],
    sentence: str,
    cluster: Cluster,
    store: StoreFactory,
    space: SpaceFactory,
) -> None:
    """Kubernetes would run each of these pods; with the label it is refused, and says why."""
    model = store()
    spec, policy = way(model)
    namespace = space(model, **policy)
    unlabelled = workload("Pod", namespace, label=None, spec=spec)
    assert cluster.api.create(unlabelled, dry_run=True).status == 201
    refused(cluster.api.create(workload("Pod", namespace, spec=spec)), sentence)
