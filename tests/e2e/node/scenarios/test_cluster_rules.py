"""Rules of the cluster on a node: what a lax namespace lets pass does not start."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.node.cluster import started
from tests.e2e.node.models import serving
from tests.support.cluster_rules import rule_document
from validator import contract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory
    from tests.e2e.node.models import ModelStore

COLLECTION = f"/apis/{contract.API_VERSION}/{contract.CLUSTER_PLURAL}"


@pytest.fixture
def ruled(cluster: Cluster) -> Iterator[Callable[[str, ModelStore], None]]:
    """Write rules, each of which holds in one namespace and accepts the signer of one model."""
    made: list[str] = []

    def write(namespace: str, of: ModelStore) -> None:
        key = {"privateKeyConfig": {"publicKey": of.public_key}}
        demand = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace]}
        selector = {"matchExpressions": [demand]}
        cluster.api.created(rule_document(namespace, config=key, namespaceSelector=selector))
        made.append(namespace)

    yield write
    for name in made:
        cluster.api.call("DELETE", f"{COLLECTION}/{name}")


def test_a_rule_of_the_cluster_beats_a_lax_namespace(
    cluster: Cluster,
    store: StoreFactory,
    space: SpaceFactory,
    ruled: Callable[[str, ModelStore], None],
) -> None:
    """The namespace is in Audit and accepts the signer; the rule accepts another."""
    lax = space(store(), mode="Audit")
    ruled(lax, store())

    def holds() -> bool:
        made = cluster.api.create(serving("Pod", lax), dry_run=True).document
        return "alsoRequired" in json.dumps(made)

    cluster.wait(holds, what="the rule holds", namespace=lax)
    cluster.api.created(serving("Pod", lax))
    said = json.loads(cluster.wait_until_refused(lax, "vllm"))
    assert (said["verdict"], said["code"]) == ("refused", "ClusterRule")
    assert f"the ClusterModelValidation '{lax}' does not" in said["reason"]
    assert not started(cluster.pod(lax, "vllm"), "server")


def test_a_model_whose_signer_both_accept_is_served(
    cluster: Cluster,
    store: StoreFactory,
    space: SpaceFactory,
    ruled: Callable[[str, ModelStore], None],
) -> None:
    """One signature meets the policy and the rule."""
    model = store()
    namespace = space(model)
    ruled(namespace, model)
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_running(namespace, "vllm")
