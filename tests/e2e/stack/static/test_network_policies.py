"""The NetworkPolicies let through what is listed here, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.stack.static import manifests
from tests.e2e.stack.static.network import Endpoint, Port, allowed

if TYPE_CHECKING:
    from tests.e2e.api_server.control_plane import Document

DNS = {"dns": 53, "the node's cache": 53, "OpenShift's dns": 5353}
PORTS = (
    *(Port(number, how) for number in (53, 5353) for how in ("TCP", "UDP")),
    *map(Port, (22, 80, 443, 3000, 4317, 4318, 6443, 8000, 8001, 8080, 8321, 9090, 10443, 18000)),
    Port(443, "UDP"),
    Port(8000, "UDP"),
)
ENVOY = "gateway.envoyproxy.io/owning-gateway"
OTHERS = (
    Endpoint(name="stranger", address="10.1.0.9", namespace="llm", labels={"app": "other"}),
    Endpoint(name="neighbour", address="10.1.0.10", namespace="default"),
    Endpoint(
        name="prometheus",
        address="10.1.0.11",
        namespace="monitoring",
        labels={"app.kubernetes.io/name": "prometheus"},
    ),
    Endpoint(name="grafana", address="10.1.0.12", namespace="monitoring"),
    Endpoint(
        name="envoy",
        address="10.1.0.13",
        namespace="envoy-gateway-system",
        labels={f"{ENVOY}-name": "llm", f"{ENVOY}-namespace": "llm"},
    ),
    Endpoint(
        name="another gateway's envoy",
        address="10.1.0.14",
        namespace="envoy-gateway-system",
        labels={f"{ENVOY}-name": "llm", f"{ENVOY}-namespace": "default"},
    ),
    Endpoint(
        name="envoy beside it",
        address="10.1.0.19",
        namespace="llm",
        labels={f"{ENVOY}-name": "llm", f"{ENVOY}-namespace": "llm"},
    ),
    Endpoint(name="envoy's controller", address="10.1.0.20", namespace="envoy-gateway-system"),
    Endpoint(name="collector", address="10.1.0.15", namespace="observability"),
    Endpoint(
        name="dns", address="10.1.0.16", namespace="kube-system", labels={"k8s-app": "kube-dns"}
    ),
    Endpoint(name="the node's cache", address="169.254.20.10"),
    Endpoint(
        name="OpenShift's dns",
        address="10.1.0.18",
        namespace="openshift-dns",
        labels={"dns.operator.openshift.io/daemonset-dns": "default"},
    ),
    Endpoint(name="system", address="10.1.0.17", namespace="kube-system"),
    Endpoint(name="internet", address="203.0.113.7"),
    Endpoint(name="internet (IPv6)", address="2001:db8::7"),
    Endpoint(name="cloud's metadata", address="169.254.169.254"),
    Endpoint(name="node", address="192.168.1.10"),
    Endpoint(name="node (IPv6)", address="fd00::10"),
    Endpoint(name="API server", address="10.96.0.1"),
)

Edge = tuple[str, str, Port]

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("programs")]


def endpoints(documents: list[Document]) -> list[Endpoint]:
    """Return the pods of the manifests as a network sees them."""
    return [
        Endpoint(
            name=pod["metadata"]["name"],
            address=f"10.1.1.{number}",
            namespace="llm",
            labels=pod["metadata"]["labels"],
            ports={
                port["name"]: port["containerPort"]
                for container in pod["spec"]["containers"]
                for port in container.get("ports", ())
            },
        )
        for number, pod in enumerate(manifests.pods(documents), start=1)
    ]


def edges(documents: list[Document]) -> set[Edge]:
    """Return each connection from or to the namespace that is let through."""
    policies = manifests.of_kind(documents, "NetworkPolicy")
    parties = [*endpoints(documents), *OTHERS]
    return {
        (source.name, target.name, port)
        for source in parties
        for target in parties
        for port in PORTS
        if source is not target
        and "llm" in (source.namespace, target.namespace)
        and allowed(policies, source, target, port)
    }


def internet(pod: str) -> set[Edge]:
    """Return the ways out to the Internet's web servers."""
    return {(pod, name, Port(443)) for name in ("internet", "internet (IPv6)")}


def names(*pods: str) -> set[Edge]:
    """Return the connections to the DNS servers."""
    return {
        (pod, server, Port(number, how))
        for pod in pods
        for server, number in DNS.items()
        for how in ("TCP", "UDP")
    }


LISTED = {
    ("envoy", "open-webui", Port(3000)),
    ("open-webui", "llamastack", Port(8321)),
    ("llamastack", "vllm", Port(8000)),
    *((pod, "collector", Port(4317)) for pod in ("vllm", "llamastack", "open-webui")),
    *names("vllm", "llamastack", "open-webui", "stranger", "envoy beside it"),
    *internet("llamastack"),
}
METRICS = {
    ("prometheus", "vllm-metrics", Port(8001)),
    ("vllm-metrics", "vllm", Port(8000)),
    *names("vllm-metrics"),
}
"""Of overlays with metrics: Prometheus reaches the proxy, and never vLLM."""


@pytest.mark.parametrize("overlay", ["granite", "production", "example", "llama-70b"])
def test_what_is_listed_passes_and_nothing_else(overlay: str) -> None:
    """Every pair of pods and outsiders, on every port that matters."""
    metrics = set() if overlay == "granite" else METRICS
    assert edges(manifests.build(overlay)) == LISTED | metrics


def test_an_envoy_in_the_namespace_is_let_through_to_open_webui() -> None:
    """With the component for it: from everywhere, to Open WebUI and its controller alone."""
    added = edges(manifests.build("granite", "gateway-namespace")) - LISTED
    inward = {edge for edge in added if edge[1:] == ("envoy beside it", Port(10443))}
    assert {"internet", "neighbour", "node"} <= {source for source, _, _ in inward}
    assert added - inward == {
        ("envoy beside it", "open-webui", Port(3000)),
        # The namespace is what the rule names: Envoy Gateway's pods have the labels of its chart.
        *(
            ("envoy beside it", name, Port(18000))
            for name in ("envoy", "another gateway's envoy", "envoy's controller")
        ),
    }


def test_signing_and_fetching_reach_the_internet_alone() -> None:
    """A debug pod and a download add nothing but their own way out."""
    added = {"model-validation-debug", "model-download"}
    ways = {edge for pod in added for edge in internet(pod)}
    documents = [*manifests.build("granite"), *manifests.build("prepare")]
    assert edges(documents) == LISTED | ways | names(*added)


def test_without_policies_everything_passes() -> None:
    """The list is the policies' doing: `dev` has none."""
    found = edges(manifests.build("dev"))
    assert ("neighbour", "vllm", Port(8000)) in found
    assert ("vllm", "internet", Port(443)) in found


@pytest.mark.parametrize("policy", ["default-deny", "vllm", "llamastack", "open-webui"])
def test_each_policy_is_needed(policy: str) -> None:
    """Without any one of them, something else passes or something listed does not."""
    documents = [
        each
        for each in manifests.build("granite")
        if (each["kind"], each["metadata"]["name"]) != ("NetworkPolicy", policy)
    ]
    assert edges(documents) != LISTED
