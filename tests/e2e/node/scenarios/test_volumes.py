"""The model on each kind of volume that this node can have.

NFS is not among them: mounting it needs a client in the kernel. What a policy that names an
export does to a pod is tested without one, and so is re-validation, which polls for its sake.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.api_server.workloads import MODEL
from tests.e2e.node.cluster import statuses
from tests.e2e.node.models import FILES, ModelStore, server, serving, sign
from validator.contract import GATE_CONTAINER, MODEL_VOLUME, NAMESPACE_HOST_PATH_LABEL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory

REVISION: Final = "3d6f5a8b0c1e2d4f6a8b0c1e2d4f6a8b0c1e2d4f"


def test_a_model_at_the_root_of_a_file_system_is_served_beside_its_lost_and_found(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """The directory that only root may enter is no part of the model, and the log says so."""
    model = store()
    (model.model / "lost+found").mkdir(mode=0o700)
    namespace = space(model)
    cluster.claim(namespace, model.model, name="disk")
    mounts = [{"name": "model", "mountPath": MODEL}]
    volumes = [{"name": "model", "persistentVolumeClaim": {"claimName": "disk"}}]
    containers = [server(volumeMounts=mounts)]
    cluster.api.created(serving("Pod", namespace, containers=containers, volumes=volumes))
    cluster.wait_until_running(namespace, "vllm")
    assert "not covered: lost+found" in cluster.logs(namespace, "vllm", GATE_CONTAINER)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_sub_path_of_a_claim_is_served(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, *, read_only: bool
) -> None:
    """The gate sees the same directory of the volume as the workload."""
    namespace = space(store())
    mount = {"name": "model", "mountPath": MODEL, "subPath": "granite", "readOnly": read_only}
    cluster.api.created(serving("Pod", namespace, containers=[server(volumeMounts=[mount])]))
    pod = cluster.wait_until_running(namespace, "vllm")
    (gate,) = pod["spec"]["initContainers"]
    assert gate["volumeMounts"][0]["subPath"] == "granite"


def test_a_directory_of_the_node_is_served(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """A user who may write hostPath into a pod needs no permission of the policy."""
    model = store()
    namespace = space(model)
    volumes = [{"name": "model", "hostPath": {"path": str(model.folder)}}]
    cluster.api.created(serving("Pod", namespace, volumes=volumes))
    cluster.wait_until_running(namespace, "vllm")


@pytest.mark.parametrize("kind", ["persistentVolumeClaim", "hostPath"])
def test_a_volume_that_the_policy_brings_along_is_served(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, kind: str
) -> None:
    """The pod says nothing of volumes; a directory of the node needs the admin's leave."""
    model = store()
    source = {
        "persistentVolumeClaim": {"claimName": "granite"},
        "hostPath": {"path": str(model.folder)},
    }[kind]
    volume = {kind: source, "mountPath": "/models"}
    labels = {NAMESPACE_HOST_PATH_LABEL: "true"} if kind == "hostPath" else None
    namespace = space(model, labels=labels, model={"volume": volume})
    cluster.api.created(_bare(namespace))
    pod = cluster.wait_until_running(namespace, "vllm")
    assert MODEL_VOLUME in {volume["name"] for volume in pod["spec"]["volumes"]}
    read = cluster.execute(namespace, "vllm", "server", "cat", f"{MODEL}/config.json")
    assert read.stdout.encode() == FILES["config.json"]


def test_a_directory_of_the_node_is_not_the_policys_to_give(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """In a namespace without the admin's label the sentence says which one."""
    model = store()
    volume = {"hostPath": {"path": str(model.folder)}, "mountPath": "/models"}
    namespace = space(model, model={"volume": volume})
    answer = cluster.api.create(_bare(namespace))
    assert answer.status == 403
    assert f'{NAMESPACE_HOST_PATH_LABEL}: "true"' in answer.message


def _bare(namespace: str) -> Document:
    """Return a pod that leaves volume and mount to the policy."""
    return serving("Pod", namespace, containers=[server(volumeMounts=[])], volumes=[])


def test_a_snapshot_of_a_hugging_face_cache_is_served_until_a_name_is_repointed(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """The links of the snapshot are what is signed: not only blobs, but which name is which."""
    model = store()
    snapshot = _as_cache(model)
    sign(snapshot, model.key, links=True)
    path = f"/models/{snapshot.relative_to(model.folder)}"
    namespace = space(model, model={"path": path})
    command = ["python3", "-m", "http.server", "--directory", path, "8000"]
    spec: dict[str, Any] = {"containers": [server(command=command)]}
    cluster.api.created(serving("Pod", namespace, **spec))
    pod = cluster.wait_until_running(namespace, "vllm")
    assert statuses(pod)[GATE_CONTAINER]["restartCount"] == 0
    cluster.api.kubectl("-n", namespace, "delete", "pod", "vllm")

    config = snapshot / "config.json"
    other = (snapshot / "tokenizer" / "vocabulary.txt").resolve()
    config.unlink()
    config.symlink_to(f"../../blobs/{other.name}")
    cluster.api.created(serving("Pod", namespace, **spec))
    said = cluster.wait_until_refused(namespace, "vllm")
    assert "'config.json' is not the signed file" in said


def _as_cache(model: ModelStore) -> Path:
    """Lay the model's files out as huggingface_hub does, and return the snapshot."""
    cache = model.folder / "hub" / "models--ibm--granite"
    snapshot = cache / "snapshots" / REVISION
    for folder in (cache / "blobs", cache / "refs", snapshot):
        folder.mkdir(parents=True)
    (cache / "refs" / "main").write_text(REVISION)
    for name, content in FILES.items():
        blob = cache / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        link = snapshot / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot
