"""The API server and our parser refuse the same policies, with the same sentence."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.schema import rule_messages
from validator import contract
from validator.errors import PolicyError
from validator.policy.crd import definition
from validator.policy.document import ModelValidation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.api_server.control_plane import ControlPlane

pytestmark = pytest.mark.apiserver

COMMITTED = (
    Path(__file__).parents[4] / "manifests" / "webhook" / "base" / "crd-modelvalidations.yaml"
)

KEYLESS = {"certificateIdentity": "a@example.com", "certificateOidcIssuer": "https://example.com"}
POLICY: dict[str, Any] = {
    "apiVersion": contract.API_VERSION,
    "kind": contract.KIND,
    "metadata": {"name": "granite"},
    "spec": {"model": {"path": "/models/granite"}, "config": {"sigstoreConfig": KEYLESS}},
}

ACCEPTED: dict[str, dict[str, Any]] = {
    "the smallest": {},
    "the operator's fields": {
        "config": {"privateKeyConfig": {"keyPath": "/keys/key.pub"}},
        "model": {"path": "/m/x", "signaturePath": "/m/x/model.sig", "ignorePaths": ["a/b"]},
    },
    "several models": {"model": None, "models": [{"path": "/m/a"}, {"path": "/m/b"}]},
    "several signers": {
        "config": {
            "anyOf": [{"sigstoreConfig": KEYLESS}, {"pkiConfig": {"certificateAuthorities": "x"}}]
        }
    },
    "regular expressions": {
        "config": {
            "sigstoreConfig": {
                "certificateIdentityRegexp": "https://github.com/org/.*",
                "certificateOidcIssuerRegexp": "https://token[.]actions[.]example[.]com",
                "githubWorkflow": {"repository": "org/model"},
            }
        }
    },
    "verified again, without a word on how": {"revalidation": {}},
    "everything else": {
        "default": True,
        "mode": "Audit",
        "trust": {"trustedRoot": "{}"},
        "workload": {
            "arguments": "Strict",
            "images": ["registry.example/vllm@sha256:" + "0" * 64, "sha256:" + "1" * 64],
            "otherImages": ["registry.example:5000/exporter@sha256:" + "0" * 64],
        },
        "revalidation": {"interval": "10m", "action": "Report", "bytesPerSecond": "1Gi"},
        "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}},
        "securityContext": {"runAsUser": 1000},
        "model": {
            "path": "/models/granite",
            "digests": ["sha256:" + "0" * 64],
            "volume": {"persistentVolumeClaim": {"claimName": "models"}, "mountPath": "/models"},
        },
    },
}

REFUSED: dict[str, dict[str, Any]] = {
    "an image by its tag": {"workload": {"images": ["registry.example/vllm:v1"]}},
    "an image without a name": {"workload": {"images": [f":5000/vllm@sha256:{'0' * 64}"]}},
    "no model": {"model": None},
    "model and models": {"models": [{"path": "/m/a"}]},
    "models within one another": {"model": None, "models": [{"path": "/m/a"}, {"path": "/m/a/b"}]},
    "the same model twice": {"model": None, "models": [{"path": "/m/a"}, {"path": "/m/a"}]},
    "no method": {"config": {}},
    "two methods": {"config": {"sigstoreConfig": KEYLESS, "privateKeyConfig": {"publicKey": "x"}}},
    "an empty list of signers": {"config": {"anyOf": []}},
    "a signer without method": {"config": {"anyOf": [{}]}},
    "nobody's identity": {"config": {"sigstoreConfig": {"certificateOidcIssuer": "https://x"}}},
    "an identity twice": {
        "config": {"sigstoreConfig": {**KEYLESS, "certificateIdentityRegexp": "a"}}
    },
    "no issuer": {"config": {"sigstoreConfig": {"certificateIdentity": "a"}}},
    "an identity that matches all": {
        "config": {
            "sigstoreConfig": {
                "certificateIdentityRegexp": ".*",
                "certificateOidcIssuer": "https://x",
            }
        }
    },
    "a broken expression": {
        "config": {
            "sigstoreConfig": {
                "certificateIdentityRegexp": "(",
                "certificateOidcIssuer": "https://x",
            }
        }
    },
    "no key": {"config": {"privateKeyConfig": {}}},
    "two authorities": {
        "config": {"pkiConfig": {"certificateAuthority": "/a", "certificateAuthorities": "x"}}
    },
    "two roots": {"trust": {"trustedRoot": "{}", "tuf": {"url": "https://x", "root": "{}"}}},
    "a relative path": {"model": {"path": "models/granite"}},
    "a path that is not canonical": {"model": {"path": "/models//granite"}},
    "a path that climbs": {"model": {"path": "/models/../etc"}},
    "an ignored path that climbs": {"model": {"path": "/m", "ignorePaths": ["../x"]}},
    "a digest in upper case": {"model": {"path": "/m", "digests": ["sha256:" + "A" * 64]}},
    "a volume with two sources": {
        "model": {"path": "/m", "volume": {"name": "a", "hostPath": {"path": "/x"}}}
    },
    "an image by tag": {"model": {"path": "/m", "volume": {"image": {"reference": "x/y:latest"}}}},
    "an unknown mode": {"mode": "Off"},
    "an interval of no time": {"revalidation": {"interval": "0s"}},
    "an interval too short": {"revalidation": {"interval": "9s"}},
    "an interval too long": {"revalidation": {"interval": "25h"}},
    "an interval that is only a number": {"revalidation": {"interval": "600"}},
    "a rate of nothing": {"revalidation": {"bytesPerSecond": "0Mi"}},
    "a rate without a unit": {"revalidation": {"bytesPerSecond": "100"}},
    "an unknown action": {"revalidation": {"action": "Delete"}},
}


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with our CustomResourceDefinition."""
    control_plane.apply([definition()])
    return control_plane


def _policy(changes: dict[str, Any], **metadata: str) -> dict[str, Any]:
    document = copy.deepcopy(POLICY)
    document["metadata"].update(metadata)
    document["spec"].update(changes)
    document["spec"] = {key: value for key, value in document["spec"].items() if value is not None}
    return document


def test_the_committed_definition_is_the_generated_one() -> None:
    """Types and manifest cannot drift apart."""
    assert yaml.safe_load(COMMITTED.read_text()) == definition()


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_good_policy_is_accepted_by_both(
    name: str, installed: ControlPlane, namespace: Callable[..., str]
) -> None:
    """The server stores what the parser accepts, and the parser accepts the stored object."""
    here = namespace()
    document = _policy(ACCEPTED[name], namespace=here)
    ours = ModelValidation.from_object(document, source="test")
    stored = installed.created(document)
    again = ModelValidation.from_object(stored, source="test")
    assert again.spec == ours.spec


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_policy_is_refused_by_both(
    name: str, installed: ControlPlane, namespace: Callable[..., str]
) -> None:
    """Rules that a type cannot say have one message on both sides."""
    document = _policy(REFUSED[name], namespace=namespace())
    with pytest.raises(PolicyError) as refusal:
        ModelValidation.from_object(document, source="test")
    answer = installed.create(document)
    assert answer.status == 422, answer.message
    for message in rule_messages(definition()):
        assert (message in str(refusal.value)) <= (message in answer.message), answer.message


@pytest.mark.parametrize("name", ["true", "false", "a" * 64])
def test_a_name_that_no_label_can_choose_is_refused_by_both(
    name: str, installed: ControlPlane, namespace: Callable[..., str]
) -> None:
    """A policy must be selectable by a label's value."""
    document = _policy({}, namespace=namespace(), name=name)
    with pytest.raises(PolicyError, match="label's value"):
        ModelValidation.from_object(document, source="test")
    answer = installed.create(document)
    assert answer.status == 422
    assert "label's value" in answer.message


def test_an_unknown_field_is_pruned_by_the_server_and_refused_in_a_file(
    installed: ControlPlane, namespace: Callable[..., str]
) -> None:
    """A typing error in a file is found; a server of a newer version is not in the way."""
    document = _policy({"mood": "good"}, namespace=namespace())
    with pytest.raises(PolicyError, match="mood"):
        ModelValidation.from_object(document, source="test")
    assert "mood" not in installed.created(document)["spec"]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, ["granite", "Enforce", "/models/granite", "a@example.com", "https://example.com"]),
        (ACCEPTED["regular expressions"], ["https://github.com/org/.*"]),
        (ACCEPTED["the operator's fields"], ["/m/x", "/keys/key.pub"]),
        (ACCEPTED["several models"], ["/m/a", '"path":"/m/b"']),
        (ACCEPTED["everything else"], ["Audit", "/models/granite", "sha256:" + "0" * 64, "true"]),
    ],
    ids=["plain", "regular expressions", "key", "several models", "everything else"],
)
def test_a_table_of_policies_says_who_may_sign_what(
    changes: dict[str, Any],
    shown: list[str],
    installed: ControlPlane,
    namespace: Callable[..., str],
) -> None:
    """`kubectl get modelvalidations -o wide` has a column for what is asked first."""
    here = namespace()
    installed.created(_policy(changes, namespace=here))
    table = installed.kubectl("-n", here, "get", "modelvalidations", "-o", "wide").stdout
    head, row = table.splitlines()
    first, wide = ["NAME", "MODE", "MODEL", "IDENTITY"], ["MODELS", "ISSUER", "DIGESTS", "DEFAULT"]
    counts = {"VERIFIED", "REFUSED", "WAITING", "UNREADY", "UNPROVEN"}
    assert set(head.split()) == {*first, *counts, *wide, "AGE"}
    assert head.split()[:4] == first
    assert all(word in row for word in shown)
