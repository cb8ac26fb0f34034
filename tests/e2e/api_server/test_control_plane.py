"""The harness itself: the control plane behaves like a cluster's, and goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server import building
from tests.e2e.api_server.control_plane import ControlPlane
from tests.e2e.api_server.other_webhook import Patch, other_webhook
from tests.e2e.api_server.processes import ControlPlaneError, Program, until
from tests.e2e.api_server.webhook_registration import mutating, mutating_all, registered, validating
from tests.e2e.api_server.workloads import KINDS, pod_of, vllm, vllm_spec, workload

if TYPE_CHECKING:
    from tests.e2e.api_server.control_plane import Document
    from tests.e2e.api_server.fixtures import NamespaceFactory

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan's body may lie unburied where the container's init does not reap.
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def _config_map(namespace: str, name: str) -> Document:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def test_server_is_the_pinned_kubernetes(control_plane: ControlPlane) -> None:
    """The lane tests against the version that go.mod pins, unless the user brought another."""
    if os.environ.get("KUBEBUILDER_ASSETS"):
        pytest.skip("KUBEBUILDER_ASSETS is set: the user's own version runs")
    version = control_plane.call("GET", "/version").document["gitVersion"]
    assert version == building.kubernetes_version()
    assert f"Server Version: {version}" in control_plane.kubectl("version").stdout


def test_kubectl_creates_a_pod(control_plane: ControlPlane, namespace: NamespaceFactory) -> None:
    """A pod as people create it is stored, with the token that ServiceAccount mounts."""
    name = namespace()
    control_plane.apply([workload("Pod", name)])
    pod = control_plane.call("GET", f"/api/v1/namespaces/{name}/pods/vllm").document
    mounts = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
    assert mounts == ["/models", "/var/run/secrets/kubernetes.io/serviceaccount"]


def test_kubectl_tells_failures(control_plane: ControlPlane) -> None:
    """A failed preparation is an error with kubectl's sentence; an expected one is an answer."""
    with pytest.raises(ControlPlaneError, match="not found"):
        control_plane.kubectl("get", "pod", "nothing")
    assert control_plane.kubectl("get", "pod", "nothing", check=False).returncode == 1


@pytest.mark.parametrize("kind", KINDS)
def test_workloads_are_admitted_where_restricted(
    kind: str, control_plane: ControlPlane, namespace: NamespaceFactory
) -> None:
    """Each manifest, and the pod its controller makes of it, passes Pod Security unwarned."""
    made = control_plane.create(workload(kind, namespace(RESTRICTED)))
    assert (made.status, made.warnings) == (201, ())
    pod = pod_of(made.document)
    pod["metadata"].pop("resourceVersion", None)
    pod["metadata"] |= {"name": "another"} if kind == "Pod" else {}
    answer = control_plane.create(pod)
    assert answer.status == 201, answer.message
    assert answer.document["metadata"]["labels"]["validation.rhtas.redhat.com/ml"] == "true"


def test_pod_security_refuses(control_plane: ControlPlane, namespace: NamespaceFactory) -> None:
    """A privileged container does not pass where the namespace says restricted."""
    spec = vllm_spec(containers=[vllm(securityContext={"privileged": True})])
    answer = control_plane.create(workload("Pod", namespace(RESTRICTED), spec=spec))
    assert answer.status == 403
    assert 'violates PodSecurity "restricted:latest": privileged' in answer.message


def test_quota_counts(control_plane: ControlPlane, namespace: NamespaceFactory) -> None:
    """A quota holds although no controller computes its status."""
    name = namespace()
    control_plane.make_quota(name, {"limits.cpu": "3"})

    def refused() -> bool:
        answer = control_plane.create(workload("Pod", name), dry_run=True)
        return "exceeded quota: quota, requested: limits.cpu=4" in answer.message

    until(refused, what="the quota is enforced")


def test_others_are_impersonated(control_plane: ControlPlane, namespace: NamespaceFactory) -> None:
    """RBAC is on: who has no rights gets none."""
    answer = control_plane.create(workload("Pod", namespace()), user="mallory")
    assert answer.status == 403
    assert 'User "mallory" cannot create resource "pods"' in answer.message


def test_custom_resources_are_served_when_applied(control_plane: ControlPlane) -> None:
    """`apply` returns when objects of a new kind can be created, and CEL rules hold."""
    rule = {"rule": "self.size() < 3", "message": "spec is too long"}
    spec = {"type": "string", "maxLength": 9, "x-kubernetes-validations": [rule]}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
    }
    names = {"plural": "tests", "kind": "Test"}
    group = {"group": "harness.test", "scope": "Cluster", "names": names, "versions": [version]}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "tests.harness.test"},
        "spec": group,
    }
    control_plane.apply([definition])
    made = {"apiVersion": "harness.test/v1", "kind": "Test", "metadata": {"name": "a"}}
    assert control_plane.create(made | {"spec": "ok"}, dry_run=True).status == 201
    assert "spec is too long" in control_plane.create(made | {"spec": "long"}).message
    control_plane.kubectl("delete", "crd", "tests.harness.test", "--wait=false")


def test_webhooks_are_called(
    control_plane: ControlPlane, namespace: NamespaceFactory, tmp_path: Path
) -> None:
    """Labelled pods and their ephemeral containers come to the webhooks, others do not."""
    name = namespace()
    patch = [{"op": "add", "path": "/metadata/labels/patched", "value": "yes"}]
    with (
        other_webhook(tmp_path, patch=lambda _: patch) as webhook,
        registered(control_plane, mutating(webhook.endpoint), validating(webhook.endpoint)),
    ):
        control_plane.created(workload("Deployment", name))
        unlabelled = workload("Pod", name, label=None)
        control_plane.created(unlabelled | {"metadata": {"name": "other", "namespace": name}})
        assert webhook.reviews == []
        created = control_plane.created(workload("Pod", name))
        assert created["metadata"]["labels"]["patched"] == "yes"
        debugger = {"name": "debugger", "image": "busybox", "targetContainerName": "vllm"}
        answer = control_plane.call(
            "PATCH",
            f"/api/v1/namespaces/{name}/pods/vllm/ephemeralcontainers",
            {"spec": {"ephemeralContainers": [debugger]}},
            content_type="application/strategic-merge-patch+json",
        )
        assert answer.status == 200, answer.message
        debug = [
            "debug",
            "vllm",
            "-n",
            name,
            "--image=busybox",
            "--target=vllm",
            "--profile=general",
        ]
        control_plane.kubectl(*debug)
    seen = [
        (path, review["request"]["operation"], review["request"].get("subResource"))
        for path, review in webhook.reviews
    ]
    assert seen == [
        ("/mutate", "CREATE", None),
        ("/validate", "CREATE", None),
        ("/validate", "UPDATE", "ephemeralcontainers"),
        ("/validate", "UPDATE", "ephemeralcontainers"),
    ]


def test_an_absent_webhook_refuses(
    control_plane: ControlPlane, namespace: NamespaceFactory, tmp_path: Path
) -> None:
    """With Fail nothing gets past a webhook that is down; with Ignore everything does."""
    pod = workload("Pod", namespace())
    with other_webhook(tmp_path) as gone:
        endpoint = gone.endpoint
    with registered(control_plane, mutating(endpoint)):
        assert "failed calling webhook" in control_plane.create(pod).message
    with registered(control_plane, mutating(endpoint, failurePolicy="Ignore")):
        assert control_plane.create(pod).status == 201


def test_third_party_runs_in_the_order_of_names(
    control_plane: ControlPlane, namespace: NamespaceFactory, tmp_path: Path
) -> None:
    """An earlier webhook is called again after a later one changed the pod (reinvocation)."""
    name = namespace()
    writer = {"name": "writer", "image": "busybox", "volumeMounts": vllm()["volumeMounts"]}
    add = [{"op": "add", "path": "/spec/initContainers", "value": [writer]}]

    def once(pod: Document) -> Patch:
        return [] if pod["spec"].get("initContainers") else add

    with (
        other_webhook(tmp_path) as ours,
        other_webhook(tmp_path, patch=once) as theirs,
        registered(
            control_plane,
            mutating(ours.endpoint),
            mutating_all(theirs.endpoint, name="zzz"),
        ),
    ):
        control_plane.created(workload("Pod", name))
    writers = [
        len(r["request"]["object"]["spec"].get("initContainers", ())) for _, r in ours.reviews
    ]
    assert writers == [0, 1]


def test_a_server_of_ones_own(programs: dict[str, Path], tmp_path: Path) -> None:
    """A private one has its plugins, its audit, restarts with its data, and leaves nothing."""
    with ControlPlane(
        programs, folder=tmp_path, admission_plugins=["AlwaysPullImages"], audit=True
    ) as own:
        own.make_namespace("kept")
        pod = own.created(workload("Pod", "kept"))
        assert pod["spec"]["containers"][0]["imagePullPolicy"] == "Always"
        assert own.audit_events()[0]["requestObject"]["metadata"]["name"] == "vllm"

        first = own.created(_config_map("kept", "first"))["metadata"]["resourceVersion"]
        own.created(_config_map("kept", "second"))
        watch = "/api/v1/namespaces/kept/configmaps?watch=1&timeoutSeconds=1&resourceVersion="
        assert own.call("GET", watch + first).document["type"] == "ADDED"

        own.forget_history()
        assert own.call("GET", "/api/v1/namespaces/kept/pods/vllm").status == 200
        gone = own.call("GET", watch + first).document
        assert (gone["type"], gone["object"]["code"]) == ("ERROR", 410)

        pids = own.pids
        assert len(pids) == 2
        own.stop_api_server()
        with pytest.raises(OSError, match="refused"):
            own.call("GET", "/readyz")
    assert not any(_alive(pid) for pid in pids)
    assert not (tmp_path / "etcd").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_no_program_outlives_a_killed_test_run(tmp_path: Path) -> None:
    """A test run that is killed takes its programs with it, and threads may start them."""
    script = (
        "import pathlib, sys, threading, time\n"
        "from tests.e2e.api_server.processes import Program\n"
        "program = Program(['sleep', '600'], log=pathlib.Path(sys.argv[1]))\n"
        "thread = threading.Thread(target=program.start); thread.start(); thread.join()\n"
        "time.sleep(0.2); print(program.pid, flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        pid = int(run.stdout.readline())
        assert _alive(pid)
        run.send_signal(signal.SIGKILL)
    until(lambda: not _alive(pid), what="the orphan is gone")


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    """A start that fails ends at once, with the end of the program's log."""
    program = Program(["sh", "-c", "echo no such flag; exit 1"], log=tmp_path / "log")
    program.start()
    with pytest.raises(ControlPlaneError, match=r"sh ended at start:\nno such flag"):
        program.wait_until(lambda: False, seconds=10)
    program.close()


def test_missing_programs_are_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without programs the sentence says which and how to get them; a user's own are taken."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    with pytest.raises(building.ProgramsMissingError, match=r"etcd not built yet|Go is not"):
        building.find(["etcd"])
    (tmp_path / "etcd").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert building.find(["etcd"]) == {"etcd": tmp_path / "etcd"}
