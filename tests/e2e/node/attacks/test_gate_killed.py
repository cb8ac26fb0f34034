"""Deaths on the node: of the gate at work, its pod's sandbox, the monitor, the workload."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.node.cluster import condition, started, statuses
from tests.e2e.node.models import FILES, WEIGHTS, serving
from validator.contract import GATE_CONTAINER, MONITOR_CONTAINER

if TYPE_CHECKING:
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory
    from tests.e2e.node.models import ModelStore
    from tests.e2e.node.node import Node

pytestmark = pytest.mark.usefixtures("own_cluster")

ENDLESS_BYTES: Final = 1 << 40
"""A sparse file of that size needs no disk, and ten minutes to be hashed."""

KILLED: Final = 128 + 9


@pytest.fixture
def model(store: StoreFactory) -> ModelStore:
    """A signed model."""
    return store()


def restarts(cluster: Cluster, namespace: str, container: str) -> int:
    """Return how often a container of the pod was started again."""
    status = statuses(cluster.pod(namespace, "vllm")).get(container, {})
    return int(status.get("restartCount", 0))


def runs(cluster: Cluster, namespace: str, container: str) -> bool:
    """Tell whether a container of the pod runs."""
    status = statuses(cluster.pod(namespace, "vllm")).get(container, {})
    return "running" in status.get("state", {})


def wait_until_ready(cluster: Cluster, namespace: str, status: str) -> None:
    """Return when the pod's condition is so."""
    cluster.wait(
        lambda: condition(cluster.pod(namespace, "vllm"), "Ready") == status,
        what=f"Ready is {status}",
        namespace=namespace,
    )


@pytest.mark.parametrize("what", ["gate", "kubelet"])
def test_a_death_half_way_opens_nothing(
    what: str, cluster: Cluster, node: Node, model: ModelStore, space: SpaceFactory
) -> None:
    """The gate begins again, or goes on; the model repaired, the pod starts by itself."""
    os.truncate(model.model / WEIGHTS, ENDLESS_BYTES)
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace))
    at_work = lambda: runs(cluster, namespace, GATE_CONTAINER)  # noqa: E731 — asked twice
    cluster.wait(at_work, what="the gate is at work", namespace=namespace)
    if what == "gate":
        node.kill(namespace, "vllm", GATE_CONTAINER)
        cluster.wait(
            lambda: restarts(cluster, namespace, GATE_CONTAINER) == 1,
            what="the gate begins again",
            namespace=namespace,
        )
        gate = statuses(cluster.pod(namespace, "vllm"))[GATE_CONTAINER]
        assert gate["lastState"]["terminated"]["exitCode"] == KILLED
        assert f"Exit Code:    {KILLED}" in cluster.describe(namespace, "vllm")
    else:
        node.start("kubelet")
    cluster.wait(at_work, what="the gate is at work", namespace=namespace)
    assert not started(cluster.pod(namespace, "vllm"), "server")
    (model.model / WEIGHTS).write_bytes(FILES[WEIGHTS])
    cluster.wait_until_running(namespace, "vllm")


def test_a_pod_whose_sandbox_dies_starts_after_its_gate_again(
    cluster: Cluster, node: Node, model: ModelStore, space: SpaceFactory
) -> None:
    """As after a restart of the node; a model that has changed meanwhile is not served."""
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_running(namespace, "vllm")
    (model.model / WEIGHTS).write_bytes(b"another model")
    filters = (
        f'labels."io.kubernetes.pod.namespace"=={namespace}',
        'labels."io.cri-containerd.kind"==sandbox',
    )
    (sandbox,) = node.runtime("containers", "list", "--quiet", ",".join(filters)).split()
    node.runtime("task", "kill", "--all", "--signal", "SIGKILL", sandbox.decode())
    assert WEIGHTS in cluster.wait_until_refused(namespace, "vllm")
    assert not runs(cluster, namespace, "server")
    (model.model / WEIGHTS).write_bytes(FILES[WEIGHTS])
    cluster.wait_until_running(namespace, "vllm")


def test_a_workload_that_dies_is_served_again_without_its_gate_and_not_without_its_monitor(
    cluster: Cluster, node: Node, model: ModelStore, space: SpaceFactory
) -> None:
    """As documented: the gate does not run again. The monitor keeps the pod out of its Services."""
    namespace = space(model, revalidation={})
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_running(namespace, "vllm")
    (model.model / WEIGHTS).write_bytes(b"another model")
    node.kill(namespace, "vllm", "server")
    cluster.wait(
        lambda: restarts(cluster, namespace, "server") == 1,
        what="the server is started again",
        namespace=namespace,
    )
    wait_until_ready(cluster, namespace, "False")
    assert restarts(cluster, namespace, GATE_CONTAINER) == 0


def test_a_monitor_that_is_killed_is_missed_until_it_has_verified_again(
    cluster: Cluster, node: Node, model: ModelStore, space: SpaceFactory
) -> None:
    """Its last good word does not outlive it, and the workload is not restarted."""
    namespace = space(model, revalidation={})
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_running(namespace, "vllm")
    (model.model / WEIGHTS).write_bytes(b"another model")
    node.kill(namespace, "vllm", MONITOR_CONTAINER)
    cluster.wait(
        lambda: restarts(cluster, namespace, MONITOR_CONTAINER) >= 1,
        what="the monitor is started again",
        namespace=namespace,
    )
    wait_until_ready(cluster, namespace, "False")
    cluster.wait(
        lambda: "Verification failed" in cluster.describe(namespace, "vllm"),
        what="describe says why",
        namespace=namespace,
    )
    (model.model / WEIGHTS).write_bytes(FILES[WEIGHTS])
    wait_until_ready(cluster, namespace, "True")
    assert restarts(cluster, namespace, "server") == 0
