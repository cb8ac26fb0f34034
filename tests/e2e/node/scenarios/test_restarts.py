"""A model that changes while it is served: with `onRestart` and `Stop` it is not served again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.e2e.api_server.workloads import MODEL
from tests.e2e.node.cluster import gate_messages, statuses
from tests.e2e.node.models import FILES, WEIGHTS, server, serving
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory
    from tests.e2e.node.models import ModelStore

SERVE: Final = f"""
import functools, http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory={MODEL!r})
http.server.ThreadingHTTPServer(("", 8000), handler).serve_forever()
"""
"""A server that ends with an error when it is told to."""

END: Final = """
import os, signal, socket, time
for _ in range(600):
    with socket.socket() as connection:
        if connection.connect_ex(("127.0.0.1", 8000)) == 0:
            os.kill(1, signal.SIGTERM)
            break
    time.sleep(0.1)
"""
"""Ends the server once it listens: before that it has no handler, and the signal would be lost."""


SICK: Final = "sick"
"""A file beside the model. While it is there, the liveness probe fails."""

ALIVE: Final = {
    "livenessProbe": {
        "exec": {"command": ["test", "!", "-e", f"/models/{SICK}"]},
        "periodSeconds": 1,
        "failureThreshold": 1,
    }
}


def running(cluster: Cluster, namespace: str, **changes: Any) -> Document:
    """Create a pod that serves, and return it when it does."""
    serves = server(command=["python3", "-c", SERVE], **changes)
    cluster.api.created(serving("Pod", namespace, containers=[serves]))
    return cluster.wait_until_running(namespace, "vllm")


def container_of(pod: Document, name: str) -> str:
    """Return the id of a container that a pod has now, or had last."""
    return str(statuses(pod).get(name, {}).get("containerID", ""))


def end(cluster: Cluster, namespace: str) -> None:
    """Have the server end with an error."""
    cluster.execute(namespace, "vllm", "server", "python3", "-c", END)


def spoil(store: ModelStore) -> None:
    """Change one byte of the weights."""
    (store.model / WEIGHTS).write_bytes(b"A" + FILES[WEIGHTS][1:])


def repair(store: ModelStore) -> None:
    """Put it back."""
    (store.model / WEIGHTS).write_bytes(FILES[WEIGHTS])


def wait_until_refused(cluster: Cluster, namespace: str) -> None:
    """Return when the pod's status has the gate's sentence, and not only the kubelet's own."""
    cluster.wait(
        lambda: any(
            f"'{WEIGHTS}' is not the signed file" in said
            for said in gate_messages(cluster.pod(namespace, "vllm"))
        ),
        what="the gate refuses",
        namespace=namespace,
    )


def serves_anew(cluster: Cluster, namespace: str, before: Document) -> bool:
    """Tell whether another container serves than before."""
    pod = cluster.pod(namespace, "vllm")
    state = statuses(pod).get("server", {}).get("state", {})
    return "running" in state and container_of(pod, "server") != container_of(before, "server")


def test_a_changed_model_is_not_served_again(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """The gate runs first, and the pod's status has its sentence; repaired, it serves."""
    model = store()
    namespace = space(model, onRestart="Verify")
    before = running(cluster, namespace)
    spoil(model)
    end(cluster, namespace)
    wait_until_refused(cluster, namespace)
    assert not serves_anew(cluster, namespace, before)
    repair(model)
    cluster.wait(
        lambda: serves_anew(cluster, namespace, before), what="it serves", namespace=namespace
    )
    after = cluster.pod(namespace, "vllm")
    assert container_of(after, GATE_CONTAINER) != container_of(before, GATE_CONTAINER)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_a_failed_probe_asks_the_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """The kubelet ends the server itself, and does not start it before the gate has verified."""
    model = store()
    namespace = space(model, onRestart="Verify")
    before = running(cluster, namespace, **ALIVE)
    spoil(model)
    (model.folder / SICK).touch()
    wait_until_refused(cluster, namespace)
    assert not serves_anew(cluster, namespace, before)
    (model.folder / SICK).unlink()
    repair(model)
    cluster.wait(
        lambda: serves_anew(cluster, namespace, before), what="it serves", namespace=namespace
    )
    after = cluster.pod(namespace, "vllm")
    assert container_of(after, GATE_CONTAINER) != container_of(before, GATE_CONTAINER)


def test_kept_as_it_was_a_restart_asks_no_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """Documented for Keep and for older Kubernetes: the changed model is served."""
    model = store()
    namespace = space(model, onRestart="Keep")
    before = running(cluster, namespace)
    spoil(model)
    end(cluster, namespace)
    cluster.wait(
        lambda: serves_anew(cluster, namespace, before), what="it serves", namespace=namespace
    )
    after = cluster.pod(namespace, "vllm")
    assert container_of(after, GATE_CONTAINER) == container_of(before, GATE_CONTAINER)


def test_a_monitor_stops_what_is_served(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """`action: Stop`: nobody ends the server but the monitor, and then the gate refuses."""
    model = store()
    namespace = space(model, revalidation={"action": "Stop"}, onRestart="Keep")
    before = running(cluster, namespace)
    spoil(model)
    wait_until_refused(cluster, namespace)
    assert not serves_anew(cluster, namespace, before)
    assert "running" not in statuses(cluster.pod(namespace, "vllm"))["server"]["state"]
    repair(model)
    after = cluster.wait_until_running(namespace, "vllm")
    assert container_of(after, "server") != container_of(before, "server")
