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


LINK = "ln -sf /proc/$$$$/root/models /mnt/models && sleep infinity"
BESIDE = "mkdir -p /mnt/models && ln -sf /proc/$$$$/root/models /mnt/models/base && sleep infinity"


@pytest.mark.parametrize(
    ("path", "at", "link"), [(MODELS, "/mnt", LINK), ("/mnt/models/base", MODELS, BESIDE)]
)
def test_a_modelcar_is_refused_with_the_way_out(path: str, at: str, link: str) -> None:
    """The model is another container's file system, which no gate can mount (KServe's oci://)."""
    image = "quay.io/models/granite:1"
    car = container("modelcar", mount(EMPTY["name"], at), image=image, args=["sh", "-c", link])
    del car["command"]
    fetched = container("modelcar-init", image=image, args=["sh", "-c", "[ -d /models ]"])
    serving = container(
        "kserve-container",
        mount(EMPTY["name"], at),
        image="docker.io/vllm/vllm-openai:v0.32.0",
        command=["python", "-m", "vllm.entrypoints.openai.api_server"],
        args=["--port=8080", "--served-model-name=granite", f"--model={path}"],
        env=[{"name": "MODEL_INIT_MODE", "value": "async"}],
    )
    given = pod(serving, car, initContainers=[fetched], shareProcessNamespace=True, volumes=[EMPTY])
    with pytest.raises(PodRefused) as caught:
        run(given, policy(model={"path": path}))
    assert (
        "KServe sets it for a modelcar, containers[1] 'modelcar', whose own files are the model, "
        "which no gate can mount: have KServe mount the model, by storageUri oci+native:// with "
        "the image's digest, or by pvc://" in str(caught.value)
    )


def test_other_pods_that_share_processes_are_no_modelcars() -> None:
    """Their sentence is about what they share."""
    with pytest.raises(PodRefused) as caught:
        run(pod(shareProcessNamespace=True))
    assert "files and memory: remove it" in str(caught.value)
    assert "modelcar" not in str(caught.value)
