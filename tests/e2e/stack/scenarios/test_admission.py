"""The webhook's first consumer: what it does to vLLM's pod, as the manifests write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.stack.static import manifests
from tests.e2e.stack.static.manifests import BUILDS, OVERLAYS, PREPARING
from validator.policy.document import ModelValidation
from validator.vllm.options import TABLE
from webhook.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.control_plane import Document

LABEL = "validation.rhtas.redhat.com/ml"
PIN = "validation.rhtas.redhat.com/policy"
READ = f"Deployment 'vllm': vLLM's arguments are read as {TABLE.reading} would read them\n"
WITH_VLLM = tuple(build for build in BUILDS if build[0] not in PREPARING)

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("programs")]


@pytest.fixture(params=WITH_VLLM, ids="+".join)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    """Return the objects of each overlay, alone and with each component that can be added."""
    return manifests.build(*request.param)


def mutated(
    documents: list[Document],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    strict: bool = False,
) -> tuple[int, str, str]:
    """Ask the webhook's command about vLLM; return exit code, the Deployment as JSON, notes."""
    policies = folder / "policies"
    policies.mkdir()
    known = manifests.of_kind(documents, "ModelValidation", "Namespace")
    for each in manifests.of_kind(known, "ModelValidation") if strict else ():
        each["spec"]["workload"] = {"arguments": "Strict", "images": [f"sha256:{'0' * 64}"]}
    (policies / "all.yaml").write_text(yaml.safe_dump_all(known))
    path = folder / "vllm.yaml"
    path.write_text(yaml.safe_dump(manifests.named(documents, "Deployment", "vllm")))
    code = main(["mutate", str(path), "--policies", str(policies), "--output", "yaml"])
    return code, *capsys.readouterr()


def test_vllm_is_the_one_pod_that_is_labelled(documents: list[Document]) -> None:
    """And there is one policy, which it means by "true"."""
    labelled = {
        pod["metadata"]["name"]: pod["metadata"]["labels"][LABEL]
        for pod in manifests.pods(documents)
        if LABEL in pod["metadata"]["labels"]
    }
    assert labelled == {"vllm": "true"}
    (policy,) = manifests.of_kind(documents, "ModelValidation")
    (namespace,) = manifests.of_kind(documents, "Namespace")
    assert namespace["metadata"]["labels"].get(PIN) in (None, policy["metadata"]["name"])


def test_the_webhook_admits_vllm_without_a_warning(
    documents: list[Document], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the gate before it, as its user, over the path that it serves."""
    code, output, notes = mutated(documents, tmp_path, capsys)
    (policy,) = manifests.of_kind(documents, "ModelValidation")
    admitted = f"admitted under ModelValidation llm/{policy['metadata']['name']} (Enforce)"
    assert (code, notes) == (0, f"Deployment 'vllm': {admitted}\n{READ}")
    spec = yaml.safe_load(output)["spec"]["template"]["spec"]
    gate, *_ = spec["initContainers"]
    assert gate["name"] == "model-validation"
    assert gate["securityContext"]["runAsUser"] == spec["securityContext"]["runAsUser"]
    covered = {each["name"]: each.get("value") for each in gate["env"]}["MODEL_VALIDATION_COVER"]
    assert covered == f'["{policy["spec"]["model"]["path"]}"]'


def test_strict_asks_for_digests_and_nothing_else(
    documents: list[Document], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images by digest are all that is between these manifests and the boundary."""
    (vllm,) = manifests.named(documents, "Deployment", "vllm")["spec"]["template"]["spec"][
        "containers"
    ]
    by_tag = vllm["image"].partition("@")[0]
    vllm["image"] = by_tag
    code, _, notes = mutated(documents, tmp_path, capsys, strict=True)
    assert code == 1
    sentence = f"containers[0] 'vllm': the image '{by_tag}' is not named by its digest"
    assert notes.startswith(f"Deployment 'vllm': refused: {sentence}; write NAME@sha256:…\n")
    (tmp_path / "again").mkdir()
    vllm["image"] = f"{by_tag.rpartition(':')[0]}@sha256:{'0' * 64}"
    code, _, notes = mutated(documents, tmp_path / "again", capsys, strict=True)
    assert (code, notes.endswith(READ), notes.count("\n")) == (0, True, 2), notes


def signer(documents: list[Document]) -> Any:
    """Return whom the policy accepts."""
    (policy,) = manifests.of_kind(documents, "ModelValidation")
    return ModelValidation.from_object(policy, source="manifests").spec.config.sigstore_config


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nobody_can_sign_before_a_signer_is_chosen(overlay: str) -> None:
    """The shipped identity and issuer are of a domain that never exists (RFC 2606)."""
    found = signer(manifests.build(overlay))
    if overlay == "example":
        assert found.certificate_identity == "models@example.com"
    else:
        assert found.certificate_identity.endswith(".invalid")
        assert found.certificate_oidc_issuer.endswith(".invalid")


def test_a_patch_of_the_signer_needs_no_more_than_two_fields() -> None:
    """The example's policy is production's but for them."""
    (example,) = manifests.of_kind(manifests.build("example"), "ModelValidation")
    (production,) = manifests.of_kind(manifests.build("production"), "ModelValidation")
    assert example["spec"].pop("config") != production["spec"].pop("config")
    assert example == production
