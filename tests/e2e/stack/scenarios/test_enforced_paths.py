"""Allowed connections, on a node that enforces NetworkPolicies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.stack.beside.neighbours import COLLECTOR, ELSEWHERE, MONITORING, OBSERVABILITY
from tests.e2e.stack.overlay import NAMESPACE

if TYPE_CHECKING:
    from tests.e2e.stack.stack import Stack

VLLM: Final = (NAMESPACE, "deployment/vllm")
LLAMA_STACK: Final = (NAMESPACE, "deployment/llamastack")
OPEN_WEBUI: Final = (NAMESPACE, "deployment/open-webui")
PROMETHEUS: Final = (MONITORING, "prometheus")
STRANGER: Final = (ELSEWHERE, "stranger")

SERVED_BY_VLLM: Final = f"vllm.{NAMESPACE}:8000"
SERVED_BY_METRICS: Final = f"vllm-metrics.{NAMESPACE}:8001"
SERVED_BY_LLAMA_STACK: Final = f"llamastack.{NAMESPACE}:8321"
SERVED_BY_OPEN_WEBUI: Final = f"open-webui.{NAMESPACE}:3000"
SENT_TO_COLLECTOR: Final = f"{COLLECTOR}.{OBSERVABILITY}:4317"
API_SERVER: Final = "kubernetes.default:443"

ALLOWED: Final = (
    (OPEN_WEBUI, SERVED_BY_LLAMA_STACK),
    (LLAMA_STACK, SERVED_BY_VLLM),
    (PROMETHEUS, SERVED_BY_METRICS),
    (VLLM, SENT_TO_COLLECTOR),
    (LLAMA_STACK, SENT_TO_COLLECTOR),
    (OPEN_WEBUI, SENT_TO_COLLECTOR),
    # Where no policy is: what is closed below is closed by the policies.
    (STRANGER, SENT_TO_COLLECTOR),
    (STRANGER, API_SERVER),
    (PROMETHEUS, API_SERVER),
)
FORBIDDEN: Final = (
    (OPEN_WEBUI, SERVED_BY_VLLM),
    (OPEN_WEBUI, API_SERVER),
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


def _connects(stack: Stack, asker: Asker, target: str) -> str:
    namespace, pod = asker
    host, _, port = target.partition(":")
    return stack.ask("connect", f"{host}.svc.cluster.local", port, pod=pod, namespace=namespace)
