"""KServe's pods with a vLLM whose arguments are read, and its modelcars.

The pods of the pages in docs/platforms are in test_platform_pages.
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


SHAPES: dict[str, tuple[str, Document, list[str]]] = {
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
