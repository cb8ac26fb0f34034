"""Allowed connections, on a node that enforces NetworkPolicies."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.api_server.processes import Host, Program, until
from tests.e2e.node.cluster import condition
from tests.e2e.node.machine import enter
from tests.e2e.stack.beside import envoy
from tests.e2e.stack.beside.neighbours import (
    COLLECTOR,
    DNS_PORT,
    ELSEWHERE,
    MONITORING,
    OBSERVABILITY,
    OPENSHIFT_DNS,
    pod,
)
from tests.e2e.stack.overlay import HOST, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.stack.stack import Stack

VLLM: Final = (NAMESPACE, "deployment/vllm")
LLAMA_STACK: Final = (NAMESPACE, "deployment/llamastack")
OPEN_WEBUI: Final = (NAMESPACE, "deployment/open-webui")
PROMETHEUS: Final = (MONITORING, "prometheus")
GATEWAY: Final = "llm"
NODE_CACHE: Final = "169.254.20.10"
STRANGER: Final = (ELSEWHERE, "stranger")

SERVED_BY_VLLM: Final = f"vllm.{NAMESPACE}:8000"
SERVED_BY_METRICS: Final = f"vllm-metrics.{NAMESPACE}:8001"
SERVED_BY_LLAMA_STACK: Final = f"llamastack.{NAMESPACE}:8321"
SERVED_BY_OPEN_WEBUI: Final = f"open-webui.{NAMESPACE}:3000"
SENT_TO_COLLECTOR: Final = f"{COLLECTOR}.{OBSERVABILITY}:4317"
SERVED_BY_OPENSHIFT_DNS: Final = f"dns-default.{OPENSHIFT_DNS}:{DNS_PORT}"
SERVED_BY_ANOTHER_DNS: Final = f"dns-default.{ELSEWHERE}:{DNS_PORT}"
API_SERVER: Final = "kubernetes.default:443"

ALLOWED: Final = (
    (OPEN_WEBUI, SERVED_BY_LLAMA_STACK),
    (LLAMA_STACK, SERVED_BY_VLLM),
    (PROMETHEUS, SERVED_BY_METRICS),
    (VLLM, SENT_TO_COLLECTOR),
    (LLAMA_STACK, SENT_TO_COLLECTOR),
    (OPEN_WEBUI, SENT_TO_COLLECTOR),
    *((each, SERVED_BY_OPENSHIFT_DNS) for each in (VLLM, LLAMA_STACK, OPEN_WEBUI)),
    # Where no policy is: what is closed below is closed by the policies.
    (STRANGER, SENT_TO_COLLECTOR),
    (STRANGER, API_SERVER),
    (PROMETHEUS, API_SERVER),
)
FORBIDDEN: Final = (
    (OPEN_WEBUI, SERVED_BY_VLLM),
    (OPEN_WEBUI, API_SERVER),
    *((each, SERVED_BY_ANOTHER_DNS) for each in (VLLM, LLAMA_STACK, OPEN_WEBUI)),
    (LLAMA_STACK, SERVED_BY_OPEN_WEBUI),
    (LLAMA_STACK, API_SERVER),
    (VLLM, SERVED_BY_LLAMA_STACK),
    (VLLM, SERVED_BY_OPEN_WEBUI),
    (VLLM, API_SERVER),
    (PROMETHEUS, SERVED_BY_VLLM),
    (PROMETHEUS, SERVED_BY_LLAMA_STACK),
    (PROMETHEUS, SERVED_BY_OPEN_WEBUI),
    (STRANGER, SERVED_BY_METRICS),
    (STRANGER, SERVED_BY_VLLM),
    (STRANGER, SERVED_BY_LLAMA_STACK),
    (STRANGER, SERVED_BY_OPEN_WEBUI),
)

Asker = tuple[str, str]


def _named(pairs: tuple[tuple[Asker, str], ...]) -> list[object]:
    return [pytest.param(*pair, id=f"{pair[0][1]}-to-{pair[1]}") for pair in pairs]


@pytest.mark.parametrize(("asker", "target"), _named(ALLOWED))
def test_what_is_allowed_is_open(stack: Stack, asker: Asker, target: str) -> None:
    """Each of the programs reaches what it needs."""
    assert _connects(stack, asker, target) == "connected\n"


@pytest.mark.parametrize(("asker", "target"), _named(FORBIDDEN))
def test_any_other_path_is_closed(stack: Stack, asker: Asker, target: str) -> None:
    """Each pod reaches only the next of the three; others learn no more than an address."""
    assert _connects(stack, asker, target).startswith("refused: ")


def test_envoy_in_the_gateway_s_namespace_serves_the_route(stack: Stack) -> None:
    """Envoy Gateway's mode GatewayNamespace, with Envoy under our policies, and as restricted."""
    api = stack.cluster.api
    envoy.deploy_beside_gateways(api)
    selector = f"gateway.envoyproxy.io/owning-gateway-name={GATEWAY}"
    until(lambda: _ready(stack, selector), what="Envoy is ready", seconds=180, pause=1)
    address = envoy.address(api, GATEWAY, namespace=NAMESPACE)
    until(lambda: _served(stack, address) == "200", what="it serves", seconds=60, pause=1)
    # From another namespace, as a browser's requests come; and nothing of Envoy's own but these.
    for port, answer in (("443", "connected"), ("80", "connected")):
        said = stack.ask("connect", address, port, pod=STRANGER[1], namespace=STRANGER[0])
        assert said == f"{answer}\n"
    (pod,) = stack.cluster.pods(NAMESPACE, selector)
    for port in ("19001", "19003"):
        asked = ("connect", pod["status"]["podIP"], port)
        assert stack.ask(*asked, pod=STRANGER[1], namespace=STRANGER[0]).startswith("refused: ")


def _ready(stack: Stack, selector: str) -> bool:
    pods = stack.cluster.pods(NAMESPACE, selector)
    return bool(pods) and all(condition(pod, "Ready") == "True" for pod in pods)


def _served(stack: Stack, address: str) -> str:
    """Ask Open WebUI through the route by an address of Envoy's; return the status."""
    asked = ("--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}")
    by_name = ("--resolve", f"{HOST}:443:{address}", f"https://{HOST}/health")
    return stack.on_machine("curl", *asked, *by_name).stdout


def test_an_envoy_in_the_namespace_reaches_open_webui_alone(stack: Stack) -> None:
    """A pod with the labels that Envoy Gateway gives in its mode GatewayNamespace."""
    owner = "gateway.envoyproxy.io/owning-gateway"
    labels = {f"{owner}-name": NAMESPACE, f"{owner}-namespace": NAMESPACE}
    stack.cluster.api.apply([pod(NAMESPACE, "envoy", labels)])
    stack.kubectl("wait", "--for=condition=Ready", "pod/envoy", "--timeout=60s", seconds=70)
    labelled = (NAMESPACE, "envoy")
    until(
        lambda: _connects(stack, labelled, SERVED_BY_OPEN_WEBUI) == "connected\n",
        what="the policies know the pod",
        seconds=30,
        pause=1,
    )
    for target in (SERVED_BY_LLAMA_STACK, SERVED_BY_VLLM, API_SERVER):
        assert _connects(stack, labelled, target).startswith("refused: ")
    stack.kubectl("delete", "pod", "envoy", "--wait=false")


def test_a_cache_of_names_on_the_node_answers(stack: Stack) -> None:
    """NodeLocal DNSCache has an address of the node, at which pods may ask for names alone."""
    with _on_node(stack, NODE_CACHE, 53), _on_node(stack, NODE_CACHE, 54):
        for namespace, pod_name in (VLLM, LLAMA_STACK, OPEN_WEBUI):
            for port, said in (("53", "connected"), ("54", "refused: ")):
                asked = ("connect", NODE_CACHE, port)
                answer = stack.ask(*asked, pod=pod_name, namespace=namespace)
                assert answer.startswith(said), (pod_name, port)


@contextmanager
def _on_node(stack: Stack, address: str, port: int) -> Iterator[None]:
    """Listen on an address of the cluster's machine inside the block."""
    stack.on_machine("ip", "address", "add", f"{address}/32", "dev", "lo")
    host = Host(address=address, enter=enter(stack.machine))
    command = ["python3", "-m", "http.server", "--bind", address, str(port)]
    folder = stack.cluster.folder / f"cache-{port}"
    folder.mkdir()
    program = Program(command, log=folder / "log", folder=folder, host=host)
    try:
        program.start()
        asked = f"import socket; socket.create_connection(({address!r}, {port}), 1)"
        until(
            lambda: stack.on_machine("python3", "-c", asked).returncode == 0,
            what="it listens",
            seconds=30,
            pause=0.2,
        )
        yield
    finally:
        program.close()


def _connects(stack: Stack, asker: Asker, target: str) -> str:
    namespace, pod = asker
    host, _, port = target.partition(":")
    return stack.ask("connect", f"{host}.svc.cluster.local", port, pod=pod, namespace=namespace)
