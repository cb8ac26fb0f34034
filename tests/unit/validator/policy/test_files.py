"""Policy files, and the rules of the cluster that stand beside the policy in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.cluster_rules import rule_document
from tests.support.policies import KEY, policy_document
from validator import contract
from validator.errors import PolicyError
from validator.policy.cluster_rules.resolved import ResolvedPolicy
from validator.policy.files import read_policies

if TYPE_CHECKING:
    from validator.policy.document import ModelValidation

PROD: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"stage": "prod"}}}
ROOT: dict[str, Any] = {
    "apiVersion": contract.API_VERSION,
    "kind": "TrustRoot",
    "metadata": {"name": "corp"},
    "spec": {"publicKey": KEY},
}
SERVING: dict[str, Any] = {"default": True, "model": {"path": "/models/company"}}


def namespace(name: str = "team", **labels: Any) -> dict[str, Any]:
    """Return a Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def read(*files: list[Any]) -> ModelValidation:
    """Return the policy in files."""
    texts = (yaml.safe_dump_all(documents).encode() for documents in files)
    return read_policies((text, f"{number}.yaml") for number, text in enumerate(texts))


def names(made: ModelValidation) -> list[str]:
    """Return the rules that hold beside a policy."""
    return [each.rule for each in made.also_required] if isinstance(made, ResolvedPolicy) else []


def refusal(*files: list[Any]) -> str:
    """Return why files are refused."""
    with pytest.raises(PolicyError) as caught:
        read(*files)
    return str(caught.value)


def test_rules_hold_beside_the_policy() -> None:
    """In its file, or in another one."""
    policy, all_of_them = policy_document(), rule_document("a")
    prod, test = (
        rule_document("b", **PROD),
        rule_document(
            "c",
            namespaceSelector={
                "matchExpressions": [{"key": "stage", "operator": "In", "values": ["test"]}]
            },
        ),
    )
    assert names(read([policy])) == []
    assert names(read([policy, all_of_them])) == ["a"]
    assert names(read([policy], [all_of_them, prod, test], [namespace(stage="prod")])) == ["a", "b"]


def test_the_only_namespace_is_the_policys() -> None:
    """Where the policy names none; else it is the one that it names."""
    anywhere = policy_document(namespace=None)
    prod = rule_document("b", **PROD)
    assert names(read([anywhere, prod, namespace("x", stage="prod")])) == ["b"]
    assert "labels of namespace 'team' are not known" in refusal(
        [policy_document(), prod, namespace("x", stage="prod")]
    )


def test_it_is_known_whether_a_rule_holds() -> None:
    """Else nothing is verified: it might have refused."""
    said = refusal([policy_document(namespace=None), rule_document("b", **PROD)])
    assert "the labels of the policy's namespace are not known" in said
    assert "give its Namespace, with its labels" in said


def test_a_rule_names_a_root_of_the_file() -> None:
    """As the policy does."""
    named = rule_document(config={"privateKeyConfig": {"trustRootRef": {"name": "corp"}}})
    made = read([policy_document(), named, ROOT])
    assert isinstance(made, ResolvedPolicy)
    (demand,) = made.also_required
    assert demand.config.private_key_config is not None
    assert demand.config.private_key_config.public_key == KEY
    assert "the TrustRoot 'corp' is not in this file: put it there" in refusal(
        [policy_document(), named]
    )
    assert "the TrustRoot 'corp' is not in these files: put it there, after a line ---, or" in (
        refusal([policy_document()], [named])
    )


def test_a_rule_with_a_root_stands_in_beside_a_list_of_roots() -> None:
    """An ordinary configuration: whose root is on the list is as good as a policy."""
    ref = {"trustRootRef": {"name": "corp"}}
    serving = rule_document(**SERVING, config={"privateKeyConfig": ref})
    made = read([serving, ROOT], [rule_document("other", trustRoots=["corp"])])
    assert isinstance(made, ResolvedPolicy)
    assert made.conflicts == ()
    assert made.resolved is not None
    assert [each.name for each in made.resolved.trust_roots] == ["corp"]


def test_a_rule_stands_in_for_a_policy() -> None:
    """As it does for pods of a namespace without one."""
    made = read([rule_document(**SERVING), rule_document("other")])
    assert made.reference == "ClusterModelValidation company"
    assert names(made) == ["other"]
    assert "with default: true that holds, found 0" in refusal([rule_document()])
    assert "that holds, found 0" in refusal([rule_document(**SERVING, **PROD), namespace()])


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ([rule_document("a"), rule_document("a")], "'a' is there twice: keep one"),
        ([namespace(), namespace()], "'team' is there twice: keep one"),
        ([namespace(stage=1)], "labels that are not all text"),
        ([{"kind": "Namespace"}], "has no name"),
        ([{"kind": "ModelValidationExemption"}], "does not count here: leave it out"),
        ([policy_document("b")], "expected one ModelValidation, found 2"),
    ],
)
def test_what_cannot_be_meant(documents: list[Any], said: str) -> None:
    """One sentence, with the file's name."""
    assert said in refusal([policy_document()], documents)


def test_no_policy_at_all() -> None:
    """Nor a rule."""
    assert "expected one ModelValidation, found 0" in refusal([namespace()])


def test_no_file_says_what_only_the_webhook_finds_out() -> None:
    """Else a policy, or a rule, could say that a TrustRoot vouches for its own key."""
    forged = policy_document() | {"resolved": {"trustsNothingElse": True}}
    assert refusal([forged, rule_document("a", trustRoots=["corp"]), namespace()]) == (
        "0.yaml: object contains unknown field `resolved`"
    )
    forged = rule_document(**SERVING) | {"resolved": {"trustsNothingElse": True}}
    assert refusal([forged]) == "0.yaml: object contains unknown field `resolved`"
