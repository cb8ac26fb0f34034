"""A verdict is in the policy's status a moment after the gate has ended."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.installation.manifests import COMPONENT, built, on_top
from tests.e2e.api_server.processes import until
from tests.e2e.images.building import project_version
from tests.e2e.node.cluster import ended
from tests.e2e.node.installing import NAMESPACE, ROLLOUT_SECONDS
from tests.e2e.node.models import WEIGHTS, serving
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory

IMAGES = [
    {"name": f"model-validation/{name}", "newTag": project_version()}
    for name in ("validator", "webhook")
]


@pytest.fixture(scope="module")
def _observed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The component's own objects, installed while the module's tests run."""
    folder = on_top(tmp_path_factory.mktemp("observe"), components=("observe",), images=IMAGES)
    objects = [each for each in built(folder) if each["metadata"]["labels"][COMPONENT] == "observe"]
    cluster.api.apply(objects)
    rollout = ("rollout", "status", "deployment/model-validation-observe")
    limit = f"--timeout={ROLLOUT_SECONDS}s"
    cluster.api.kubectl("-n", NAMESPACE, *rollout, limit, seconds=ROLLOUT_SECONDS + 10)
    yield
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    cluster.api.kubectl("delete", "--wait=false", "-f", "-", given=given)


def shown(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Return the columns of `kubectl get modelvalidations`, by their titles."""
    listed = cluster.api.kubectl("-n", namespace, "get", "modelvalidations").stdout
    header, row = listed.splitlines()
    cells = {title: row[header.index(title) :].split() for title in header.split()}
    return {title: cell[0] if cell else "" for title, cell in cells.items()}


def wait_for(cluster: Cluster, namespace: str, **columns: str) -> float:
    """Return after how many seconds the columns say so."""
    start = time.monotonic()
    while time.monotonic() - start < 120:
        found = shown(cluster, namespace)
        if columns.items() <= found.items():
            return time.monotonic() - start
        time.sleep(0.2)
    pytest.fail(f"waited in vain for {columns}: {shown(cluster, namespace)}")


@pytest.mark.usefixtures("_observed")
def test_verdicts_appear(
    cluster: Cluster,
    store: StoreFactory,
    space: SpaceFactory,
    record_property: Callable[[str, object], None],
) -> None:
    """A verified pod, then a refused one; the report says after how many seconds."""
    model = store()
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace))
    pod = cluster.wait_until_running(namespace, "vllm")
    record_property("seconds", wait_for(cluster, namespace, VERIFIED="1", REFUSED="0"))
    assert ended(pod, GATE_CONTAINER)
    status = cluster.api.call("GET", _path(namespace)).document["status"]
    (found,) = status["models"]
    assert found["digest"] == model.digest
    assert found["method"] == "key"
    file = model.model / WEIGHTS
    file.write_bytes(b"A" + file.read_bytes()[1:])
    other = serving("Pod", namespace)
    other["metadata"]["name"] = "other"
    cluster.api.created(other)
    cluster.wait_until_refused(namespace, "other")
    record_property("refused", wait_for(cluster, namespace, VERIFIED="1", REFUSED="1"))
    status = cluster.api.call("GET", _path(namespace)).document["status"]
    (bad,) = status["refusals"]
    assert (bad["pod"], bad["code"]) == ("other", "ModelDiffers")

    def announced() -> bool:
        described = cluster.api.kubectl("-n", namespace, "describe", "mv", "granite").stdout
        return "ModelRefused" in described and "ModelVerified" in described

    # An event is written after the status, by a task of its own.
    until(announced, what="both verdicts are events of the policy", seconds=60, pause=0.5)


def _path(namespace: str) -> str:
    return f"/apis/rhtas.redhat.com/v1alpha1/namespaces/{namespace}/modelvalidations/granite"
