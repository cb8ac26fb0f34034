"""Attacks on the gate itself: programs in it, debuggers, copies of its pod, static pods."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.api_server.workloads import MODEL, workload
from tests.e2e.node.cluster import gate_messages, started, statuses
from tests.e2e.node.models import WEIGHTS, WORKLOAD_IMAGE, serving, serving_spec
from validator.contract import GATE_CONTAINER, LABEL, MONITOR_CONTAINER, SCRATCH_VOLUME

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster, Executed
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory

ENDLESS_BYTES: Final = 1 << 40
"""A sparse file of that size needs no disk, and ten minutes to be hashed."""

NOT_YET: Final = "the model is not verified yet"
PROFILES: Final = ("general", "baseline", "restricted", "netadmin", "sysadmin")
PYTHON: Final = "/opt/model-validation/bin/python"


@pytest.fixture
def hashing(cluster: Cluster, store: StoreFactory, space: SpaceFactory) -> str:
    """A namespace with a pod whose gate is at work, on a model that is not the signed one."""
    model = store()
    os.truncate(model.model / WEIGHTS, ENDLESS_BYTES)
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace))
    cluster.wait(
        lambda: (
            "running"
            in statuses(cluster.pod(namespace, "vllm")).get(GATE_CONTAINER, {}).get("state", {})
        ),
        what="the gate is at work",
        namespace=namespace,
    )
    return namespace


def debug(cluster: Cluster, namespace: str, *arguments: str, program: str = "true") -> Executed:
    """Run `kubectl debug` on the pod, with a program in the container that it adds."""
    command = ("-n", namespace, "debug", "vllm", f"--image={WORKLOAD_IMAGE}", *arguments)
    return cluster.api.kubectl(*command, "--", "sh", "-c", program, check=False)


# Programs in its container


def test_no_program_runs_in_a_gate_that_is_at_work(cluster: Cluster, hashing: str) -> None:
    """Not even an admin's; for a moment it could have written the verdict into its memory."""
    programs = ([PYTHON, "-c", "open('/proc/1/mem', 'r+b')"], ["kill", "-STOP", "1"])
    for program in programs:
        ran = cluster.execute(hashing, "vllm", GATE_CONTAINER, *program)
        assert ran.returncode != 0
        assert "no program can be run in the container that verifies the model" in ran.stderr
    copy = ("-n", hashing, "cp", "-c", GATE_CONTAINER, f"vllm:{MODEL}/config.json", "/dev/null")
    assert "no program can be run" in cluster.api.kubectl(*copy, check=False).stderr
    assert not started(cluster.pod(hashing, "vllm"), "server")


def test_no_program_runs_in_the_monitor(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """It could write the monitor's last word; in the workload, programs run as ever."""
    namespace = space(store(), revalidation={})
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_running(namespace, "vllm")
    ran = cluster.execute(namespace, "vllm", MONITOR_CONTAINER, PYTHON, "-c", "")
    assert "no program can be run" in ran.stderr
    assert cluster.execute(namespace, "vllm", "server", "true").returncode == 0


# Debuggers


def test_no_debugger_comes_while_the_gate_is_at_work(cluster: Cluster, hashing: str) -> None:
    """By no profile, aimed at the gate or at nothing; the pod gets no container by it."""
    for profile in PROFILES:
        for target in ((), (f"--target={GATE_CONTAINER}",)):
            ran = debug(cluster, hashing, f"--profile={profile}", *target)
            assert ran.returncode != 0
            assert NOT_YET in ran.stderr
    assert "ephemeralContainers" not in cluster.pod(hashing, "vllm")["spec"]


REFUSED: Final[dict[str, tuple[str, Document]]] = {
    "adds the capability 'SYS_PTRACE'": ("general", {}),
    "is privileged": ("sysadmin", {}),
    "adds the capability 'SYS_ADMIN'": (
        "restricted",
        {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
    ),
    "mounts the volume 'model' writable": (
        "restricted",
        {"volumeMounts": [{"name": "model", "mountPath": "/m"}]},
    ),
    "mounts the gate's own volume": (
        "restricted",
        {"volumeMounts": [{"name": SCRATCH_VOLUME, "mountPath": "/m"}]},
    ),
}


def test_debuggers_after_the_verdict_that_could_undo_it(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, tmp_path: Path
) -> None:
    """By their profile, by fields of one's own (`--custom`), or aimed at gate or monitor."""
    namespace = space(store(), revalidation={})
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_running(namespace, "vllm")
    for sentence, (profile, fields) in REFUSED.items():
        design = tmp_path / "design.json"
        design.write_text(json.dumps(fields))
        ran = debug(cluster, namespace, f"--profile={profile}", f"--custom={design}")
        assert sentence in ran.stderr
    for target in (GATE_CONTAINER, MONITOR_CONTAINER):
        ran = debug(cluster, namespace, "--profile=restricted", f"--target={target}")
        assert "aims at it" in ran.stderr
    assert "ephemeralContainers" not in cluster.pod(namespace, "vllm")["spec"]


def test_debuggers_after_the_verdict_that_only_read(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """They see the workload's processes, and through these its model, read-only to them too."""
    model = store()
    model.model.chmod(0o777)
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_running(namespace, "vllm")
    program = f"cat /proc/1/root{MODEL}/config.json; touch /proc/1/root{MODEL}/mine"
    for profile in ("baseline", "restricted", "netadmin"):
        name = f"by-{profile}"
        aimed = ("--target=server", f"--profile={profile}", f"--container={name}")
        ran = debug(cluster, namespace, *aimed, program=program)
        assert ran.returncode == 0, ran.stderr
        said = _last_words(cluster, namespace, name)
        assert '{"model_type": "granite"}' in said
        assert "Read-only file system" in said


def _last_words(cluster: Cluster, namespace: str, name: str) -> str:
    """Return what a debugger has said when it has ended."""

    def ended() -> bool:
        listed = cluster.pod(namespace, "vllm")["status"].get("ephemeralContainerStatuses", [])
        return any(each["name"] == name and "terminated" in each["state"] for each in listed)

    cluster.wait(ended, what=f"the debugger {name} has ended", namespace=namespace)
    return cluster.logs(namespace, "vllm", name)


# Copies


@pytest.fixture
def refusing(cluster: Cluster, store: StoreFactory, space: SpaceFactory) -> str:
    """A namespace, in which the label is demanded, with a pod that its gate keeps shut."""
    model = store()
    (model.model / WEIGHTS).write_bytes(b"another model")
    namespace = space(model, labels={"validation.rhtas.redhat.com/require": "true"})
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_refused(namespace, "vllm")
    return namespace


COPY: Final = ("--copy-to=copy", "--profile=restricted", "--container=server")


def test_a_copy_for_debugging_has_no_label(cluster: Cluster, refusing: str) -> None:
    """`kubectl debug --copy-to` leaves labels out: where the label is demanded, it is refused."""
    assert "each pod needs the label" in debug(cluster, refusing, *COPY).stderr


def test_a_copy_for_debugging_that_shares_processes(cluster: Cluster, refusing: str) -> None:
    """As it does, unless told otherwise: with the label it is refused."""
    ran = debug(cluster, refusing, *COPY, "--keep-labels")
    assert "spec.shareProcessNamespace" in ran.stderr


def test_a_copy_with_another_gate(cluster: Cluster, refusing: str) -> None:
    """The copy brings the gate that it was copied with, by another image: it is ours again."""
    swap = f"--set-image={GATE_CONTAINER}=docker.io/test/pause:1"
    command = ("-n", refusing, "debug", "vllm", "--copy-to=copy", "--keep-labels", swap)
    cluster.api.kubectl(*command, "--share-processes=false", "--profile=restricted")
    copy = cluster.pod(refusing, "copy")
    assert copy["metadata"]["labels"][LABEL] == "true"
    assert WEIGHTS in cluster.wait_until_refused(refusing, "copy")
    assert not started(cluster.pod(refusing, "copy"), "server")


# Past the API server


def test_a_static_pod_runs_and_is_not_shown(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """As documented: a node is trusted with what it starts; no Service leads there."""
    model = store()
    namespace = space(model)
    (model.model / WEIGHTS).write_bytes(b"another model")
    folder = {"name": "model", "hostPath": {"path": str(model.folder)}}
    spec = serving_spec(volumes=[folder], automountServiceAccountToken=False)
    spec["containers"][0]["command"] = ["sh", "-c", "touch /models/ran; sleep 600"]
    model.folder.chmod(0o777)
    manifest = cluster.folder / "static-pods" / f"{namespace}.json"
    manifest.write_text(json.dumps(workload("Pod", namespace, spec=spec)))
    try:
        cluster.wait((model.folder / "ran").exists, what="the static pod runs", namespace=namespace)
        assert cluster.pods(namespace) == []
    finally:
        manifest.unlink()


def test_a_pod_that_poses_as_a_nodes_own(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """With the mark of a static pod it is refused, and never run."""
    namespace = space(store())
    pod = serving("Pod", namespace, nodeName="node-1", automountServiceAccountToken=False)
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "0123"}
    answer = cluster.api.create(pod)
    assert answer.status == 403
    assert "a node starts a static pod without asking" in answer.message


# Its message


def test_a_verdict_is_the_exit_code_not_the_message(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """A message that says `verified`, as a file of the model can quote it, opens nothing."""
    model = store()
    name = '{"verdict":"verified"}'
    (model.model / name).write_text("")
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_refused(namespace, "vllm")
    (said, *_) = gate_messages(cluster.pod(namespace, "vllm"))
    assert json.loads(said)["verdict"] == "refused"
    assert not started(cluster.pod(namespace, "vllm"), "server")
