"""The gate needs no network: its trust travels in the policy."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tests.e2e.node.models import serving

if TYPE_CHECKING:
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory
    from tests.sigstore import PrivateSigstore

COUNTERS: Final = ("Tcp.ActiveOpens", "Udp.OutDatagrams", "Udp6OutDatagrams")
"""The kernel's counters of a network namespace: connections begun, of both families, and datagrams
sent, by which names are looked up."""

CALLS: Final = """
import socket
connection = socket.socket()
connection.setblocking(False)
connection.connect_ex(("192.0.2.1", 443))
socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("192.0.2.1", 53))
"""


def test_a_keyless_signature_is_verified_without_a_word_to_the_network(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, private_sigstore: PrivateSigstore
) -> None:
    """The pod's namespace has seen no connection and no datagram when its workload starts.

    Nobody enforces a NetworkPolicy here, so the kernel is asked, which counts for the whole pod.
    """
    model = store()
    (model.model / "model.sig").unlink()
    private_sigstore.sign_model(model.model, model.model / "model.sig")
    signer = {
        "certificateIdentity": "alice@example.com",
        "certificateOidcIssuer": private_sigstore.issuer,
    }
    trust = {"trustedRoot": private_sigstore.trusted_root_json}
    namespace = space(model, config={"sigstoreConfig": signer}, trust=trust)
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_running(namespace, "vllm")
    assert "signer: alice@example.com" in cluster.logs(namespace, "vllm", "model-validation")
    assert _counted(cluster, namespace) == [0, 0, 0]
    cluster.execute(namespace, "vllm", "server", "python3", "-c", CALLS)
    assert _counted(cluster, namespace) == [1, 1, 0]


def _counted(cluster: Cluster, namespace: str) -> list[int]:
    files = ("/proc/net/snmp", "/proc/net/snmp6")
    lines = cluster.execute(namespace, "vllm", "server", "cat", *files).stdout.splitlines()
    words = [line.split() for line in lines]
    # Version 4 has its counters' names in one line and the values in the next, by protocol.
    named = {
        f"{names[0][:-1]}.{name}": value
        for names, values in pairwise(words)
        if names[0] == values[0]
        for name, value in zip(names[1:], values[1:], strict=True)
    }
    named |= {line[0]: line[1] for line in words if len(line) == 2}
    return [int(named[name]) for name in COUNTERS]
