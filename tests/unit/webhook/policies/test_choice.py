from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.policies import policy_document
from validator.contract import LABEL, NAMESPACE_POLICY_LABEL, OPERATOR_LABEL
from validator.policy.document import ModelValidation
from webhook.errors import PodRefused
from webhook.policies.choice import BrokenPolicy, select
from webhook.settings import NamespaceOptions

if TYPE_CHECKING:
    from webhook.policies.choice import Policy


def policy(name: str, *, default: bool = False, deleted: bool = False) -> ModelValidation:
    """Make a policy with this name."""
    metadata = {"deletionTimestamp": "2026-11-23T12:00:00Z"} if deleted else {}
    document = policy_document(name, namespace="models", metadata=metadata, default=default)
    return ModelValidation.from_object(document, source="test")


def chosen(
    labels: dict[str, str],
    *policies: Policy,
    pin: str | None = None,
    operator_compat: bool = False,
) -> str:
    """Return the name of the policy that is selected."""
    namespace = NamespaceOptions(
        name="models", labels={} if pin is None else {NAMESPACE_POLICY_LABEL: pin}
    )
    return select(
        labels, namespace=namespace, policies=policies, operator_compat=operator_compat
    ).metadata.name


def refusal(labels: dict[str, str], *policies: Policy, **options: Any) -> str:
    """Return the sentence with which the pod is refused."""
    with pytest.raises(PodRefused) as caught:
        chosen(labels, *policies, **options)
    return str(caught.value)


def test_true_means_the_only_policy() -> None:
    """One policy in the namespace needs no name."""
    assert chosen({LABEL: "true"}, policy("granite")) == "granite"


def test_true_means_the_default_among_several() -> None:
    """A default decides between several policies."""
    assert chosen({LABEL: "true"}, policy("a"), policy("b", default=True), policy("c")) == "b"


def test_a_name_means_that_policy() -> None:
    """A label's other values are names, also past a default."""
    assert chosen({LABEL: "a"}, policy("a"), policy("b", default=True)) == "a"


@pytest.mark.parametrize("value", ["false", ""])
def test_values_that_ask_for_nothing_are_refused(value: str) -> None:
    """Neither "false" nor the empty value is a way in without a gate, pinned or not."""
    for pin in (None, "granite"):
        assert "asks for nothing" in refusal({LABEL: value}, policy("granite"), pin=pin)


def test_a_value_is_taken_literally() -> None:
    """There is no policy called True: spelling is not guessed at."""
    assert "no ModelValidation 'True' (there is 'granite')" in refusal(
        {LABEL: "True"}, policy("granite")
    )


def test_no_policy_is_refused_with_the_fix() -> None:
    """A namespace without policies says what to create."""
    assert refusal({LABEL: "true"}) == (
        "the namespace 'models' has no ModelValidation: create one that says which model the pod "
        "serves and who signs it"
    )
    assert "it has none at all" in refusal({LABEL: "granite"})


def test_several_policies_are_refused_with_their_names() -> None:
    """Without a default, none of two policies is chosen."""
    sentence = refusal({LABEL: "true"}, policy("b"), policy("a"))
    assert "several ModelValidations ('a', 'b')" in sentence
    assert "default: true" in sentence


def test_two_defaults_are_refused() -> None:
    """Two defaults are none."""
    sentence = refusal({LABEL: "true"}, policy("a", default=True), policy("b", default=True))
    assert "several ModelValidations with default: true ('a', 'b')" in sentence


def test_many_candidates_are_not_all_named() -> None:
    """A sentence stays a sentence in a namespace of a hundred policies."""
    sentence = refusal({LABEL: "true"}, *(policy(f"p{number:03}") for number in range(100)))
    assert "'p009', and 90 more" in sentence
    assert "p010" not in sentence


def test_a_policy_that_is_being_deleted_is_refused() -> None:
    """Neither by name nor as the only one does a policy outlive its deletion."""
    for labels in ({LABEL: "old"}, {LABEL: "true"}):
        assert "'old' is being deleted" in refusal(labels, policy("old", deleted=True))


def test_a_policy_that_is_being_deleted_is_no_candidate() -> None:
    """While one goes, "true" means the one that stays."""
    policies = policy("old", default=True, deleted=True), policy("new")
    assert chosen({LABEL: "true"}, *policies) == "new"


def test_a_pinned_policy_is_taken_whatever_the_pod_says() -> None:
    """The cluster's admin decides by the namespace's label: no shopping for laxer ones."""
    policies = policy("strict"), policy("lax", default=True)
    for value in ("true", "lax", "strict", "no-such"):
        assert chosen({LABEL: value}, *policies, pin="strict") == "strict"


@pytest.mark.parametrize("pin", ["gone", "", "true"])
def test_a_pin_on_nothing_refuses(pin: str) -> None:
    """A missing pinned policy does not fall back on another."""
    sentence = refusal({LABEL: "true"}, policy("lax"), pin=pin)
    assert f"bound to the ModelValidation '{pin}'" in sentence
    assert "there is no such policy (there is 'lax')" in sentence


def test_a_pinned_policy_that_is_being_deleted_refuses() -> None:
    """The pin does not bring a deleted policy back."""
    sentence = refusal({LABEL: "true"}, policy("p", deleted=True), policy("q"), pin="p")
    assert "being deleted" in sentence


def test_a_broken_policy_refuses_with_its_reason() -> None:
    """A policy that only a loosened resource definition accepts is refused with a reason."""
    broken = BrokenPolicy(name="bad", namespace="models", reason="spec.config: names no method")
    for labels in ({LABEL: "bad"}, {LABEL: "true"}):
        sentence = refusal(labels, broken)
        assert "'bad' cannot be used: spec.config: names no method" in sentence


def test_a_broken_policy_still_counts() -> None:
    """An unreadable policy is a candidate: its pods do not go to the other one."""
    broken = BrokenPolicy(name="bad", namespace="models", reason="?")
    assert "several" in refusal({LABEL: "true"}, broken, policy("good"))
    default = BrokenPolicy(name="bad", namespace="models", reason="?", default=True)
    assert "'bad' cannot be used" in refusal({LABEL: "true"}, default, policy("good"))


def test_a_pod_without_the_label_is_refused() -> None:
    """A pod that only the webhook's selector matches names no policy."""
    assert LABEL in refusal({"app": "llm"}, policy("granite"))


def test_the_operators_label_counts_only_where_it_is_told_to() -> None:
    """The Go operator's key is a way in with `operator_compat`, and nothing without."""
    labels = {OPERATOR_LABEL: "granite"}
    assert chosen(labels, policy("granite"), operator_compat=True) == "granite"
    assert "does not carry" in refusal(labels, policy("granite"))


def test_both_labels_must_agree() -> None:
    """Two labels with one meaning and two values are refused, equal ones are not."""
    policies = policy("a"), policy("b")
    both = {LABEL: "a", OPERATOR_LABEL: "a"}
    assert chosen(both, *policies, operator_compat=True) == "a"
    both = {LABEL: "a", OPERATOR_LABEL: "b"}
    assert "contradict" in refusal(both, *policies, operator_compat=True)
    assert chosen(both, *policies) == "a"
