"""A model that changes while it is served, and the pod that learns of it."""

from __future__ import annotations

import json
import mmap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.api_server.workloads import MODEL, workload
from tests.e2e.node.cluster import condition, started, statuses
from tests.e2e.node.models import FILES, WEIGHTS, server, serving, serving_spec
from validator.contract import GATE_CONTAINER, MONITOR_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory
    from tests.e2e.node.models import ModelStore

OFTEN: Final = {"interval": "10s"}
"""As often as a policy may ask for. Changes that can be seen are noticed within five seconds."""

MEMORY_BYTES: Final = 100 << 20
"""Twice the memory that docs/revalidation.md states for a small model."""


def wait_until(cluster: Cluster, namespace: str, *, ready: bool, name: str = "vllm") -> Document:
    """Return a pod when it is ready, or is not."""
    wanted = "True" if ready else "False"
    cluster.wait(
        lambda: condition(cluster.pod(namespace, name), "Ready") == wanted,
        what=f"Ready is {wanted}",
        namespace=namespace,
    )
    return cluster.pod(namespace, name)


def spoil(model: ModelStore) -> None:
    """Change one byte in place."""
    (model.model / WEIGHTS).write_bytes(b"A" + FILES[WEIGHTS][1:])


def repair(model: ModelStore) -> None:
    """Put it back."""
    (model.model / WEIGHTS).write_bytes(FILES[WEIGHTS])


def test_a_changed_model_takes_the_pod_out_of_its_service(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """And `kubectl describe` says why; repaired, it is back, and nothing was restarted."""
    model = store()
    namespace = space(model, revalidation={})
    cluster.api.created(_service(namespace))
    cluster.api.created(serving("Pod", namespace))
    wait_until(cluster, namespace, ready=True)
    _wait_for_endpoints(cluster, namespace, 1)
    spoil(model)
    wait_until(cluster, namespace, ready=False)
    _wait_for_endpoints(cluster, namespace, 0)
    cluster.wait(
        lambda: (
            f"Readiness probe failed: Verification failed: the model is not the signed one: "
            f"'{WEIGHTS}' is not the signed file" in cluster.describe(namespace, "vllm")
        ),
        what="describe says why",
        namespace=namespace,
    )
    repair(model)
    pod = wait_until(cluster, namespace, ready=True)
    _wait_for_endpoints(cluster, namespace, 1)
    assert {name: each["restartCount"] for name, each in statuses(pod).items()} == {
        GATE_CONTAINER: 0,
        MONITOR_CONTAINER: 0,
        "server": 0,
    }


def _service(namespace: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "vllm", "namespace": namespace},
        "spec": {"selector": {"app": "vllm"}, "ports": [{"port": 80, "targetPort": 8000}]},
    }


def _wait_for_endpoints(cluster: Cluster, namespace: str, count: int) -> None:
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"

    def ready() -> int:
        items: list[Document] = cluster.api.call("GET", path).document["items"]
        points = [point for each in items for point in each.get("endpoints") or ()]
        return sum(bool(point["conditions"].get("ready")) for point in points)

    cluster.wait(lambda: ready() == count, what=f"{count} endpoints", namespace=namespace)


def test_another_pod_that_writes_the_shared_model(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """No gate prevents it, as documented; the monitor of the serving pod notices it."""
    model = store()
    (model.model / WEIGHTS).chmod(0o666)
    namespace = space(model, revalidation={})
    cluster.api.created(serving("Pod", namespace))
    wait_until(cluster, namespace, ready=True)
    program = f"open('{MODEL}/{WEIGHTS}', 'r+').write('A')"
    other = serving_spec(
        containers=[server(command=["python3", "-c", program])], restartPolicy="Never"
    )
    writer = workload("Pod", namespace, label=None, spec=other)
    writer["metadata"]["name"] = "writer"
    cluster.api.created(writer)
    wait_until(cluster, namespace, ready=False)
    cluster.wait(
        lambda: f"change: {MODEL}/{WEIGHTS}" in cluster.logs(namespace, "vllm", MONITOR_CONTAINER),
        what="the log names the file",
        namespace=namespace,
    )


@pytest.mark.parametrize("change", ["signature removed", "file added"])
def test_other_changes_under_a_running_pod(
    change: str, cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """Whatever would keep a pod from starting takes one that runs out of service."""
    model = store()
    namespace = space(model, revalidation={})
    cluster.api.created(serving("Pod", namespace))
    wait_until(cluster, namespace, ready=True)
    if change == "file added":
        (model.model / "modeling_granite.py").write_text("print('mine now')")
    else:
        (model.model / "model.sig").unlink()
    wait_until(cluster, namespace, ready=False)


def test_a_change_that_shows_nowhere_is_found_at_the_interval(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """Through a mapping that was written before, a file changes and its times do not."""
    model = store()
    namespace = space(model, revalidation=OFTEN)
    with (model.model / WEIGHTS).open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:1] = b"a"  # as it is: this once, the times change
        cluster.api.created(serving("Pod", namespace))
        wait_until(cluster, namespace, ready=True)
        mapped[0:1] = b"A"
        wait_until(cluster, namespace, ready=False)


def test_a_report_leaves_the_pod_as_it_is(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """`action: Report`: the log has the verdict, and the service goes on."""
    model = store()
    namespace = space(model, revalidation={"action": "Report"})
    cluster.api.created(serving("Pod", namespace))
    wait_until(cluster, namespace, ready=True)
    spoil(model)
    cluster.wait(
        lambda: "Verification failed" in cluster.logs(namespace, "vllm", MONITOR_CONTAINER),
        what="the log says it",
        namespace=namespace,
    )
    repair(model)
    cluster.wait(
        lambda: (
            cluster.logs(namespace, "vllm", MONITOR_CONTAINER).count("Verification succeeded") > 1
        ),
        what="the log says that all is well",
        namespace=namespace,
    )
    ready = [
        each
        for each in cluster.pod(namespace, "vllm")["status"]["conditions"]
        if each["type"] == "Ready"
    ]
    assert [each["status"] for each in ready] == ["True"]
    assert "Unhealthy" not in cluster.describe(namespace, "vllm")


def test_without_a_gate_the_workload_waits_for_the_monitor(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """A node runs a pod as it was admitted, but for its gate: on a bad model it does not start."""
    model = store()
    namespace = space(model, revalidation={})
    spoil(model)
    with _static(cluster, model, namespace) as name:
        cluster.wait(
            lambda: (
                "Startup probe failed: Verification failed: the model is not the signed one"
                in cluster.describe(namespace, name)
            ),
            what="describe says why",
            namespace=namespace,
        )
        assert not started(cluster.pod(namespace, name), "server")
        repair(model)
        pod = wait_until(cluster, namespace, ready=True, name=name)
        assert GATE_CONTAINER not in statuses(pod)


@contextmanager
def _static(cluster: Cluster, model: ModelStore, namespace: str) -> Iterator[str]:
    """Have the node run an admitted pod without its gate, and return its name."""
    folder = {"name": "model", "hostPath": {"path": str(model.folder)}}
    admitted = cluster.api.created(
        serving("Pod", namespace, volumes=[folder], automountServiceAccountToken=False),
        dry_run=True,
    )
    kept: dict[str, Any] = {
        name: admitted["spec"][name]
        for name in ("containers", "initContainers", "securityContext", "volumes")
    }
    kept["initContainers"] = [
        each for each in kept["initContainers"] if each["name"] != GATE_CONTAINER
    ]
    # With the label it would not be shown.
    pod = workload("Pod", namespace, label=None, spec=kept)
    pod["spec"] |= {"terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False}
    manifest = cluster.folder / "static-pods" / f"{namespace}.json"
    manifest.write_text(json.dumps(pod))
    try:
        name = "vllm-node-1"
        cluster.wait(
            lambda: bool(cluster.pods(namespace)), what="the node runs it", namespace=namespace
        )
        yield name
    finally:
        manifest.unlink()


def test_what_a_monitor_needs_of_memory(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """As the kubelet measures it, with the probes that run beside it."""
    namespace = space(store(), revalidation={})
    cluster.api.created(serving("Pod", namespace))
    wait_until(cluster, namespace, ready=True)
    cluster.wait(
        lambda: bool(_measured(cluster, namespace)),
        what="the kubelet has measured",
        namespace=namespace,
    )
    (monitor,) = _measured(cluster, namespace)
    assert monitor["memory"]["workingSetBytes"] < MEMORY_BYTES


def _measured(cluster: Cluster, namespace: str) -> list[Document]:
    summary = cluster.api.call("GET", "/api/v1/nodes/node-1/proxy/stats/summary").document
    return [
        container
        for pod in summary["pods"]
        if pod["podRef"]["namespace"] == namespace
        for container in pod["containers"]
        if container["name"] == MONITOR_CONTAINER and "workingSetBytes" in container["memory"]
    ]
