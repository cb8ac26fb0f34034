"""Users of the Go operator keep their label: an overlay has it honoured like ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.installation.manifests import WEBHOOK
from tests.e2e.api_server.workloads import workload
from tests.e2e.node import installing
from tests.e2e.node.models import WEIGHTS, serving_spec
from validator.contract import OPERATOR_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory

pytestmark = pytest.mark.usefixtures("own_cluster", "compatible")


@pytest.fixture(scope="module")
def compatible(cluster: Cluster) -> Iterator[None]:
    """The overlay is in place while the module's tests run."""
    installing.install(cluster.api, "operator-compat")
    yield
    bindings = WEBHOOK / "components" / "operator-compat" / "bindings.yaml"
    cluster.api.kubectl("delete", "-f", str(bindings))
    installing.install(cluster.api)


def test_the_operators_label_gets_the_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """A signed model is served, and one that has changed is not."""
    model = store()
    namespace = space(model)
    cluster.wait(
        lambda: cluster.api.create(_labelled(namespace), dry_run=True).status == 201,
        what="the new entries have the authority's certificate",
        namespace=namespace,
    )
    cluster.api.created(_labelled(namespace))
    cluster.wait_until_running(namespace, "vllm")
    cluster.api.kubectl("-n", namespace, "delete", "pod", "vllm")
    (model.model / WEIGHTS).write_bytes(b"other")
    cluster.api.created(_labelled(namespace))
    assert WEIGHTS in cluster.wait_until_refused(namespace, "vllm")


def _labelled(namespace: str) -> Document:
    pod = workload("Pod", namespace, label=None, spec=serving_spec())
    pod["metadata"]["labels"][OPERATOR_LABEL] = "true"
    return pod
