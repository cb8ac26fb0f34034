"""Pods and policies as people write them, to be changed by a test in the one place it is about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support import policies
from validator import contract
from validator.policy.document import ModelValidation
from webhook.admission.mutation import mutate
from webhook.admission.pod import Manifest
from webhook.settings import GateSettings, NamespaceOptions

if TYPE_CHECKING:
    from webhook.admission.mutation import Mutation

Document = dict[str, Any]

MODEL = policies.MODEL
KEY = policies.KEY
IMAGE = "registry.example/model-validator:1"
SETTINGS = GateSettings(
    image=IMAGE, accepted_images=("registry.example/model-validator:0",), server=(1, 36)
)
NAMESPACE = NamespaceOptions(name="team")
DIGEST = "sha256:" + "0" * 64
STRICT_WORKLOAD = {"arguments": "Strict", "images": [DIGEST], "otherImages": [DIGEST]}


def mount(name: str = "model", at: str = "/models", **changes: Any) -> Document:
    """Return a volume mount."""
    return {"name": name, "mountPath": at} | changes


def claim(name: str = "model", *, of: str = "granite") -> Document:
    """Return a volume that is a PersistentVolumeClaim."""
    return {"name": name, "persistentVolumeClaim": {"claimName": of}}


def container(name: str, *mounts: Document, **changes: Any) -> Document:
    """Return a container that does something else than serving."""
    made = {"name": name, "image": "registry.example/tool:1", "command": ["/bin/tool"]}
    return made | ({"volumeMounts": list(mounts)} if mounts else {}) | changes


def vllm(*mounts: Document, **changes: Any) -> Document:
    """Return the container that serves the model."""
    made: Document = {
        "name": "vllm",
        "image": "docker.io/vllm/vllm-openai:v0.32.0",
        "command": ["vllm", "serve", MODEL],
        "args": ["--served-model-name=granite", "--max-model-len=4096"],
        "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
        "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}],
        "resources": {
            "requests": {"cpu": "2", "memory": "8Gi"},
            "limits": {"cpu": "4", "memory": "16Gi"},
        },
        "volumeMounts": list(mounts) or [mount()],
    }
    return made | changes


def pod(*containers: Document, **spec: Any) -> Document:
    """Return a labelled pod: one vLLM on a claim, with fields of its spec replaced by `spec`."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "llm", "namespace": "team", "labels": {contract.LABEL: "true"}},
        "spec": {"containers": list(containers) or [vllm()], "volumes": [claim()]} | spec,
    }


def policy(**changes: Any) -> ModelValidation:
    """Return the policy of `policy_document`, as the API server has it."""
    metadata = {"uid": "u-1", "generation": 3}
    return ModelValidation.from_object(
        policies.policy_document(metadata=metadata, **changes), source="test"
    )


def strict_policy(**changes: Any) -> ModelValidation:
    """Return the policy under Strict, which names the images and the model's storage."""
    volume = {"persistentVolumeClaim": {"claimName": "granite"}}
    return policy(**{"model": {"volume": volume}, "workload": STRICT_WORKLOAD} | changes)


def run(
    given: Document, chosen: ModelValidation | None = None, *, labels: dict[str, str] | None = None
) -> Mutation:
    """Mutate a pod, by default with the plain policy in a namespace without labels."""
    namespace = NamespaceOptions(name="team", labels=labels or {})
    return mutate(Manifest(raw=given), chosen or policy(), gate=SETTINGS, namespace=namespace)


def mutated(given: Document, chosen: ModelValidation | None = None) -> Document:
    """Return a mutated pod as it goes over the wire."""
    copy: Document = json.loads(json.dumps(run(given, chosen).pod))
    return copy


def gate_of(given: Document) -> Document:
    """Return the gate of a mutated pod."""
    return _init_of(given, contract.GATE_CONTAINER)


def monitor_of(given: Document) -> Document:
    """Return the monitor of a mutated pod."""
    return _init_of(given, contract.MONITOR_CONTAINER)


def _init_of(given: Document, name: str) -> Document:
    (found,) = (each for each in given["spec"]["initContainers"] if each["name"] == name)
    return dict(found)


def names(containers: list[Document]) -> list[str]:
    """Return the names of containers, in their order."""
    return [str(container["name"]) for container in containers]
