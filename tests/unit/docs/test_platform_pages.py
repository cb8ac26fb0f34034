"""docs/platforms: each YAML in the pages, made into pods as the platform does, and judged."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.fakes import platforms
from tests.support.pods import SETTINGS, names
from validator import contract
from validator.policy.document import ModelValidation
from webhook.admission.mutation import mutate
from webhook.admission.pod import Manifest
from webhook.admission.validation import check_created
from webhook.cli import main
from webhook.errors import PodRefused
from webhook.policies import choice
from webhook.settings import NamespaceOptions

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTS = Path(__file__).parents[3] / "docs"
SECTION = re.compile(
    r"\n## (?P<title>.+?)\n(?:.*?)```yaml\n(?P<yaml>.*?)```\n```text\n(?P<text>.*?)```", re.DOTALL
)
JUDGED = ("LeaderWorkerSet", "RayCluster", "RayService")
"""Kinds whose manifests hold their pods whole, so that `webhook mutate` judges them."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One section of a page: what the user writes, and what the page says of the pods."""

    name: str
    policy: ModelValidation
    written: dict[str, Any]
    said: list[str]
    text: str


def examples() -> list[Example]:
    """Return all sections with YAML."""
    made = []
    for page in sorted((DOCUMENTS / "platforms").glob("*.md")):
        for found in SECTION.finditer(page.read_text()):
            policy, written = yaml.safe_load_all(found["yaml"])
            made.append(
                Example(
                    name=f"{page.stem}: {found['title']}",
                    policy=ModelValidation.from_object(policy, source=page.name),
                    written=written,
                    said=found["text"].splitlines(),
                    text=found["yaml"],
                )
            )
    return made


EXAMPLES = examples()


def outcome(pod: dict[str, Any], policy: ModelValidation) -> str:
    """Return what becomes of a pod, as the pages write it."""
    name = pod["metadata"]["name"]
    if contract.LABEL not in pod["metadata"]["labels"]:
        return f"{name}: left alone"
    namespace = NamespaceOptions(name="llm")
    chosen = choice.select(
        pod["metadata"]["labels"], namespace=namespace, policies=[policy], operator_compat=False
    )
    try:
        made = mutate(Manifest(raw=pod), chosen, gate=SETTINGS, namespace=namespace).pod
    except PodRefused as refusal:
        return f"{name}: refused: {refusal}"
    check_created(Manifest(raw=made), chosen, gate=SETTINGS, namespace=namespace)
    init, others = (", ".join(names(made["spec"][key])) for key in ("initContainers", "containers"))
    return f"{name}: {init} | {others}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_pods_are_as_the_page_says(example: Example) -> None:
    """The gate after whoever writes the model, and before whoever serves it; or the refusal."""
    made = [outcome(pod, example.policy) for pod in platforms.pods(example.written)]
    assert len(made) == len(example.said)
    for found, said in zip(made, example.said, strict=True):
        start, refused, sentence = said.partition(" refused: ")
        assert found.startswith(start + refused)
        assert sentence in found if refused else found == said


@pytest.mark.parametrize(
    "example",
    [example for example in EXAMPLES if "kind" in example.written],  # others are a chart's values
    ids=lambda example: example.name,
)
def test_the_page_can_be_given_to_mutate(
    example: Example, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Manifests that hold their pods are admitted; KServe's are said to be labelled."""
    path = tmp_path / "page.yaml"
    path.write_text(example.text)
    code = main(["mutate", str(path), "--output", "yaml"])
    said = capsys.readouterr().err
    if example.written["kind"] in JUDGED:
        assert code == 0, said
        assert "admitted under ModelValidation llm/granite (Enforce)" in said
    else:
        assert (code, f"its pods carry the label {contract.LABEL}" in said) == (2, True)


def changed(page: str, change: Callable[[dict[str, Any]], object]) -> list[str]:
    """Return the outcomes of a page's first example after a change of what the user writes."""
    example = next(each for each in EXAMPLES if each.name.startswith(page))
    written = copy.deepcopy(example.written)
    change(written)
    return [outcome(pod, example.policy) for pod in platforms.pods(written)]


REFUSED: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    (
        "production-stack",
        lambda values: values["servingEngineSpec"]["modelSpec"][0].update(
            lmcacheConfig={"enablePD": True}
        ),
        "spec.hostPID",
    ),
    (
        "llm-d",
        lambda values: values["modelArtifacts"].update(uri="hf://example/granite"),
        "example/granite",
    ),
    (
        "kserve: InferenceService, an image",
        lambda service: service["spec"]["predictor"]["model"].update(
            storageUri="oci+native://registry.example.com/models/granite:1"
        ),
        "refer to it by digest",
    ),
]


@pytest.mark.parametrize(("page", "change", "said"), REFUSED)
def test_what_the_pages_say_is_refused(
    page: str, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    """Each with the sentence that names it."""
    for found in changed(page, change):
        assert " refused: " in found
        assert said in found


def test_the_sidecar_for_adapters_writes_nothing_beside_the_model() -> None:
    """production-stack mounts the claim writable in it; the webhook does not."""
    example = next(each for each in EXAMPLES if each.name.startswith("production-stack"))
    values = copy.deepcopy(example.written)
    values["servingEngineSpec"]["modelSpec"][0]["enableLoRA"] = True
    (pod,) = platforms.pods(values)
    namespace = NamespaceOptions(name="llm")
    made = mutate(Manifest(raw=pod), example.policy, gate=SETTINGS, namespace=namespace).pod
    (sidecar,) = (each for each in made["spec"]["containers"] if each["name"] == "sidecar")
    assert [mount["readOnly"] for mount in sidecar["volumeMounts"]] == [True]


def test_a_shared_claim_within_the_models_is_admitted() -> None:
    """production-stack mounts it there; the gate looks for a link in its place."""
    example = next(each for each in EXAMPLES if each.name.startswith("production-stack"))
    values = copy.deepcopy(example.written) | {"sharedPvcStorage": {"size": "10Gi"}}
    (pod,) = platforms.pods(values)
    namespace = NamespaceOptions(name="llm")
    made = mutate(Manifest(raw=pod), example.policy, gate=SETTINGS, namespace=namespace)
    assert any("'/data/shared-pvc-storage'" in sentence for sentence in made.warnings)
    (gate,) = made.pod["spec"]["initContainers"]
    variables = {each["name"]: each.get("value") for each in gate["env"]}
    assert "/data/shared-pvc-storage" in variables[contract.NESTED_VARIABLE]


def test_a_transformer_with_the_label_of_the_object_is_refused() -> None:
    """KServe gives it `metadata.labels`, and no model."""
    example = next(each for each in EXAMPLES if each.name.startswith("kserve"))
    server = {"name": "kserve-container", "image": "registry.example/transformer:1"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "granite-transformer", "labels": {contract.LABEL: "granite"}},
        "spec": {"containers": [server]},
    }
    assert "refused: " in outcome(pod, example.policy)


def test_each_page_has_examples_and_each_is_listed() -> None:
    """No page of a serving platform without YAML that is tried, and none that nobody finds."""
    pages = {page.stem for page in (DOCUMENTS / "platforms").glob("*.md")} - {"argo-cd"}
    assert pages == {example.name.partition(":")[0] for example in EXAMPLES}
    listed = (DOCUMENTS / "compatibility.md").read_text()
    assert all(f"(platforms/{page}.md)" in listed for page in pages)
