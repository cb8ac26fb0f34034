"""KServe's kinds: where the label goes is said, and an unfinished pod is not judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.pods import policy
from validator import contract
from webhook.cli import main

if TYPE_CHECKING:
    from pathlib import Path

LABELS = {contract.LABEL: "granite"}
MODEL = {"modelFormat": {"name": "huggingface"}, "storageUri": "s3://models/granite"}
CARRIED = f"its pods carry the label {contract.LABEL}"


def inference_service(*, metadata: Any = None, **spec: Any) -> dict[str, Any]:
    """Return an InferenceService of a model."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "granite", "namespace": "team"} | (metadata or {}),
        "spec": {"predictor": {"model": MODEL}} | spec,
    }


def llm(*, metadata: Any = None, **spec: Any) -> dict[str, Any]:
    """Return an LLMInferenceService."""
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "granite", "namespace": "team"} | (metadata or {}),
        "spec": {"model": {"uri": "hf://org/granite"}} | spec,
    }


LABELLED = {"model": MODEL, "labels": LABELS}
MAIN = {"containers": [{"name": "main", "resources": {}}]}


@pytest.mark.parametrize(
    ("document", "said", "unsaid"),
    [
        (inference_service(), "put it on spec.predictor.labels", CARRIED),
        (inference_service(predictor=LABELLED), CARRIED, "put it on"),
        (inference_service(metadata={"labels": LABELS}), CARRIED, "put it on"),
        (
            inference_service(
                metadata={"labels": LABELS}, predictor={"model": MODEL}, transformer={}
            ),
            "to the pods of its transformer as well, which have no model and are refused: put it",
            CARRIED,
        ),
        (inference_service(predictor=LABELLED, transformer={}, explainer={}), CARRIED, "put it on"),
        (llm(), "put it on spec.labels", "not passed on"),
        (llm(labels=LABELS), CARRIED, "put it on"),
        (llm(labels=LABELS, template=MAIN), CARRIED, "put it on"),
        (llm(labels=LABELS, prefill={"replicas": 1}), "put it on spec.prefill.labels", CARRIED),
        (llm(prefill={}), "put it on spec.labels and on spec.prefill.labels", CARRIED),
        (llm(metadata={"labels": LABELS}), "metadata.labels are not passed on", CARRIED),
        (llm() | {"spec": 7}, "put it on spec.labels", CARRIED),
        (inference_service() | {"spec": {"predictor": []}}, "put it on spec.pred", CARRIED),
    ],
)
def test_where_the_label_goes_is_said(
    document: dict[str, Any],
    said: str,
    unsaid: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, since nothing was judged: KServe has yet to add runtime and model."""
    path = tmp_path / "service.yaml"
    path.write_text(yaml.safe_dump(document))
    assert main(["mutate", str(path)]) == 2
    err = capsys.readouterr().err
    assert "not judged here, since KServe completes its pods, with the model at /mnt/models" in err
    assert said in err
    assert unsaid not in err
    assert f"there is only 1 {document['kind']}" in err


@pytest.mark.parametrize(
    "kind", ["ServingRuntime", "ClusterServingRuntime", "LLMInferenceServiceConfig"]
)
@pytest.mark.parametrize("labelled", [True, False])
def test_what_services_share_is_not_judged(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, labelled: bool
) -> None:
    """A runtime has no model; one with the label gives it to all of its services."""
    path = tmp_path / "runtime.yaml"
    spec = {"containers": [{"name": "kserve-container"}]} | ({"labels": LABELS} if labelled else {})
    path.write_text(yaml.safe_dump(llm() | {"kind": kind, "spec": spec}))
    assert main(["mutate", str(path)]) == 2
    err = capsys.readouterr().err
    assert "not judged here, since KServe completes its pods" in err
    assert ("the pods of each service that uses it get the label" in err) == labelled


def test_a_pod_that_the_manifest_gives_whole_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A predictor of one's own, and a template to which KServe adds no model."""
    volume = {"name": "model", "persistentVolumeClaim": {"claimName": "granite"}}
    server = {
        "name": "main",
        "image": "docker.io/vllm/vllm-openai:v0.32.0",
        "command": ["vllm", "serve", "/models/granite"],
        "volumeMounts": [{"name": "model", "mountPath": "/models"}],
    }
    spec = {"containers": [server], "volumes": [volume]}
    rules = policy().to_environment()
    documents = [
        inference_service(predictor=spec | {"labels": LABELS}),
        llm(labels=LABELS, template=spec, storageInitializer={"enabled": False}),
        {"apiVersion": "example.com/v1", "kind": "InferenceService", "spec": {"predictor": {}}},
    ]
    path = tmp_path / "services.yaml"
    path.write_text("\n---\n".join([rules, *map(yaml.safe_dump, documents)]))
    assert main(["mutate", str(path)]) == 0
    err = capsys.readouterr().err
    assert err.count("admitted under ModelValidation team/granite") == 2
    assert "skipped, without a pod template: 1 InferenceService" in err
