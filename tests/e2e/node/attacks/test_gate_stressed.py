"""A gate that is short of something, or whose model is hard to read: shut, with the reason to see.

And what is repaired lets the pod start without further help.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.api_server.workloads import MODEL
from tests.e2e.node.cluster import condition, started, statuses
from tests.e2e.node.models import FILES, WEIGHTS, server, serving
from validator.contract import ENVIRONMENT_LIMIT, GATE_CONTAINER, POLICY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory

MERGE: Final = "application/merge-patch+json"
ENDLESS_BYTES: Final = 1 << 40
"""A sparse file of that size needs no disk, and ten minutes to be hashed."""

MANY_FILES: Final = 5_000


# Short of something


def test_a_gate_without_memory_is_named_as_such(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """`kubectl describe` says OOMKilled; with more in the policy, the next pod starts."""
    small = {"limits": {"memory": "12Mi"}, "requests": {"memory": "12Mi"}}
    namespace = space(store(), resources=small)
    cluster.api.created(serving("Deployment", namespace))
    cluster.wait(
        lambda: any(_killed(pod) for pod in cluster.pods(namespace)),
        what="the gate is killed",
        namespace=namespace,
    )
    (pod,) = cluster.pods(namespace)
    assert "OOMKilled" in cluster.describe(namespace, pod["metadata"]["name"])
    assert not started(pod, "server")
    _change_policy(cluster, namespace, {"resources": None})
    cluster.wait(
        lambda: _memory_of_gates(cluster, namespace) == "256Mi",
        what="the webhook has seen the change",
        namespace=namespace,
    )
    cluster.api.kubectl("-n", namespace, "delete", "pod", pod["metadata"]["name"], "--wait=false")
    cluster.wait(
        lambda: any(condition(each, "Ready") == "True" for each in cluster.pods(namespace)),
        what="the next pod is ready",
        namespace=namespace,
    )


def _killed(pod: Document) -> bool:
    status = statuses(pod).get(GATE_CONTAINER, {})
    ended = [status.get(when, {}).get("terminated") or {} for when in ("state", "lastState")]
    return any(each.get("reason") == "OOMKilled" for each in ended)


def _memory_of_gates(cluster: Cluster, namespace: str) -> str:
    tried = cluster.api.created(serving("Pod", namespace), dry_run=True)
    return str(tried["spec"]["initContainers"][0]["resources"]["limits"]["memory"])


def _change_policy(cluster: Cluster, namespace: str, spec: Document) -> None:
    path = f"/apis/rhtas.redhat.com/v1alpha1/namespaces/{namespace}/modelvalidations/granite"
    answer = cluster.api.call("PATCH", path, {"spec": spec}, content_type=MERGE)
    assert answer.status == 200, answer.message


def test_a_gate_with_next_to_no_cpu_takes_its_time(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """A twentieth of a core, as its workload has: late, and right."""
    namespace = space(store())
    little = {"requests": {"cpu": "50m"}, "limits": {"cpu": "50m"}}
    serve = server(resources=little, command=["sleep", "600"])
    cluster.api.created(serving("Pod", namespace, containers=[serve]))
    pod = cluster.wait_until_running(namespace, "vllm")
    assert pod["spec"]["initContainers"][0]["resources"]["limits"]["cpu"] == "50m"
    assert statuses(pod)[GATE_CONTAINER]["restartCount"] == 0


def test_a_volume_that_is_full(cluster: Cluster, store: StoreFactory, space: SpaceFactory) -> None:
    """The download reports that there is no space; with space, the pod starts by itself."""
    model = store()
    too_much = model.model / "too-much.bin"
    os.truncate(model.model / WEIGHTS, 1 << 16)
    model.sign()
    too_much.write_bytes(b"x" * (4 << 20))
    namespace = space(model)
    volumes = [
        {"name": "store", "persistentVolumeClaim": {"claimName": "granite"}},
        # The kernel rounds it up to whole pages; the model alone fits.
        {"name": "model", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    ]
    mounts = [
        {"name": "store", "mountPath": "/store"},
        {"name": "model", "mountPath": "/models"},
    ]
    fetch = server(name="fetch", command=["python3", "-c", FETCH], volumeMounts=mounts)
    cluster.api.created(serving("Pod", namespace, initContainers=[fetch], volumes=volumes))
    cluster.wait(
        lambda: statuses(cluster.pod(namespace, "vllm")).get("fetch", {}).get("restartCount", 0),
        what="fetching has failed",
        namespace=namespace,
    )
    assert "No space left on device" in cluster.describe(namespace, "vllm")
    assert not started(cluster.pod(namespace, "vllm"), GATE_CONTAINER)
    too_much.unlink()
    cluster.wait_until_running(namespace, "vllm")


FETCH: Final = f"""
import shutil
shutil.rmtree('{MODEL}', ignore_errors=True)
try:
    shutil.copytree('/store/granite', '{MODEL}')
except Exception as error:
    open('/dev/termination-log', 'w').write(str(error)[-1000:])
    raise
"""


# Hard to read


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero: it never ends


def _socket(path: Path) -> None:
    # A socket's path is short.
    here = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def _circle(path: Path) -> None:
    path.symlink_to("circle")
    (path.parent / "circle").symlink_to(path.name)


def _in_itself(path: Path) -> None:
    path.symlink_to(".")


@pytest.mark.parametrize(
    ("put", "name"),
    [
        *((put, WEIGHTS) for put in (_fifo, _device, _socket, _circle, _in_itself)),
        *((put, "model.sig") for put in (_fifo, _device)),
        *((put, "added") for put in (_fifo, _in_itself)),
    ],
)
def test_what_is_not_a_file_ends_at_once(
    put: Callable[[Path], None],
    name: str,
    cluster: Cluster,
    store: StoreFactory,
    space: SpaceFactory,
) -> None:
    """In a signed file's place, the signature's, or beside them: named, and never waited for."""
    model = store()
    file = model.model / name
    good = file.read_bytes() if file.exists() else None
    file.unlink(missing_ok=True)
    put(file)
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace))
    said = cluster.wait_until_refused(namespace, "vllm")
    assert name in said or "circle" in said
    assert not started(cluster.pod(namespace, "vllm"), "server")
    file.unlink()
    (model.model / "circle").unlink(missing_ok=True)
    if good is not None:
        file.write_bytes(good)
    cluster.wait_until_running(namespace, "vllm")


def test_a_file_that_goes_on_and_on(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """The gate says how far it is; cut short while it is read, it is no longer the same: again."""
    model = store()
    os.truncate(model.model / WEIGHTS, ENDLESS_BYTES)
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace))
    cluster.wait(
        lambda: (
            "of 1.0 TiB" in cluster.logs(namespace, "vllm", GATE_CONTAINER)
            if started(cluster.pod(namespace, "vllm"), GATE_CONTAINER)
            else False
        ),
        what="the gate says how far it is",
        namespace=namespace,
    )
    assert not started(cluster.pod(namespace, "vllm"), "server")
    (model.model / WEIGHTS).write_bytes(FILES[WEIGHTS])
    cluster.wait_until_running(namespace, "vllm")


def test_a_model_of_thousands_of_files(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """It is read within the gate's memory."""
    model = store()
    for number in range(MANY_FILES):
        folder = model.model / f"{number % 50}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}").write_bytes(b"%d" % number)
    model.sign()
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace))
    pod = cluster.wait_until_running(namespace, "vllm")
    message = statuses(pod)[GATE_CONTAINER]["state"]["terminated"]["message"]
    assert f'"files":{MANY_FILES + len(FILES)}' in message
    assert statuses(pod)[GATE_CONTAINER]["restartCount"] == 0


# Large pods and policies


def test_a_pod_of_a_megabyte(cluster: Cluster, store: StoreFactory, space: SpaceFactory) -> None:
    """Of characters that take six times their size in a review; the pod runs after its gate."""
    namespace = space(store())
    environment: list[Any] = [{"name": f"V{n}", "value": "<" * 100_000} for n in range(10)]
    cluster.api.created(
        serving("Pod", namespace, containers=[server(), server(name="x", **_idle(environment))])
    )
    pod = cluster.wait_until_running(namespace, "vllm")
    assert statuses(pod)[GATE_CONTAINER]["state"]["terminated"]["exitCode"] == 0


def _idle(environment: list[Any]) -> Document:
    return {"command": ["sleep", "600"], "env": environment, "volumeMounts": []}


@pytest.mark.parametrize("fits", [True, False], ids=["fits", "too large"])
def test_a_policy_about_as_large_as_a_gate_can_carry(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, *, fits: bool
) -> None:
    """It has to fit one variable of a process, whose length the kernel bounds."""
    model = store()
    ignored = [f"{number:02}" + "/x" * 500 for number in range(64)]
    padded = {"privateKeyConfig": {"publicKey": model.public_key + "\n" * 1_500}}
    config = {"anyOf": [padded] * (8 if fits else 16)}
    namespace = space(model, model={"ignorePaths": ignored}, config=config)
    answer = cluster.api.create(serving("Pod", namespace))
    if not fits:
        assert answer.status == 403
        assert "shorten its keys, certificates or trusted root" in answer.message
        return
    (gate,) = answer.document["spec"]["initContainers"]
    (value,) = [each["value"] for each in gate["env"] if each["name"] == POLICY_VARIABLE]
    assert 0.9 * ENVIRONMENT_LIMIT < len(value) <= ENVIRONMENT_LIMIT
    cluster.wait_until_running(namespace, "vllm")
