"""Pods in the shapes that serving platforms give them: each gets its gate in the right place.

The shapes are made after the platforms' sources and documents: which containers, in which order,
with which mounts. docs/compatibility.md says where the label goes in each.
"""

from __future__ import annotations

import pytest

from tests.support.pods import Document, claim, container, mount, names, pod, policy, run, vllm
from webhook.errors import PodRefused

EMPTY: Document = {"name": "kserve-provision-location", "emptyDir": {}}
MODELS = "/mnt/models"


def kserve(*init: Document, volumes: list[Document], **serving: object) -> Document:
    """Return a pod of an InferenceService: the model is always at /mnt/models."""
    made = container("kserve-container", **serving)
    return pod(made, initContainers=list(init), volumes=volumes)


INITIALIZER = container(
    "storage-initializer",
    mount("kserve-provision-location", MODELS),
    image="kserve/storage-initializer:v0.16.0",
    command=[],
    args=["s3://models/granite", MODELS],
)

SHAPES: dict[str, tuple[str, Document, list[str]]] = {
    "KServe InferenceService, fetched by the storage initializer": (
        MODELS,
        kserve(
            INITIALIZER,
            volumes=[EMPTY],
            image="kserve/huggingfaceserver:v0.16.0",
            command=[],
            args=["--model_name=granite", "--model_dir=/mnt/models"],
            volumeMounts=[mount("kserve-provision-location", MODELS, readOnly=True)],
        ),
        ["storage-initializer", "model-validation"],
    ),
    "KServe InferenceService, pvc://": (
        MODELS,
        kserve(
            volumes=[claim("kserve-pvc-source")],
            image="docker.io/vllm/vllm-openai:v0.32.0",
            command=["python3", "-m", "vllm.entrypoints.openai.api_server"],
            args=["--model=/mnt/models", "--port=8080", "--served-model-name=granite"],
            volumeMounts=[
                mount("kserve-pvc-source", MODELS, subPath="granite", readOnly=True),
            ],
        ),
        ["model-validation"],
    ),
    "KServe LLMInferenceService, oci+native image volume": (
        MODELS,
        pod(
            vllm(
                mount("oci-volume", MODELS, readOnly=True),
                name="main",
                command=["vllm", "serve", MODELS],
                args=["--served-model-name", "granite", "--port", "8000"],
            ),
            volumes=[
                {
                    "name": "oci-volume",
                    "image": {"reference": f"quay.io/models/granite@sha256:{'a' * 64}"},
                }
            ],
        ),
        ["model-validation"],
    ),
    "LeaderWorkerSet, a worker": (
        "/models/granite",
        pod(
            vllm(
                command=["sh", "-c"],
                args=["bash multi-node-serving.sh worker --ray_address=$(LWS_LEADER_ADDRESS)"],
                env=[{"name": "LWS_LEADER_ADDRESS", "value": "llm-0.llm"}],
            )
        ),
        ["model-validation"],
    ),
    "KubeRay, a worker of a RayService": (
        "/models/granite",
        pod(
            container(
                "ray-worker",
                mount(),
                image="docker.io/rayproject/ray-llm:2.46.0-py311-cu124",
                command=["/bin/bash", "-lc", "--"],
                args=["ulimit -n 65536; ray start --address=llm-head-svc:6379 --block"],
            ),
            initContainers=[container("wait-gcs-ready", command=["/bin/bash", "-c", "sleep 1"])],
        ),
        ["model-validation", "wait-gcs-ready"],
    ),
    "llm-d, with a routing sidecar": (
        "/models/granite",
        pod(
            vllm(mount(readOnly=True), args=["--port=8200"]),
            initContainers=[
                container(
                    "routing-proxy",
                    image="ghcr.io/llm-d/llm-d-routing-sidecar:v0.3.0",
                    command=[],
                    args=["--port=8000", "--vllm-port=8200"],
                    restartPolicy="Always",
                )
            ],
        ),
        ["routing-proxy", "model-validation"],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gate_is_where_it_belongs(shape: str) -> None:
    """After whoever writes the model, and before whoever serves it."""
    path, given, order = SHAPES[shape]
    made = run(given, policy(model={"path": path})).pod
    assert names(made["spec"]["initContainers"]) == order
    gate = next(c for c in made["spec"]["initContainers"] if c["name"] == "model-validation")
    assert MODELS in str(gate) or "/models" in str(gate["volumeMounts"])


def test_what_a_model_car_serves_is_refused() -> None:
    """The model is another container's file system, which no gate can mount."""
    car = container("modelcar", mount("modelcar", "/mnt"), image="quay.io/models/granite:1")
    serving = container(
        "kserve-container",
        mount("modelcar", "/mnt"),
        image="docker.io/vllm/vllm-openai:v0.32.0",
        command=["vllm", "serve", MODELS],
    )
    given = pod(
        serving,
        car,
        shareProcessNamespace=True,
        volumes=[{"name": "modelcar", "emptyDir": {}}],
    )
    with pytest.raises(PodRefused, match="shareProcessNamespace"):
        run(given, policy(model={"path": MODELS}))
