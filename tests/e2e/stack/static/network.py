"""Allowed connections under NetworkPolicies, as Kubernetes defines them.

Belongs here: the meaning of `networking.k8s.io/v1` NetworkPolicy for one connection. Does not
belong here: that a network keeps to it, which only a cluster shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.e2e.api_server.control_plane import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A pod, or with no namespace something that is none.

    Attributes:
        name: For people.
        address: Its address.
        namespace: Its namespace; each has the label that Kubernetes gives it.
        labels: Its labels.
        ports: Its named ports.
    """

    name: str
    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Port:
    """The port of a connection."""

    number: int
    protocol: str = "TCP"


def allowed(policies: Iterable[Document], source: Endpoint, target: Endpoint, port: Port) -> bool:
    """Tell whether a connection is let out at its source and let in at its target."""
    known = list(policies)
    return _passes(known, "Egress", source, target, port, at=target) and _passes(
        known, "Ingress", target, source, port, at=target
    )


def _passes(  # noqa: PLR0913 — the two sides differ in each of these
    policies: list[Document],
    direction: Literal["Ingress", "Egress"],
    own: Endpoint,
    peer: Endpoint,
    port: Port,
    *,
    at: Endpoint,
) -> bool:
    applying = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == own.namespace
        and direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], own.labels)
    ]
    return not applying or any(
        _among(rule.get("ports"), port, at)
        and _is_peer(rule.get("from" if direction == "Ingress" else "to"), own, peer)
        for spec in applying
        for rule in spec.get(direction.lower(), ())
    )


def _among(ports: list[dict[str, Any]] | None, port: Port, at: Endpoint) -> bool:
    if not ports:
        return True
    return any(
        each.get("protocol", "TCP") == port.protocol
        and at.ports.get(each["port"], each["port"]) == port.number
        for each in ports
    )


def _is_peer(peers: list[dict[str, Any]] | None, own: Endpoint, peer: Endpoint) -> bool:
    if not peers:
        return True
    return any(_matches(each, own, peer) for each in peers)


def _matches(block: dict[str, Any], own: Endpoint, peer: Endpoint) -> bool:
    if addresses := block.get("ipBlock"):
        return _contains(addresses["cidr"], peer.address) and not any(
            _contains(cidr, peer.address) for cidr in addresses.get("except", ())
        )
    if not peer.namespace:
        return False
    if "namespaceSelector" in block:
        labels = {"kubernetes.io/metadata.name": peer.namespace}
        in_namespace = _selects(block["namespaceSelector"], labels)
    else:
        in_namespace = peer.namespace == own.namespace
    return in_namespace and _selects(block.get("podSelector", {}), peer.labels)


def _contains(cidr: str, address: str) -> bool:
    network, found = ip_network(cidr), ip_address(address)
    return network.version == found.version and found in network


def _selects(selector: dict[str, Any], labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}, "expressions are not read here"
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
