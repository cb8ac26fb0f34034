"""vLLM is told from other servers and helpers: arguments alone are not its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import pods
from webhook.vllm.check import check
from webhook.vllm.reading import Reading
from webhook.vllm.recognition import recognised
from webhook.vllm.strict import container as strict

MODEL = "/models/granite"
VLLM = "docker.io/vllm/vllm-openai:v0.32.0"
SERVER = "vllm.entrypoints.openai.api_server"

VLLMS: list[dict[str, Any]] = [
    {"command": ["vllm", "serve", MODEL]},
    {"command": ["python3", "-m", "vllm.entrypoints.openai.api_server"]},
    {"args": ["--model", MODEL]},
    {"args": ["serve", MODEL]},
    {"args": [MODEL, "--port", "8000"], "image": VLLM},
    {"args": ["--port=8000"], "image": "registry.example:5000/rhaiis/vllm-cuda-rhel9@sha256:ab"},
    {"args": ["--brand-new"], "image": "rocm/vllm"},
    {"args": [MODEL, "--gpu-memory-utilization=0.9"], "image": "registry.example/llm:1"},
    {"args": ["--enable_prefix_caching"], "image": "registry.example/llm:1"},
    {"args": ["serve", "--model", MODEL]},
    {"command": ["python", "-m", "vllm.entrypoints.cli.main", "serve", MODEL]},
    {"command": ["python3", "/usr/local/bin/vllm", "serve", MODEL]},
    # after programs that start others
    {"command": ["uv", "run", "vllm", "serve", MODEL]},
    {"command": ["numactl", "--cpunodebind=0", "vllm", "serve", MODEL]},
    {"command": ["/usr/bin/tini", "--", "vllm", "serve", MODEL]},
    {"command": ["env", "A=b", "python3", "-u", "-m", SERVER, "--model", MODEL]},
    {"args": ["uv", "run", "vllm", "serve", MODEL], "image": VLLM},
    # vLLM's other commands that read a model
    {"command": ["vllm", "bench", "latency", "--model", MODEL]},
    {"args": ["bench", "throughput", "--model", MODEL], "image": VLLM},
    {"command": ["vllm", "run-batch", "-i", "in", "-o", "out", "--model", MODEL]},
    {"command": ["vllm", "preload", "--model", MODEL]},
    {"command": ["vllm", "launch", "render", MODEL]},
    {"command": ["python3", "-m", "vllm.entrypoints.openai.run_batch", "--model", MODEL]},
]

ELSEWHERE: list[list[str]] = [
    ["uv", "run", "vllm", "serve", "/elsewhere"],
    ["tini", "--", "vllm", "serve", "/elsewhere"],
    ["vllm", "bench", "latency", "--model", "/elsewhere"],
    ["vllm", "run-batch", "-i", "in", "-o", "out", "--model=/elsewhere"],
    ["vllm", "preload", "--model", "/elsewhere"],
    ["vllm", "launch", "render", "/elsewhere"],
    ["vllm", "launch", "render"],
    ["vllm", "snapshot", "create", "org/name", "--revision", "main"],
    ["vllm", "snapshot", "restore", MODEL],
    ["python3", "-m", "vllm.entrypoints.cli.main", "run-batch", "--model", "/elsewhere"],
]

OTHERS: list[dict[str, Any]] = [
    # KServe's runtimes
    {"args": ["--model_name=granite"], "image": "kserve/x:v0.16.0"},
    {"args": ["--model_name=sk", "--model_dir=/mnt/models", "--http_port=8080"]},
    {"args": ["--model_name=x", "--max-model-len=4096", "--enable-prefix-caching"]},
    {"args": ["--enable-prefix-caching"], "image": "kserve/huggingfaceserver:v0.16.0-gpu"},
    # Triton, TGI, TEI, SGLang, llama.cpp, MLServer, Ollama, NIM, OpenVINO, LMDeploy
    {"args": ["tritonserver", "--model-repository=/models"]},
    {"args": ["--model", MODEL], "image": "nvcr.io/nvidia/tritonserver:24.12-vllm-python-py3"},
    {"args": ["--model-id", MODEL, "--port", "80", "--num-shard", "2"]},
    {"args": ["--model-id", MODEL, "--pooling", "cls"]},
    {"args": ["--model-path", MODEL, "--tp", "2", "--host", "0.0.0.0"]},  # noqa: S104 — an argument
    {"args": ["--model", f"{MODEL}/x.gguf", "-c", "4096", "-ngl", "99"]},
    {"args": ["mlserver", "start", "/mnt/models"]},
    {"args": ["serve"], "image": "ollama/ollama:0.5.0"},
    {"args": ["serve"]},
    {"args": ["--max-model-len", "4096"], "image": "nvcr.io/nim/meta/llama3:1.0.0"},
    {"args": ["--model_path", "/models", "--model_name", "x", "--port", "9000"]},
    {"args": ["lmdeploy", "serve", "api_server", MODEL]},
    {"args": ["--model_name=x", "--backend=vllm", "--dtype=float16"], "image": "kserve/x:1"},
    {"args": ["-m", "sglang.launch_server", "--model-path", MODEL]},
    {"args": ["python3", "-m", "sglang.launch_server", "--model-path", MODEL]},
    {"command": ["python3", "-m", "dynamo.vllm"], "args": ["--model", MODEL]},
    {"command": ["text-generation-launcher"], "args": ["--model-id", MODEL]},
    {"command": ["/app/llama-server"], "args": ["--model", f"{MODEL}/x.gguf"]},
    {"command": ["torchrun", "--nproc-per-node=2", "serve.py"], "args": ["--model", MODEL]},
    {"command": ["lmcache_vllm", "serve"], "args": [MODEL]},
    # programs that an image of vLLM is told to start
    {"args": ["ray", "start", "--address=head:6379", "--block"], "image": "rocm/vllm"},
    {"args": ["lmcache_server", "localhost", "65432"], "image": "lmcache/vllm-openai"},
    {"args": ["torchrun", "serve.py"], "image": "rocm/vllm"},
    {"args": ["bash", "-c", "vllm serve /elsewhere"], "image": "vllm/vllm-tpu"},
    # vLLM's commands that read no model
    {"command": ["vllm", "bench", "serve"], "args": ["--model", MODEL]},
    {"command": ["vllm", "chat", "--url", "http://127.0.0.1:8000/v1"]},
    {"args": ["collect-env"], "image": VLLM},
    # exporters and helpers
    {"args": ["--watch=/models"]},
    {"args": ["--listen=:8080"]},
    {"args": ["-r", MODEL, "/backup"]},
    {"args": ["/bin/sleep", "1"]},
    {"args": ["--port", "9090"], "image": "registry.example/vllm-exporter:1"},
    {"args": ["--port", "9090", "--host", "127.0.0.1"], "image": "registry.example/proxy:1"},
    {"args": ["--backend=localhost:8000"], "image": "ghcr.io/vllm-project/stack/router:1"},
    {"command": ["sh", "-c", f"exec python3 -m {SERVER} --model {MODEL}"]},
    {"command": ["/opt/start.sh"], "args": ["--model", MODEL]},
]

MALFORMED: list[dict[str, Any]] = [{"command": "vllm serve"}, {}]


@pytest.mark.parametrize("container", VLLMS, ids=repr)
def test_vllm_is_recognised(container: dict[str, Any]) -> None:
    """By its command, by its image's name, or by options that only vLLM has."""
    assert recognised(Reading(container=container))


@pytest.mark.parametrize("command", ELSEWHERE, ids=repr)
def test_whatever_starts_vllm_another_model_is_refused(command: list[str]) -> None:
    """Programs before it, and its commands beside `serve`, hide nothing."""
    container = {"name": "vllm", "command": command}
    assert check(Reading(container=container), mounts_model=True, model_paths=(MODEL,)).refusals


@pytest.mark.parametrize("container", [*OTHERS, *MALFORMED], ids=repr)
def test_other_servers_and_helpers_are_no_vllm(container: dict[str, Any]) -> None:
    """Many programs take `--model` and `--port`; some take more of vLLM's options."""
    assert not recognised(Reading(container=container))


@pytest.mark.parametrize("container", OTHERS, ids=repr)
def test_another_server_is_a_warning_under_check_and_refused_under_strict(
    container: dict[str, Any],
) -> None:
    """Its arguments are not read, and the sentence says so."""
    asked: dict[str, Any] = {"mounts_model": True, "model_paths": (MODEL,)}
    judgement = check(Reading(container=container), **asked)
    assert judgement.refusals == ()
    (warning,) = judgement.warnings
    assert "not seen to be vLLM, so its arguments are not read" in warning
    assert judgement.unread == judgement.warnings
    refusals = strict.refusals(Reading(container=container), model_paths=(MODEL,))
    assert any("not seen to start vLLM" in sentence for sentence in refusals)


def test_a_pod_of_another_server_gets_its_gate() -> None:
    """With its exporter beside it, and a storage initializer before it."""
    mounts = [pods.mount()]
    server = {"name": "server", "image": "kserve/x:1", "args": ["--model_name=granite"]}
    exporter = {"name": "exporter", "image": "x:1", "args": ["--watch=/models"]}
    loader = {"name": "load", "image": "kserve/y:1", "args": ["s3://bucket/x", "/models/granite"]}
    given = pods.pod(
        server | {"volumeMounts": mounts},
        exporter | {"volumeMounts": [pods.mount(readOnly=True)]},
        initContainers=[loader | {"volumeMounts": mounts}],
    )
    mutation = pods.run(given)
    assert pods.names(mutation.pod["spec"]["initContainers"]) == ["load", "model-validation"]
    assert len(mutation.warnings) >= 2
