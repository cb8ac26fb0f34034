"""The API server and our parser refuse the same rules of the cluster, with the same sentence."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster_rules import rule_document
from tests.support.schema import rule_messages
from validator.errors import PolicyError
from validator.policy.cluster_rules.rule import ClusterModelValidation
from validator.policy.crd import cluster_rule_definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import ControlPlane

pytestmark = pytest.mark.apiserver

KEYLESS = {"certificateIdentity": "a@example.com", "certificateOidcIssuer": "https://example.com"}
IMAGE = "registry.example/vllm@sha256:" + "0" * 64
MODEL = {"path": "/models/granite"}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    """Return a selector with one demand."""
    demand = {"key": key, "operator": operator} | ({"values": list(values)} if values else {})
    return {"namespaceSelector": {"matchExpressions": [demand]}}


ACCEPTED: dict[str, dict[str, Any]] = {
    "the smallest": {},
    "labels": {"namespaceSelector": {"matchLabels": {"team": "red", "example.com/stage": ""}}},
    "in": expression("team", "In", "red", "blue"),
    "not in": expression("example.com/team", "NotIn", "red"),
    "exists": expression("team", "Exists"),
    "does not exist": expression("team", "DoesNotExist"),
    "a default": {"default": True, "model": MODEL},
    "a default of several models": {
        "default": True,
        "models": [{"path": "/m/a"}, {"path": "/m/b"}],
    },
    "everything else": {
        "config": {"anyOf": [{"sigstoreConfig": KEYLESS}, {"publicKeyConfig": {"publicKey": "x"}}]},
        "trust": {"trustedRoot": "{}"},
        "digests": ["sha256:" + "0" * 64],
        "ignorePaths": ["a/b"],
        "ignoreGitPaths": False,
        "ignoreUnsignedFiles": True,
        "csiDrivers": ["csi.example.com"],
        "mode": "Audit",
        "allowPodTrustAnchors": True,
        "allowPrivileged": True,
        "workload": {"arguments": "Strict", "images": [IMAGE], "otherImages": []},
        "onRestart": "Verify",
        "revalidation": {"interval": "10m", "action": "Stop"},
    },
}

REFUSED: dict[str, dict[str, Any]] = {
    "a model without default": {"model": MODEL},
    "models without default": {"default": False, "models": [MODEL]},
    "a default without a model": {"default": True},
    "a default with model and models": {"default": True, "model": MODEL, "models": [MODEL]},
    "models within one another": {"default": True, "models": [{"path": "/a"}, {"path": "/a/b"}]},
    "a key by its path": {"config": {"privateKeyConfig": {"keyPath": "/keys/x"}}},
    "a key by its path, in its other name": {"config": {"publicKeyConfig": {"keyPath": "/keys/x"}}},
    "an authority by its path": {"config": {"pkiConfig": {"certificateAuthority": "/keys/x"}}},
    "one of several by its path": {
        "config": {
            "anyOf": [
                {"privateKeyConfig": {"publicKey": "x"}},
                {"pkiConfig": {"certificateAuthority": "/keys/x"}},
            ]
        }
    },
    "no signer": {"config": {}},
    "in nothing": expression("team", "In"),
    "not in nothing": expression("team", "NotIn"),
    "exists with a value": expression("team", "Exists", "red"),
    "does not exist with a value": expression("team", "DoesNotExist", "red"),
    "no operator of Kubernetes": expression("team", "Gt", "1"),
    "no key of a label": expression("/team", "Exists"),
    "too long a key": expression("a" * 64, "Exists"),
    "no value of a label": expression("team", "In", "a b"),
    "no label's key": {"namespaceSelector": {"matchLabels": {"a b": "x"}}},
    "no label's value": {"namespaceSelector": {"matchLabels": {"a": "x y"}}},
    "an image by its tag": {"workload": {"images": ["registry.example/vllm:v1"]}},
    "an unknown mode": {"mode": "Off"},
    "a digest in upper case": {"digests": ["sha256:" + "A" * 64]},
    "an interval too short": {"revalidation": {"interval": "9s"}},
}


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with the definition."""
    control_plane.apply([cluster_rule_definition()])
    return control_plane


@pytest.fixture
def name(installed: ControlPlane) -> Iterator[str]:
    """A name for a rule, which is deleted afterwards."""
    made = f"rule-{uuid.uuid4().hex[:8]}"
    yield made
    installed.kubectl("delete", "clustermodelvalidation", made, "--ignore-not-found")


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_good_rule_is_accepted_by_both(case: str, installed: ControlPlane, name: str) -> None:
    """The server takes what the parser accepts, and the parser accepts what it would store.

    It is not stored: a webhook of another test may watch, and the rule would hold for its pods.
    """
    document = rule_document(name, **ACCEPTED[case])
    ours = ClusterModelValidation.from_object(document, source="test")
    answer = installed.create(document, dry_run=True)
    assert answer.status == 201, answer.message
    assert ClusterModelValidation.from_object(answer.document, source="test").spec == ours.spec


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_rule_is_refused_by_both(case: str, installed: ControlPlane, name: str) -> None:
    """Rules that a type cannot say have one message on both sides."""
    document = rule_document(name, **REFUSED[case])
    with pytest.raises(PolicyError) as refusal:
        ClusterModelValidation.from_object(document, source="test")
    answer = installed.create(document)
    assert answer.status == 422, answer.message
    for message in rule_messages(cluster_rule_definition()):
        assert (message in str(refusal.value)) <= (message in answer.message), answer.message


def test_a_name_that_is_too_long_is_refused_by_both(installed: ControlPlane) -> None:
    """A verdict names all rules that hold, within the bytes of a termination message."""
    document = rule_document("a" * 64)
    with pytest.raises(PolicyError, match="63 characters"):
        ClusterModelValidation.from_object(document, source="test")
    answer = installed.create(document)
    assert answer.status == 422
    assert "63 characters" in answer.message


def test_a_table_of_rules_says_who_must_sign_where(installed: ControlPlane, name: str) -> None:
    """`kubectl get cmv -o wide` has a column for what is asked first."""
    made = ACCEPTED["labels"] | {"config": {"sigstoreConfig": KEYLESS}}
    installed.created(rule_document(name, **made))
    table = installed.kubectl("get", "cmv", name, "-o", "wide").stdout
    head, row = table.splitlines()
    assert head.split()[:4] == ["NAME", "MODE", "ARGUMENTS", "IDENTITY"]
    shown = (name, "Enforce", "a@example.com", "https://example.com", "red")
    assert all(word in row for word in shown)
