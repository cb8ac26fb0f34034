from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from validator import contract
from webhook.doctor import configurations
from webhook.doctor.admission_policies import BINDING, INSTALLED, POLICY, digest

WEBHOOK = Path(__file__).parents[4] / "manifests" / "webhook"
PARTS = ("base", "components/self-signed")


def documents(*files: str) -> list[dict[str, Any]]:
    """Return the objects in files of the manifests."""
    return [each for file in files for each in yaml.safe_load_all((WEBHOOK / file).read_text())]


def test_each_admission_policy_is_known_by_its_digest() -> None:
    """Who changes one in the manifests writes its digest, as it stands in this difference."""
    files = [
        str(path.relative_to(WEBHOOK))
        for part in PARTS
        for path in sorted((WEBHOOK / part).glob("*.yaml"))
    ]
    found = {
        (each["kind"], each["metadata"]["name"]): digest(each["spec"])
        for each in documents(*files)
        if each.get("kind") in {POLICY, BINDING}
    }
    assert {key: digests[0] for key, digests in INSTALLED.items()} == found


def test_the_operators_label_changes_one_of_them() -> None:
    """As its component patches it."""
    (kustomization,) = documents("components/operator-compat/kustomization.yaml")
    (patch,) = [
        yaml.safe_load(each["patch"])[0]["value"]
        for each in kustomization["patches"]
        if each.get("target", {}).get("kind") == POLICY
    ]
    policy, _ = documents("base/require-policy.yaml")
    policy["spec"]["validations"][0]["expression"] = patch
    assert INSTALLED[POLICY, "model-validation-require"][1:] == (digest(policy["spec"]),)


@pytest.mark.parametrize("kind", configurations.PLURALS)
def test_our_entries_are_expected_as_they_are(kind: str) -> None:
    """That of our label and that of the operator's, but for the address."""
    verb = configurations.VERBS[kind]
    operators = {"mutate": "mutating", "validate": "validating"}[verb]
    for label, file in (
        (contract.LABEL, "base/configurations.yaml"),
        (contract.OPERATOR_LABEL, f"components/operator-compat/{operators}.yaml"),
    ):
        (configuration,) = [each for each in documents(file) if each["kind"] == kind]
        (entry,) = configuration["webhooks"]
        service = entry.pop("clientConfig")["service"]
        assert entry == configurations.expected(kind, label)
        assert service["path"] == f"/{verb}"
