"""Every kind of workload gets its gate, for each creator of pods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.workloads import workload
from tests.e2e.node.cluster import began, condition, ended, gate_messages, started, statuses
from tests.e2e.node.models import RESTRICTED, WEIGHTS, downloading, server, serving, serving_spec
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory

ENDS = ["python3", "-c", "print('inference done')"]
WRITES = """
import time
try:
    open('/models/new', 'w')
except OSError as error:
    print(error)
time.sleep(600)
"""


def _gated(pod: Document) -> bool:
    state = statuses(pod).get(GATE_CONTAINER, {}).get("state", {})
    return "terminated" in state and state["terminated"]["exitCode"] == 0


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "StatefulSet", "DaemonSet"])
def test_a_server_becomes_ready_after_its_gate(
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


def _make_due(cluster: Cluster, namespace: str) -> None:
    """Say of the daily CronJob that it ran two days ago: its controller then makes up for it."""
    last = datetime.now(UTC) - timedelta(days=2)
    status = {"status": {"lastScheduleTime": f"{last:%Y-%m-%dT%H:%M:%SZ}"}}
    path = f"/apis/batch/v1/namespaces/{namespace}/cronjobs/vllm/status"
    answer = cluster.api.call("PATCH", path, status, content_type="application/merge-patch+json")
    assert answer.status == 200, answer.message


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_a_job_completes_after_its_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, kind: str
) -> None:
    """The Job succeeds, with the gate before its container."""
    namespace = space(store())
    spec = serving_spec(containers=[server(command=ENDS)], restartPolicy="Never")
    cluster.api.created(workload(kind, namespace, spec=spec))
    if kind == "CronJob":
        _make_due(cluster, namespace)
    cluster.wait(
        lambda: [pod["status"]["phase"] for pod in cluster.pods(namespace)] == ["Succeeded"],
        what="the pod succeeds",
        namespace=namespace,
    )
    (pod,) = cluster.pods(namespace)
    assert _gated(pod)


def test_a_job_on_another_model_than_the_signed_one_fails(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """Its pod is not tried again by the kubelet; the Job's backoffLimit decides."""
    model = store()
    namespace = space(model)
    (model.model / WEIGHTS).write_bytes(b"other")
    spec = serving_spec(containers=[server(command=ENDS)], restartPolicy="Never")
    job = workload("Job", namespace, spec=spec)
    job["spec"]["backoffLimit"] = 0
    cluster.api.created(job)
    failed = ("wait", "--for=condition=Failed", "job/vllm", "--timeout=60s")
    cluster.api.kubectl("-n", namespace, *failed, seconds=70)
    (pod,) = cluster.pods(namespace)
    assert WEIGHTS in gate_messages(pod)[0]
    assert not started(pod, "server")


def test_native_sidecars_run_on_both_sides_of_the_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """One without the model starts before the download; one with it after the gate, and reads."""
    namespace = space(store())
    spec = downloading({"name": "model", "emptyDir": {}})
    sleeps = ["sleep", "600"]
    before = server(name="before", restartPolicy="Always", command=sleeps, volumeMounts=[])
    later = server(name="later", restartPolicy="Always", command=["python3", "-uc", WRITES])
    spec["initContainers"] = [before, *spec["initContainers"], later]
    cluster.api.created(serving("Pod", namespace, **spec, **RESTRICTED))
    pod = cluster.wait_until_running(namespace, "vllm")
    names = [each["name"] for each in pod["spec"]["initContainers"]]
    assert names == ["before", "download", GATE_CONTAINER, "later"]
    assert began(pod, "before") <= began(pod, "download")
    assert ended(pod, GATE_CONTAINER) <= began(pod, "later")
    assert "Read-only file system" in cluster.logs(namespace, "vllm", "later")
