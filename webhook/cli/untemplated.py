"""Manifests that are not judged, although they are about pods: what to say of them.

By KServe's source of August 2026: pkg/controller/v1beta1/inferenceservice/components/predictor.go
(`buildObjectMeta`) and pkg/controller/v1alpha2/llmisvc/workload_single_node.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from validator import contract
from validator.text import quoted
from webhook.cli.templates import labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.templates import Document


def made_by_kserve(document: Document) -> bool:
    """Tell whether KServe completes the manifest's pods: with a runtime, and with the model."""
    if not str(document.get("apiVersion")).startswith("serving.kserve.io/"):
        return False
    spec = _part(document, "spec")
    match document["kind"]:
        case "ServingRuntime" | "ClusterServingRuntime" | "LLMInferenceServiceConfig":
            return True
        case "InferenceService":
            predictor = _part(spec, "predictor")
            return "containers" not in predictor or "model" in predictor
        case "LLMInferenceService":
            return "template" not in spec or (
                _part(spec, "storageInitializer").get("enabled") is not False
            )
    return False


def sentences(document: Document) -> Iterator[str]:
    """Yield what a person should know of a manifest that is not judged.

    Raises:
        PolicyError: A label of ours is not text.
    """
    if document["kind"] == contract.KIND and document.get("apiVersion") != contract.API_VERSION:
        yield (
            f"not read, since its apiVersion is {quoted(document.get('apiVersion'))}: write "
            f"{contract.API_VERSION}, or have `python -m webhook convert` write it"
        )
    elif made_by_kserve(document):
        yield (
            "not judged here, since KServe completes its pods, with the model at /mnt/models: the "
            "webhook judges them when they are created"
        )
        match document["kind"]:
            case "InferenceService":
                yield from _inference_service(document)
            case "LLMInferenceService":
                yield from _llm_inference_service(document)
            case _:
                yield from _shared(document)


def _part(document: Document, name: str) -> Document:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _inference_service(document: Document) -> Iterator[str]:
    """Yield where the label stands: predictors get those of the object and of the predictor."""
    spec = _part(document, "spec")
    everywhere = contract.LABEL in labels(document)
    own = contract.LABEL in labels({"metadata": _part(spec, "predictor")})
    others = [name for name in ("transformer", "explainer") if name in spec]
    if not everywhere and not own:
        yield _missing(["spec.predictor.labels"])
    elif everywhere and others:
        yield (
            f"metadata.labels gives the label {contract.LABEL} to the pods of its "
            f"{' and '.join(others)} as well, which have no model and are refused: put it on "
            "spec.predictor.labels"
        )
    else:
        yield f"its pods carry the label {contract.LABEL}"


def _llm_inference_service(document: Document) -> Iterator[str]:
    """Yield where the label stands: each workload has labels of its own for its pods."""
    spec = _part(document, "spec")
    parts = {"spec.labels": spec}
    if "prefill" in spec:
        parts["spec.prefill.labels"] = _part(spec, "prefill")
    missing = [
        place for place, part in parts.items() if contract.LABEL not in labels({"metadata": part})
    ]
    if not missing:
        yield f"its pods carry the label {contract.LABEL}"
    else:
        yield _missing(missing)
        if contract.LABEL in labels(document):
            yield "metadata.labels are not passed on to its pods"


def _shared(document: Document) -> Iterator[str]:
    """Yield whether a runtime or a configuration gives the label to all that use it."""
    if contract.LABEL in labels({"metadata": _part(document, "spec")}):
        yield f"the pods of each service that uses it get the label {contract.LABEL}"


def _missing(places: list[str]) -> str:
    where = " and on ".join(places)
    return f"its pods do not carry the label {contract.LABEL}: put it on {where}"
