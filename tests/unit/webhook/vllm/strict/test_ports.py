"""Under `Strict` nobody but vLLM answers on its port."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.vllm.reading import Reading
from webhook.vllm.strict.ports import refusals


def serving(*arguments: str, ports: Any = None) -> Reading:
    """Return a vLLM."""
    command = ["vllm", "serve", "/models/granite", *arguments]
    return Reading(container={"name": "vllm", "command": command, "ports": ports})


def other(*ports: dict[str, Any]) -> Reading:
    """Return another container."""
    return Reading(container={"name": "other", "ports": list(ports)})


HTTP = {"name": "http", "containerPort": 8000}


@pytest.mark.parametrize(
    ("vllms", "others"),
    [
        ([serving()], []),
        ([serving(ports=[HTTP])], [other({"name": "metrics", "containerPort": 9090})]),
        ([serving("--port=9000", ports=[{"containerPort": 9000}])], []),
        ([serving("--host", "0.0.0.0")], []),  # noqa: S104 — an argument
        ([serving("--host=::")], []),
        ([serving(), serving("--port", "8001")], []),
        ([serving("--grpc-port=50051", ports=[HTTP, {"containerPort": 50051}])], []),
    ],
)
def test_ports_that_agree_pass(vllms: list[Reading], others: list[Reading]) -> None:
    """VLLM listens everywhere, on the port that the pod declares."""
    assert list(refusals(vllms, others)) == []


@pytest.mark.parametrize(
    ("vllms", "others", "words"),
    [
        ([serving("--host=127.0.0.1", ports=[HTTP])], [], "--host '127.0.0.1'"),
        ([serving("--port=8000", ports=[{"name": "http", "containerPort": 9000}])], [], "agree"),
        ([serving(ports=[HTTP])], [other({"containerPort": 8000})], "is vLLM's"),
        ([serving(ports=[HTTP])], [other({"name": "http", "containerPort": 9000})], "is vLLM's"),
        ([serving()], [other({"containerPort": 8000})], "is vLLM's"),
        ([serving("--port=9000")], [other({"containerPort": 9000})], "is vLLM's"),
        ([serving(), serving()], [], "is that of"),
        ([serving("--port=08000")], [other({"containerPort": 8000})], "no plain number"),
        ([serving("--port=8_000")], [other({"containerPort": 8000})], "no plain number"),
        ([serving("--port= 8000")], [other({"containerPort": 8000})], "no plain number"),
        ([serving("--port=0")], [], "no plain number"),
    ],
)
def test_an_impostor_is_refused(vllms: list[Reading], others: list[Reading], words: str) -> None:
    """Whoever has vLLM's address, number or name would be asked in its place."""
    (sentence,) = refusals(vllms, others)
    assert words in sentence
