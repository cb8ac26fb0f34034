"""docs/platforms/argo-cd.md beside the manifests that it is about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from webhook.cli import main

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/platforms/argo-cd.md").read_text()
APPLICATION, KUSTOMIZATION, WORKLOAD = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
MANIFESTS = ROOT / "manifests/webhook"
WAVE = "argocd.argoproj.io/sync-wave"


def manifests(*names: str) -> list[dict[str, Any]]:
    """Return the documents of some files below manifests/webhook."""
    return [each for name in names for each in yaml.safe_load_all((MANIFESTS / name).read_text())]


def test_the_ignored_fields_are_those_that_the_cluster_writes() -> None:
    """Both configurations by their names, and in each entry the field that Git leaves out."""
    ignored = yaml.safe_load(APPLICATION)["spec"]["ignoreDifferences"]
    compat = [f"components/operator-compat/{name}.yaml" for name in ("mutating", "validating")]
    configurations = manifests("base/configurations.yaml", *compat)
    assert {(each["kind"], each["name"]) for each in ignored} == {
        (each["kind"], each["metadata"]["name"]) for each in configurations
    }
    for each in ignored:
        assert each["group"] == "admissionregistration.k8s.io"
        assert each["jqPathExpressions"] == [".webhooks[].clientConfig.caBundle"]
    for configuration in configurations:
        assert configuration["apiVersion"].startswith("admissionregistration.k8s.io/")
        for webhook in configuration["webhooks"]:
            assert "service" in webhook["clientConfig"]
            assert "caBundle" not in webhook["clientConfig"]


def test_git_has_the_secrets_and_the_lease_empty() -> None:
    """So that applying leaves alone what the cluster wrote; a Lease that is left out is missed."""
    documents = manifests("components/self-signed/certs.yaml")
    secrets = [each for each in documents if each["kind"] == "Secret"]
    assert len(secrets) == 2
    assert not [each for each in secrets if each.get("data") or each.get("stringData")]
    assert [each["kind"] for each in documents].count("Lease") == 1


def test_all_definitions_are_kept() -> None:
    """The patch's target is their kind; kustomize does not read the name in such a patch."""
    (patch,) = yaml.safe_load(KUSTOMIZATION)["patches"]
    definition = yaml.safe_load(patch["patch"])
    for path in (MANIFESTS / "base").glob("crd-*.yaml"):
        (crd,) = manifests(f"base/{path.name}")
        assert patch["target"] == {"kind": crd["kind"]}
        for key in ("apiVersion", "kind"):
            assert definition[key] == crd[key]
    (resource,) = yaml.safe_load(KUSTOMIZATION)["resources"]
    assert (ROOT / resource.removeprefix("../model-validation/")).is_dir()


def test_policy_and_deployment_are_admitted_in_that_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they stand in the page."""
    waves = [int(each["metadata"]["annotations"][WAVE]) for each in yaml.safe_load_all(WORKLOAD)]
    assert waves == sorted(set(waves))
    path = tmp_path / "page.yaml"
    path.write_text(WORKLOAD)
    assert main(["mutate", str(path)]) == 0
    assert "admitted under ModelValidation llm/granite (Enforce)" in capsys.readouterr().err
