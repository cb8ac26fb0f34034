"""A model that changes under a stack that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.api_server.processes import until
from tests.e2e.node.cluster import started
from tests.e2e.stack.overlay import NAMESPACE
from tests.e2e.stack.running import sign

if TYPE_CHECKING:
    from tests.e2e.stack.stack import Stack


def test_a_changed_byte_keeps_the_new_pod_from_starting_until_it_is_signed(stack: Stack) -> None:
    """The old pod serves on, the new one says what differs; signed again, the rollout ends."""
    (old,) = stack.ready("vllm")
    weights = stack.model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)

    stack.restart("vllm")
    refused = _new_pod(stack, old)
    said = stack.cluster.wait_until_refused(NAMESPACE, refused)
    assert "model.safetensors" in said
    until(lambda: "model.safetensors" in _said(stack, refused), what="the log says it", seconds=30)
    assert not started(stack.cluster.pod(NAMESPACE, refused), "vllm")
    assert stack.ready("vllm") == [old]
    assert stack.ask("get", "http://vllm:8000/health", pod="deployment/llamastack")

    sign(stack)
    stack.rolled_out("vllm")
    assert stack.ready("vllm") == [refused]


def _said(stack: Stack, pod: str) -> str:
    """Return what the gate has said in its log, now or in the run before."""
    logs = ("-n", NAMESPACE, "logs", pod, "-c", "model-validation")
    runs = [stack.cluster.api.kubectl(*logs, *run, check=False) for run in ((), ("--previous",))]
    return "".join(run.stdout for run in runs)


def _new_pod(stack: Stack, old: str) -> str:
    stack.cluster.wait(
        lambda: len(stack.pods("vllm")) > 1, what="a new pod is there", namespace=NAMESPACE
    )
    names = [str(pod["metadata"]["name"]) for pod in stack.pods("vllm")]
    (new,) = (name for name in names if name != old)
    return new
