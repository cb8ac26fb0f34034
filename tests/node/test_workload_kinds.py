"""Every kind of workload gets its gate, whoever creates the pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster.workloads import workload
from tests.node.cluster import condition, statuses
from tests.node.models import RESTRICTED, server, serving, serving_spec
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from tests.cluster.api_server import Document
    from tests.node.cluster import Cluster
    from tests.node.fixtures import SpaceFactory, StoreFactory

ENDS = ["python3", "-c", "print('inference done')"]


def _gated(pod: Document) -> bool:
    state = statuses(pod).get(GATE_CONTAINER, {}).get("state", {})
    return "terminated" in state and state["terminated"]["exitCode"] == 0


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "StatefulSet", "DaemonSet"])
def test_what_serves_becomes_ready_behind_its_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, kind: str
) -> None:
    """The pod is ready, and its gate has succeeded."""
    namespace = space(store())
    cluster.api.created(serving(kind, namespace))
    cluster.wait(
        lambda: [condition(pod, "Ready") for pod in cluster.pods(namespace)] == ["True"],
        what="one ready pod",
        namespace=namespace,
    )
    (pod,) = cluster.pods(namespace)
    assert _gated(pod)


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_what_ends_completes_behind_its_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, kind: str
) -> None:
    """The Job succeeds, with the gate before its container."""
    namespace = space(store())
    spec = serving_spec(containers=[server(command=ENDS)], restartPolicy="Never")
    cluster.api.created(workload(kind, namespace, spec=spec))
    if kind == "CronJob":
        now = ("create", "job", "--from=cronjob/vllm", "by-hand")
        cluster.api.kubectl("-n", namespace, *now)
    cluster.wait(
        lambda: [pod["status"]["phase"] for pod in cluster.pods(namespace)] == ["Succeeded"],
        what="the pod succeeds",
        namespace=namespace,
    )
    (pod,) = cluster.pods(namespace)
    assert _gated(pod)


def test_a_native_sidecar_runs_beside_the_gate_and_cannot_write(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """A sidecar that wanted to write the model runs on; its mount is read-only from the start."""
    namespace = space(store())
    script = "import os, time\ntry: open('/models/granite/new', 'w')\nexcept OSError as e: print(e)"
    sidecar = server(
        name="sidecar",
        restartPolicy="Always",
        command=["python3", "-uc", f"{script}\ntime.sleep(600)"],
    )
    cluster.api.created(serving("Pod", namespace, initContainers=[sidecar]))
    cluster.wait_until_running(namespace, "vllm")
    assert "Read-only file system" in cluster.logs(namespace, "vllm", "sidecar")


def test_a_download_runs_before_the_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """An init container of the user's that fetches the model ends before the gate starts."""
    model = store()
    namespace = space(model)
    copy = "import shutil; shutil.copytree('/store/granite', '/models/granite')"
    download = server(
        name="download",
        command=["python3", "-c", copy],
        volumeMounts=[
            {"name": "model", "mountPath": "/models"},
            {"name": "store", "mountPath": "/store", "readOnly": True},
        ],
    )
    volumes: list[Document] = [
        {"name": "model", "emptyDir": {}},
        {"name": "store", "persistentVolumeClaim": {"claimName": "granite"}},
    ]
    cluster.api.created(
        serving("Pod", namespace, initContainers=[download], volumes=volumes, **RESTRICTED)
    )
    ended = statuses(cluster.wait_until_running(namespace, "vllm"))
    finished = ended["download"]["state"]["terminated"]["finishedAt"]
    assert finished <= ended[GATE_CONTAINER]["state"]["terminated"]["startedAt"]


def test_the_workload_cannot_write_its_model(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """A mount that was declared writable is read-only in the pod."""
    namespace = space(store())
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_running(namespace, "vllm")
    write = ("exec", "vllm", "-c", "server", "--", "touch", "/models/granite/new")
    answer = cluster.api.kubectl("-n", namespace, *write, check=False)
    assert answer.returncode
    assert "Read-only file system" in answer.stderr
