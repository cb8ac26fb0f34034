"""Mounts within mounts, and links that would lead them over the model: tried on a real node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.api_server.workloads import MODEL
from tests.e2e.node.cluster import started
from tests.e2e.node.models import server, serving

if TYPE_CHECKING:
    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory

CONFIG: Final = '{"model_type": "granite"}'
VOLUMES: Final = [
    {"name": "model", "persistentVolumeClaim": {"claimName": "granite"}},
    {"name": "home", "emptyDir": {}},
    {"name": "inner", "emptyDir": {}},
]
WITHIN_THE_MODELS: Final = [
    {"name": "model", "mountPath": "/models"},
    {"name": "inner", "mountPath": "/models/shared"},
]
WITHIN_A_CACHE: Final = [
    {"name": "model", "mountPath": "/models"},
    {"name": "home", "mountPath": "/cache"},
    {"name": "inner", "mountPath": "/cache/vllm"},
]
HOME: Final = {"name": "home", "mountPath": "/home"}


def fill(program: str) -> Document:
    """Return an init container that fills the outer volume."""
    return server(name="fill", command=["python3", "-c", program], volumeMounts=[HOME])


def spec(mounts: list[Document], program: str = "") -> Document:
    """Return a pod's fields: a server with these mounts, after the outer volume was filled."""
    return {
        "initContainers": [fill(program)],
        "containers": [server(volumeMounts=mounts)],
        "volumes": VOLUMES,
    }


@pytest.mark.parametrize(
    ("mounts", "at"),
    [(WITHIN_THE_MODELS, "/models/shared"), (WITHIN_A_CACHE, "/cache/vllm")],
    ids=["in the model's volume", "in a cache"],
)
def test_what_is_mounted_beside_the_model_can_be_used(
    mounts: list[Document], at: str, cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """The model is served, and the inner volume can be written."""
    model = store()
    (model.folder / "shared").mkdir()
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace, **spec(mounts)))
    cluster.wait_until_running(namespace, "vllm")
    program = f"touch {at}/mine && cat {MODEL}/config.json"
    ran = cluster.execute(namespace, "vllm", "server", "sh", "-c", program)
    assert ran.stdout == CONFIG, ran.stderr


def test_a_link_on_an_outer_volume_is_found(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """Under Audit it does what it is feared for: the server sees nothing where the model was."""
    link = f"import os; os.symlink('{MODEL}', '/home/vllm')"
    model = store()
    audited = space(model, mode="Audit")
    cluster.api.created(serving("Pod", audited, **spec(WITHIN_A_CACHE, link)))
    cluster.wait_until_running(audited, "vllm")
    assert cluster.execute(audited, "vllm", "server", "ls", "-A", MODEL).stdout == ""
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace, **spec(WITHIN_A_CACHE, link)))
    said = cluster.wait_until_refused(namespace, "vllm")
    assert "there is a link on the way to '/cache/vllm'" in said
    assert not started(cluster.pod(namespace, "vllm"), "server")


@pytest.mark.parametrize("target", ["granite", "granite/tokenizer", MODEL])
def test_a_link_on_the_models_volume_is_found(
    target: str, cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """It would lead the inner mount over the model, or a part of it."""
    model = store()
    (model.folder / "shared").symlink_to(target)
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace, **spec(WITHIN_THE_MODELS)))
    said = cluster.wait_until_refused(namespace, "vllm")
    assert "there is a link on the way to '/models/shared'" in said


def test_a_folder_that_the_runtime_cannot_make_is_named(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """The model's volume is read-only, and the container would not start, without a word why."""
    namespace = space(store())
    cluster.api.created(serving("Pod", namespace, **spec(WITHIN_THE_MODELS)))
    said = cluster.wait_until_refused(namespace, "vllm")
    assert "nothing at '/models/shared'" in said
