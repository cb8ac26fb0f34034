"""Writers of the model come before the verdict: downloads, and containers of other webhooks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.other_webhook import other_webhook
from tests.e2e.api_server.webhook_registration import mutating_all, registered
from tests.e2e.node.cluster import began, ended, started
from tests.e2e.node.models import RESTRICTED, WEIGHTS, downloading, server, serving
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.client import Document
    from tests.e2e.api_server.other_webhook import Patch
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory
    from tests.e2e.node.models import ModelStore

BRINGS_WEIGHTS = f"open('/models/granite/{WEIGHTS}', 'w').write('a' * 4096)"


@pytest.mark.parametrize("kind", ["emptyDir", "persistentVolumeClaim"])
def test_a_download_runs_before_the_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, kind: str
) -> None:
    """An init container of the user's that fetches the model ends before the gate starts."""
    namespace = space(store())
    volume: Document = {"emptyDir": {}}
    if kind == "persistentVolumeClaim":
        empty = cluster.folder / "models" / namespace
        empty.mkdir()
        empty.chmod(0o777)
        volume = {kind: {"claimName": cluster.claim(namespace, empty, name="cache")}}
    spec = downloading({"name": "model"} | volume)
    cluster.api.created(serving("Pod", namespace, **spec, **RESTRICTED))
    pod = cluster.wait_until_running(namespace, "vllm")
    assert ended(pod, "download") <= began(pod, GATE_CONTAINER)
    assert ended(pod, GATE_CONTAINER) <= began(pod, "server")


def test_the_gate_moves_after_a_writer_that_another_webhook_adds_later(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, tmp_path: Path
) -> None:
    """When the pod runs, the files that the writer added have been verified."""
    model = store()
    namespace = space(model)
    (model.model / WEIGHTS).unlink()
    _let_all_write(model)
    with _asked_last(cluster, namespace, tmp_path, [_writer("late", BRINGS_WEIGHTS)]):
        cluster.api.created(serving("Pod", namespace))
    pod = cluster.wait_until_running(namespace, "vllm")
    names = [each["name"] for each in pod["spec"]["initContainers"]]
    assert names == ["late", GATE_CONTAINER]
    assert ended(pod, "late") <= began(pod, GATE_CONTAINER)


def test_what_a_writer_of_another_webhook_spoils_is_not_served(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, tmp_path: Path
) -> None:
    """The verdict is on the model as the writer has left it."""
    model = store()
    namespace = space(model)
    _let_all_write(model)
    spoil = "open('/models/granite/modeling_granite.py', 'w')"
    with _asked_last(cluster, namespace, tmp_path, [_writer("late", spoil)]):
        cluster.api.created(serving("Pod", namespace))
    assert "'modeling_granite.py' is not signed" in cluster.wait_until_refused(namespace, "vllm")
    assert not started(cluster.pod(namespace, "vllm"), "server")


def test_a_webhook_that_adds_writers_for_ever_gets_the_pod_refused(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, tmp_path: Path
) -> None:
    """The API server calls twice; if a writer still follows the gate, the pod is refused."""
    namespace = space(store())
    writers = [_writer(f"late-{number}", "pass") for number in range(9)]
    with _asked_last(cluster, namespace, tmp_path, writers):
        answer = cluster.api.create(serving("Pod", namespace))
    assert answer.status == 403
    assert "'model-validation' must be initContainers[" in answer.message
    assert "the order was changed after mutation" in answer.message
    assert cluster.pods(namespace) == []


def test_nobody_beside_the_workload_can_write_its_model(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """Not even root, through whichever container, mount or second entry for the same claim."""
    namespace = space(store())
    root = {"runAsUser": 0, "allowPrivilegeEscalation": False}
    again = {"name": "again", "mountPath": "/again", "subPath": "granite"}
    containers = [
        server(securityContext=root),
        server(name="helper", command=["sleep", "600"], securityContext=root, volumeMounts=[again]),
    ]
    volumes = [
        {"name": name, "persistentVolumeClaim": {"claimName": "granite"}}
        for name in ("model", "again")
    ]
    pod = serving("Pod", namespace, containers=containers, volumes=volumes, securityContext={})
    cluster.api.created(pod)
    cluster.wait_until_running(namespace, "vllm")
    for container, path in (("server", "/models/granite"), ("helper", "/again")):
        for command in (("touch", f"{path}/new"), ("rm", f"{path}/config.json")):
            ran = cluster.execute(namespace, "vllm", container, *command)
            assert "Read-only file system" in ran.stderr


def _writer(name: str, program: str) -> Document:
    return server(name=name, command=["python3", "-c", program])


def _let_all_write(model: ModelStore) -> None:
    model.model.chmod(0o777)


@contextmanager
def _asked_last(
    cluster: Cluster, namespace: str, folder: Path, writers: list[Document]
) -> Iterator[None]:
    """Have another webhook, called after ours, add the next init container at each call."""
    left = iter(writers)

    def patch(_: Document) -> Patch:
        writer = next(left, None)
        path = "/spec/initContainers/-"
        return [{"op": "add", "path": path, "value": writer}] if writer else []

    # The other end of the link by which we reach the node.
    address = ".".join([*cluster.api.address.split(".")[:3], "1"])
    with other_webhook(folder, patch=patch, address=address) as other:
        name = f"zzz-{namespace}"  # after `zz-model-validation`
        with registered(cluster.api, mutating_all(other.endpoint, name=name, namespace=namespace)):
            yield
