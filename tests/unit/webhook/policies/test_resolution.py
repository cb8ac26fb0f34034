"""The policy that a pod gets: its namespace's, and the rules of the cluster that hold there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster_rules import rule, stored
from tests.support.policies import policy_document
from validator.contract import LABEL, NAMESPACE_POLICY_LABEL
from validator.errors import PolicyError
from validator.policy.cluster_rules.resolved import RULES_LIMIT, ResolvedPolicy
from validator.policy.document import ModelValidation
from webhook.errors import PodRefused
from webhook.policies import cluster_rules, resolution
from webhook.policies.choice import LeftOut
from webhook.policies.cluster_rules import BrokenRule, may_hold
from webhook.settings import NamespaceOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhook.policies.cluster_rules import Rules

TEAM = NamespaceOptions(name="team", labels={"stage": "prod"})
NAMELESS = NamespaceOptions(name="team", labels_known=False)
PROD: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"stage": "prod"}}}
TEST: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"stage": "test"}}}
BY_NAME: dict[str, Any] = {
    "namespaceSelector": {
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team"]}
        ]
    }
}
SERVING: dict[str, Any] = {"default": True, "model": {"path": "/models/company"}}


def policy(name: str = "granite", **spec: Any) -> ModelValidation:
    """Return a policy of the namespace."""
    return ModelValidation.from_object(policy_document(name, **spec), source="policy.yaml")


def got(
    rules: Rules,
    *,
    policies: Sequence[ModelValidation] = (policy(),),
    namespace: NamespaceOptions = TEAM,
    label: str = "true",
) -> ModelValidation:
    """Return the policy that a pod gets."""
    chosen = resolution.chosen(
        {LABEL: label}, namespace=namespace, policies=policies, operator_compat=False
    )
    return resolution.with_rules(chosen, rules, namespace=namespace)


def names(made: ModelValidation) -> list[str]:
    """Return the rules that hold beside a policy."""
    return [each.rule for each in made.also_required] if isinstance(made, ResolvedPolicy) else []


def refusal(rules: Rules, **case: Any) -> str:
    """Return the sentence by which a pod is refused."""
    with pytest.raises(PodRefused) as caught:
        got(rules, **case)
    return str(caught.value)


def test_rules_hold_where_they_select_the_namespace() -> None:
    """Several of them all do; without one, the policy is as it was."""
    made = policy()
    assert got((rule("a", **TEST),), policies=[made]) is made
    assert names(got((rule("b", **PROD), rule("a"), rule("c", **TEST)))) == ["a", "b"]
    assert names(got((rule("a", **BY_NAME),))) == ["a"]


def test_a_namespace_is_called_what_it_is_called() -> None:
    """Whatever a label of its document says."""
    labels = {"kubernetes.io/metadata.name": "other"}
    team = NamespaceOptions(name="team", labels=labels)
    assert names(got((rule("a", **BY_NAME),), namespace=team)) == ["a"]


def test_labels_that_are_not_known_are_no_others() -> None:
    """A rule that asks for them refuses; one that asks for nothing, or for the name, does not."""
    assert "are not known, by which" in refusal((rule(**PROD),), namespace=NAMELESS)
    assert names(got((rule("a"), rule("b", **BY_NAME)), namespace=NAMELESS)) == ["a", "b"]
    assert names(got((rule("a", **PROD),), namespace=TEAM)) == ["a"]


def broken(**spec: Any) -> BrokenRule:
    """Return a rule that the API server has and nobody can use."""
    made = cluster_rules.read(stored("bad", config={}, **spec))
    assert isinstance(made, BrokenRule)
    return made


def test_a_broken_rule_refuses_where_it_holds() -> None:
    """And everywhere, where its selector cannot be read either."""
    assert "'bad', which holds in the namespace 'team', cannot be used" in refusal(
        (broken(**PROD),)
    )
    assert names(got((broken(**TEST), rule("a")))) == ["a"]
    unreadable = broken(namespaceSelector={"matchExpressions": [{"key": "stage"}]})
    assert "cannot be used" in refusal((unreadable,))
    spoilt = cluster_rules.read(stored("bad") | {"spec": "none"})
    assert "cannot be used" in refusal((spoilt,))


@pytest.mark.parametrize(
    "metadata", [{}, {"name": 7}, {"name": "Not a name"}, {"name": "bad", "generation": -1}]
)
def test_a_rule_that_does_not_say_which_one_it_is(metadata: dict[str, Any]) -> None:
    """There is no rule to be kept as a broken one; the sentence is the first reader's."""
    with pytest.raises(PolicyError, match="as the API server has it: "):
        cluster_rules.read(stored() | {"metadata": metadata})


def test_a_rule_that_is_being_deleted_refuses_where_it_holds() -> None:
    """What it demanded until now is demanded until it is gone."""
    leaving = {"deletionTimestamp": "2026-11-28T00:00:00Z"}
    assert "is being deleted" in refusal((rule("a", metadata=leaving, **PROD),))
    assert names(got((rule("a", metadata=leaving, **TEST),))) == []
    document = stored("bad", config={}, **PROD)
    document["metadata"] |= leaving
    assert "is being deleted" in refusal((cluster_rules.read(document),))


def test_rules_that_are_left_out_refuse_everywhere() -> None:
    """Nobody knows which namespaces they select."""
    assert refusal((LeftOut("too many"),)) == "too many"


def test_a_rule_too_large_for_a_gate_is_broken() -> None:
    """And kept without its contents."""
    made = cluster_rules.read(
        stored(config={"anyOf": [{"pkiConfig": {"certificateAuthorities": "x" * 30_000}}] * 4})
    )
    assert isinstance(made, BrokenRule)
    assert "bytes, and 98,304 are allowed" in made.reason


def test_too_many_rules_refuse() -> None:
    """In one sentence."""
    rules = tuple(rule(f"r{number}") for number in range(RULES_LIMIT + 1))
    assert "17 ClusterModelValidations hold" in refusal(rules)


def test_a_namespace_without_a_policy_is_refused() -> None:
    """A rule that does not serve it changes nothing."""
    for rules in ((), (rule(),), (rule(**SERVING, **TEST),)):
        assert "has no ModelValidation: create one" in refusal(rules, policies=[])


def test_a_namespace_without_a_policy_is_served_by_the_clusters() -> None:
    """Beside all other rules, which hold for it too."""
    made = got((rule("company", **SERVING), rule("other")), policies=[])
    assert isinstance(made, ResolvedPolicy)
    assert made.of_cluster
    assert made.reference == "ClusterModelValidation company"
    assert names(made) == ["other"]


def test_a_rule_never_takes_the_place_of_a_policy() -> None:
    """One that serves namespaces without a policy holds beside another's."""
    made = got((rule("company", **SERVING),))
    assert made.reference == "ModelValidation team/granite"
    assert names(made) == ["company"]


def test_who_asks_for_a_policy_by_its_name_gets_no_other() -> None:
    """In the pod's label, and in the namespace's."""
    rules = (rule("company", **SERVING),)
    for label in ("company", "granite"):
        assert "has no ModelValidation" in refusal(rules, policies=[], label=label)
    bound = NamespaceOptions(name="team", labels={NAMESPACE_POLICY_LABEL: "company"})
    assert "there is no such policy" in refusal(rules, policies=[], namespace=bound)


def test_two_rules_do_not_serve_one_namespace() -> None:
    """The sentence names both."""
    rules = (rule("b", **SERVING), rule("a", **SERVING))
    assert "default: true hold in the namespace ('a', 'b')" in refusal(rules, policies=[])


def test_the_rules_that_may_hold_in_a_namespace() -> None:
    """All but those of which it is known that they do not."""
    assert may_hold(rule(**PROD), TEAM)
    assert not may_hold(rule(**TEST), TEAM)
    assert may_hold(rule(**TEST), NAMELESS)
    assert may_hold(rule(**TEST), None)
    assert may_hold(LeftOut("too many"), TEAM)
