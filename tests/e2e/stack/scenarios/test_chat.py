"""The stack as its users have it: a verified model answers through all three programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.node.cluster import statuses
from tests.e2e.stack.beside.webui import Session
from tests.e2e.stack.overlay import MODEL, NAMESPACE
from tests.e2e.stack.tiny_model import SENTENCE

if TYPE_CHECKING:
    from tests.e2e.stack.stack import Stack


def test_vllm_serves_what_the_gate_has_verified(stack: Stack) -> None:
    """The gate has run before vLLM, and its report names the signer."""
    (pod,) = stack.ready("vllm")
    gate = statuses(stack.cluster.pod(NAMESPACE, pod))["model-validation"]["state"]["terminated"]
    assert gate["exitCode"] == 0
    report = json.loads(gate["message"])
    assert stack.sigstore.identity in json.dumps(report)
    said = stack.cluster.logs(NAMESPACE, pod, "model-validation")
    assert "Verification succeeded" in said


def test_the_debug_pod_verifies_what_it_has_signed(stack: Stack) -> None:
    """The reference's own command, in the debug pod, agrees with the gate."""
    said = stack.debug(
        *("model_signing", "verify", "sigstore", MODEL, f"--signature={MODEL}/model.sig"),
        *("--trust_config=/tmp/trust_config.json", f"--identity={stack.sigstore.identity}"),
        f"--identity_provider={stack.sigstore.issuer}",
    )
    assert "Verification succeeded" in said


def test_llama_stack_says_that_it_is_well_where_people_ask(stack: Stack) -> None:
    """/health answers from Open WebUI's pod, as /v1/health does."""
    for path in ("health", "v1/health"):
        assert stack.ask("get", f"http://llamastack:8321/{path}").startswith("200 ")


def test_a_chat_streams_tokens_through_all_three(stack: Stack) -> None:
    """Open WebUI's API gives what the model has learned, in pieces that vLLM has generated."""
    session = Session.begin(stack)
    before = _generated(stack)
    pieces = session.chat()
    assert "".join(pieces).strip() == SENTENCE
    assert len(pieces) > 1
    assert _generated(stack) >= before + len(pieces)


def test_a_user_cannot_have_llama_stack_connect_to_an_mcp_server(stack: Stack) -> None:
    """Open WebUI passes the request on, and Llama Stack refuses it, though it reaches vLLM."""
    session = Session.begin(stack)
    asked = {"model": session.models()[0], "input": "Is it?"}
    server = {"type": "mcp", "server_label": "x", "server_url": "http://vllm:8000/mcp"}
    before = _connections(stack)
    refused = session.post("openai/responses", asked | {"tools": [server]})
    assert refused == '400 {"detail":"Tools of the type \'mcp\' are not allowed here."}'
    assert _connections(stack) == before
    assert session.post("openai/responses", asked).startswith("200 ")


def _connections(stack: Stack) -> int:
    """Return how often vLLM was asked for the path of the MCP server, by its log."""
    (pod,) = stack.ready("vllm")
    return stack.cluster.logs(NAMESPACE, pod, "vllm").count("/mcp")


def _generated(stack: Stack) -> float:
    """Return how many tokens vLLM says it has generated, asked in its own pod."""
    (pod,) = stack.ready("vllm")
    metrics = stack.ask("get", "http://127.0.0.1:8000/metrics", pod=pod)
    name = "vllm:generation_tokens_total"
    return sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(name))
