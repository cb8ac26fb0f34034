"""`Strict`: an allowlist of literal arguments, and nothing beside them."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.vllm import strict
from webhook.vllm.reading import Reading

MODEL = "/models/granite"
IMAGE = f"quay.io/example/vllm@sha256:{'a' * 64}"
MOUNT = {"name": "models", "mountPath": MODEL}
SECRET = {"secretKeyRef": {"name": "hub", "key": "token"}}


def serving(*arguments: str, **fields: Any) -> dict[str, Any]:
    """Return a container that `Strict` has nothing against, but for the arguments."""
    return {
        "name": "vllm",
        "image": IMAGE,
        "command": ["vllm", "serve"],
        "args": [MODEL, *arguments],
        "volumeMounts": [MOUNT],
        **fields,
    }


def refused(container: dict[str, Any], **settings: Any) -> tuple[str, ...]:
    """Return why a container that mounts the model is refused."""
    asked: dict[str, Any] = {"mounts_model": True, "model_paths": (MODEL,), **settings}
    return strict.refusals(Reading(container=container), **asked)


@pytest.mark.parametrize(
    "container",
    [
        serving(),
        serving("--port", "8000", "--tensor-parallel-size=2", "--enforce-eager"),
        serving("-tp", "2", "--served-model-name", "a", "b", "--seed", "-1"),
        serving("--tokenizer", f"{MODEL}/t", "--lora-modules", f"a={MODEL}/a", f"b={MODEL}/b"),
        serving("--trust-remote-code", env=[{"name": "HF_HUB_OFFLINE", "value": "1"}]),
        serving(command=["vllm"], args=["serve", MODEL]),
        serving(command=None, args=["--model", MODEL]),
        serving(command=["python3", "-m", "vllm.entrypoints.openai.api_server"])
        | {"args": ["--model", MODEL]},
        serving(env=[{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}]),
        serving(env=[{"name": "HF_TOKEN", "valueFrom": SECRET}]),
        serving(env=[{"name": "MODEL_VALIDATION_POLICY", "value": "/etc/granite.yaml"}]),
        serving(env=[{"name": "HOME", "value": "/tmp"}]),  # noqa: S108 — empty at the start
        serving(livenessProbe={"httpGet": {"path": "/health", "port": 8000}}),
        serving(command=["vllm", "serve"], args=["--model", MODEL]),
    ],
    ids=repr,
)
def test_literal_known_options_pass(container: dict[str, Any]) -> None:
    """A plain deployment of vLLM needs these options."""
    assert refused(container) == ()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--enforce_eager"],
        ["--enforce-eag"],
        ["--tensor-parallel-siz", "2"],
        ["--speculative-config", "{}"],
        ["--speculative-config.model", MODEL],
        ["--mm-processor-kwargs", "{}"],
        ["--config", f"{MODEL}/serve.yaml"],
        ["--download-dir", MODEL],
        ["--revision", "a" * 40],
        ["--middleware", "package.Class"],
        ["--master-addr", "192.0.2.1"],
        ["--headless"],
        ["--load-format", "auto"],
        ["--brand-new"],
        ["--port", "1", "--port", "1"],
        ["--port=1", "--port", "1"],
        ["--enable-lora", "--no-enable-lora"],
        ["--model", MODEL],
        ["--port", "$(PORT)"],
        ["--port=$(PORT)"],
        ["--served-model-name", "$$(X)"],
        ["--port"],
        ["--lora-modules", '{"name": "a", "path": "/models/granite/a"}'],
        ["--lora-modules"],
        ["--trust-remote-code"],
        ["-O3"],
        ["--"],
        ["--help"],
        ["extra"],
        ["--port 8000"],
        ["$(MORE)"],
        [""],
    ],
    ids=repr,
)
def test_anything_else_is_refused(arguments: list[str]) -> None:
    """Each with a sentence that names the container."""
    sentences = refused(serving(*arguments))
    assert sentences
    assert all(sentence.startswith("container 'vllm': ") for sentence in sentences)


@pytest.mark.parametrize(
    "fields",
    [
        {"image": "quay.io/example/vllm:latest"},
        {"image": "quay.io/example/vllm@sha256:abc"},
        {"image": None},
        {"command": ["sh", "-c", f"vllm serve {MODEL}"], "args": []},
        {"command": ["/tmp/vllm", "serve"]},  # noqa: S108 — another program of that name
        {"command": ["tini", "vllm", "serve"]},
        {"command": ["python3", "-u", "-m", "vllm.entrypoints.openai.api_server"]},
        {"command": ["python3", "-m", "vllm.entrypoints.grpc_server"]},
        {"command": ["vllm", "bench"]},
        {"command": ["$(PROGRAM)"]},
        {"command": ["sleep"]},
        {"command": "vllm serve"},
        {"command": None, "args": None},
        {"envFrom": [{"configMapRef": {"name": "x"}}]},
        {"env": [{"name": "MODEL_VALIDATION_POLICY", "valueFrom": SECRET}]},
        {"env": [{"name": "PYTHONPATH", "value": MODEL}]},
        {"env": [{"name": "HOME", "value": MODEL}]},  # where caches and packages would lie
        {"env": [{"name": "HOME", "valueFrom": SECRET}]},
        {"env": [{"name": "MY_OWN", "value": "x"}]},
        {"env": [{"name": "VLLM_LOGGING_LEVEL", "valueFrom": SECRET}]},
        {"env": [{"name": "VLLM_LOGGING_LEVEL", "value": "$(X)"}]},
        {"env": [{"name": "HF_HUB_OFFLINE", "value": v} for v in "01"]},
        {"lifecycle": {"postStart": {"exec": {"command": ["true"]}}}},
        {"livenessProbe": {"exec": {"command": ["true"]}}},
        {"startupProbe": {"exec": {"command": ["true"]}}},
        {"workingDir": "/models"},
        {"volumeMounts": [MOUNT, {"name": "x", "mountPath": "/usr/lib/python3"}]},
        {"terminationMessagePath": "/usr/lib/python3/x.py"},
        {"volumeMounts": [MOUNT, {"name": "x", "mountPath": "/tmp"}]},  # noqa: S108 — a mount
        {"volumeMounts": [MOUNT, {"name": "own", "mountPath": "/root"}]},
    ],
    ids=repr,
)
def test_no_way_round_the_arguments(fields: dict[str, Any]) -> None:
    """Image, program, variables, hooks and mounts each decide what runs."""
    assert refused(serving(**fields), fresh={"own"})


def test_an_empty_volume_of_its_own_is_scratch() -> None:
    """With a read-only image vLLM needs /tmp, and shared memory."""
    mounts = [
        MOUNT,
        {"name": "own", "mountPath": "/tmp"},  # noqa: S108 — a mount
        {"name": "own", "mountPath": "/dev/shm"},  # noqa: S108 — a mount
        {"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
    ]
    container = serving(volumeMounts=mounts)
    assert refused(container, fresh={"own"}) == ()
    assert refused(container)


def test_a_container_without_the_model_needs_only_a_digest() -> None:
    """It serves nothing; but vLLM without the model would serve something else."""
    other = {"name": "proxy", "image": IMAGE, "command": ["sh"], "envFrom": [{}]}
    assert refused(other, mounts_model=False) == ()
    assert refused({**other, "image": "proxy:1"}, mounts_model=False)
    assert refused(serving(volumeMounts=[]), mounts_model=False)
