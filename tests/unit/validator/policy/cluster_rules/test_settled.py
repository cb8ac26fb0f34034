"""The end of a refusal: what to do, and who can, where rules hold beside a policy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cluster_rules import rule
from tests.support.policies import policy_document
from validator.policy.cluster_rules.resolution import resolve, stand_in
from validator.policy.cluster_rules.resolved import ResolvedPolicy
from validator.policy.cluster_rules.settled import settled
from validator.policy.document import ModelValidation

IMAGE = f"registry.example/vllm@sha256:{'0' * 64}"
SERVING: dict[str, Any] = {"default": True, "model": {"path": "/models/granite"}}
IN_POLICY = "do it in the policy"
BY_ADMIN = "have the cluster's admin do it in the ClusterModelValidation 'a'"
BY_BOTH = (
    "do it in the policy, and have the cluster's admin do the same in the ClusterModelValidation "
    "'a', which holds beside it"
)


def policy(**spec: Any) -> ModelValidation:
    """Return a namespace's policy."""
    return ModelValidation.from_object(policy_document(**spec), source="policy.yaml")


@pytest.mark.parametrize(
    ("field", "ours", "theirs", "remedy"),
    [
        ("allowPrivileged", {"allowPrivileged": True}, {}, BY_ADMIN),
        ("allowPrivileged", {}, {}, BY_BOTH),
        ("allowPrivileged", {}, {"allowPrivileged": True}, IN_POLICY),
        ("allowPodTrustAnchors", {"allowPodTrustAnchors": True}, {}, BY_ADMIN),
        ("onRestart", {"onRestart": "Keep"}, {"onRestart": "Verify"}, BY_ADMIN),
        ("onRestart", {"onRestart": "Verify"}, {"onRestart": "Keep"}, IN_POLICY),
        ("onRestart", {}, {}, IN_POLICY),
        ("workload.images", {}, {"workload": {"images": [IMAGE]}}, BY_ADMIN),
        ("workload.images", {"workload": {"images": [IMAGE]}}, {}, IN_POLICY),
        (
            "workload.otherImages",
            {"workload": {"arguments": "Strict"}},
            {"workload": {"otherImages": []}},
            BY_BOTH,
        ),
        ("csiDrivers", {}, {"csiDrivers": ["a.example"]}, BY_ADMIN),
        ("", {}, {}, IN_POLICY),
    ],
)
def test_the_remedy_names_who_can(
    field: str, ours: dict[str, Any], theirs: dict[str, Any], remedy: str
) -> None:
    """Beside a rule; what the gate reads says it, too."""
    made = resolve(policy(**ours), [rule("a", **theirs)])
    read = ResolvedPolicy.from_environment(made.to_environment())
    assert made.remedy("do it", field=field) == read.remedy("do it", field=field) == remedy


def test_without_rules_it_is_the_policy_alone() -> None:
    """Whatever the field."""
    assert policy().remedy("do it", field="allowPrivileged") == IN_POLICY
    assert policy().subject == "the policy 'granite'"


def test_all_rules_that_settle_it_are_named() -> None:
    """And no other one."""
    rules = [rule("a"), rule("b", allowPrivileged=True), rule("c")]
    made = resolve(policy(allowPrivileged=True), rules)
    assert made.remedy("do it", field="allowPrivileged") == (
        "have the cluster's admin do it in the ClusterModelValidations 'a' and 'c'"
    )


@pytest.mark.parametrize(
    ("own", "other", "names"),
    [
        ({}, {"allowPrivileged": True}, "ClusterModelValidation 'a'"),
        ({"allowPrivileged": True}, {}, "ClusterModelValidation 'b'"),
        ({}, {}, "ClusterModelValidations 'a' and 'b'"),
        ({"digests": [f"sha256:{'0' * 64}"]}, {}, "ClusterModelValidations 'a' and 'b'"),
    ],
)
def test_a_namespace_without_a_policy(own: Any, other: Any, names: str) -> None:
    """There is no policy in which its users could do it: the rule stands in for one."""
    serving = rule("a", **SERVING, **own)
    made = stand_in(serving, [serving, rule("b", **other)])
    said = made.remedy("do it", field="allowPrivileged")
    assert said == f"have the cluster's admin do it in the {names}"
    assert made.subject == "the ClusterModelValidation 'a'"
    alone = "have the cluster's admin do it in the ClusterModelValidation 'a'"
    assert made.remedy("do it") == alone


def test_a_policy_settles_what_it_does_not_open() -> None:
    """An ordinary one has no images and no drivers to settle."""
    assert settled(policy().spec) == ("allowPodTrustAnchors", "allowPrivileged")
    assert settled(rule().spec) == ("allowPodTrustAnchors", "allowPrivileged")
