"""Namespaces as admins make them: secured, limited, cut off; without a policy, or with two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.api_server.workloads import workload
from tests.e2e.node.models import serving, serving_spec

if TYPE_CHECKING:
    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory

QUOTA: Final[Document] = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "spec": {
        "hard": {
            "requests.cpu": "4",
            "requests.memory": "4Gi",
            "limits.cpu": "4",
            "limits.memory": "4Gi",
        }
    },
}
"""With it, each container must say what it requests and its limits."""

LIMITS: Final[Document] = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "spec": {
        "limits": [
            {
                "type": "Container",
                "default": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "1Gi"},
                "defaultRequest": {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "10Mi"},
                "min": {"cpu": "10m", "memory": "16Mi"},
                "max": {"cpu": "2", "memory": "1Gi"},
            }
        ]
    },
}

CUT_OFF: Final[Document] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}


@pytest.mark.parametrize("limit", [QUOTA, LIMITS, CUT_OFF], ids=lambda limit: limit["kind"])
def test_a_limited_namespace_admits_the_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, limit: Document
) -> None:
    """The gate satisfies the namespace's limits, like the workload."""
    namespace = space(store())
    metadata = {"name": "limit", "namespace": namespace}
    cluster.api.created(limit | {"metadata": metadata})
    if limit is QUOTA:
        path = f"/api/v1/namespaces/{namespace}/resourcequotas/limit"
        cluster.wait(
            lambda: bool((cluster.get(path) or {}).get("status", {}).get("used")),
            what="the quota counts",
            namespace=namespace,
        )
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_running(namespace, "vllm")


def test_a_restricted_namespace_admits_the_gate(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """Pod Security "restricted" is enforced, and the pod runs."""
    namespace = space(store(), labels={"pod-security.kubernetes.io/enforce": "restricted"})
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_running(namespace, "vllm")


def test_a_namespace_without_a_policy_refuses_labelled_pods(
    cluster: Cluster, space: SpaceFactory
) -> None:
    """The sentence names the namespace and says what to create."""
    namespace = space()
    answer = cluster.api.create(serving("Pod", namespace))
    assert "has no ModelValidation: create one" in answer.message


def test_two_policies_are_told_apart_by_name(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """Neither is chosen by the label "true"; a pod that names one of them runs."""
    model = store()
    namespace = space(model)
    cluster.api.created(model.policy(namespace, name="second"))
    answer = cluster.api.create(serving("Pod", namespace))
    assert "granite" in answer.message
    assert "second" in answer.message
    cluster.api.created(workload("Pod", namespace, label="second", spec=serving_spec()))
    cluster.wait_until_running(namespace, "vllm")
