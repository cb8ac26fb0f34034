"""A policy as roots and rules of the cluster leave it: what its status says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster_rules import rule, rule_document
from tests.support.observed import stored_policy
from tests.unit.validator.policy.test_trust_root import root_document
from validator.policy.status import SENTENCE_LIMIT
from webhook.observe.policies import Known, known
from webhook.observe.status.in_force import in_force
from webhook.observe.status.policy import status
from webhook.policies import cluster_rules, trust_roots
from webhook.policies.choice import LeftOut
from webhook.settings import NamespaceOptions

if TYPE_CHECKING:
    from webhook.policies.cluster_rules import Rules
    from webhook.policies.trust_roots import Roots

NOW = "2026-11-28T21:00:00Z"
TEAM = NamespaceOptions(name="team", labels={"stage": "prod"})
DIGEST = f"sha256:{'0' * 64}"
NAMED = {"privateKeyConfig": {"trustRootRef": {"name": "corp"}}}
PROD: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"stage": "prod"}}}
TEST: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"stage": "test"}}}


def judged(policy: Known, *rules: Any, roots: Roots = ()) -> Known:
    """Return a policy of the namespace `team` as it is in force."""
    return in_force(policy, roots=roots, rules=rules, namespace=TEAM)


def conditions(policy: Known) -> dict[str, tuple[str, str, str]]:
    """Return the conditions of a policy without pods: status, reason and message by type."""
    found = status(policy, [], server=(1, 36), now=NOW).conditions or ()
    return {each.type: (each.status, each.reason, each.message) for each in found}


def test_without_rules_it_is_the_policys_alone() -> None:
    """Or where those that there are hold elsewhere."""
    policy = known(stored_policy())
    for made in (policy, judged(policy), judged(policy, rule(**TEST))):
        assert conditions(made)["Narrowed"] == (
            "False",
            "NoRules",
            "no ClusterModelValidation holds in the namespace",
        )
    assert judged(policy, rule(**TEST)) == policy


def test_each_rule_is_named_with_what_it_narrows() -> None:
    """Those that hold there, by the policy's fields."""
    policy = known(
        stored_policy(
            mode="Audit",
            allowPrivileged=True,
            revalidation={"interval": "1h"},
            model={"ignorePaths": ["logs"]},
        )
    )
    rules = (
        rule("a", **PROD),
        rule("b", mode="Audit", allowPrivileged=True, ignorePaths=["logs"], digests=[DIGEST]),
        rule("c", **TEST),
        rule(
            "d",
            mode="Audit",
            allowPrivileged=True,
            ignorePaths=["logs"],
            csiDrivers=[],
            workload={"arguments": "Strict", "images": [DIGEST]},
            revalidation={"interval": "10m"},
        ),
    )
    signed = "of whose signers one has signed each model"
    assert conditions(judged(policy, *rules))["Narrowed"] == (
        "True",
        "ClusterRules",
        (
            f"beside the policy hold: the ClusterModelValidation 'a', {signed}, and it narrows "
            f"model.ignorePaths, mode, allowPrivileged; the ClusterModelValidation 'b', {signed} "
            f"and is one that it pins; the ClusterModelValidation 'd', {signed}, and it narrows "
            "workload.arguments, workload.images, revalidation.interval, csiDrivers"
        ),
    )


def test_conditions_are_of_both_together() -> None:
    """A policy in Audit that a rule enforces stops pods, and the rule's pins pin it."""
    alone = known(stored_policy(mode="Audit", onRestart="Keep"))
    before, after = (
        conditions(each)
        for each in (
            alone,
            judged(
                alone,
                rule(onRestart="Verify", digests=[DIGEST], revalidation={"action": "Stop"}),
            ),
        )
    )
    assert [before[kind][:2] for kind in ("Ready", "Pinned", "RestartVerifies")] == [
        ("True", "Audit"),
        ("False", "NoDigests"),
        ("False", "Audit"),
    ]
    assert [after[kind][:2] for kind in ("Ready", "Pinned", "RestartVerifies", "ChangeStops")] == [
        ("True", "InForce"),
        ("True", "Digests"),
        ("True", "Verify"),
        ("True", "Stop"),
    ]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            (rule(trustRoots=["corp"]),),
            "the ClusterModelValidation 'company' allows only what TrustRoots vouch for ('corp')",
        ),
        (
            (cluster_rules.read(rule_document(config={})),),
            "the ClusterModelValidation 'company', which holds in the namespace 'team', cannot be",
        ),
        (
            (rule(metadata={"deletionTimestamp": NOW}),),
            "is being deleted: wait until it is gone",
        ),
        ((LeftOut("there are too many"),), "there are too many"),
        (
            tuple(rule(f"r{n}", trust={"trustedRoot": "x" * 49_000}) for n in range(3)),
            "98,304 are allowed",
        ),
        (tuple(rule(f"r{n:02}") for n in range(17)), "17 ClusterModelValidations hold"),
    ],
)
def test_a_rule_may_take_it_out_of_force(rules: Rules, said: str) -> None:
    """The policy itself is right: it is not stalled, and in force once the rule lets it."""
    policy = known(stored_policy())
    refused = judged(policy, *rules)
    found = conditions(refused)
    assert {kind: each[:2] for kind, each in found.items()} == {
        "Accepted": ("False", "ClusterRule"),
        "Ready": ("False", "ClusterRule"),
    }
    assert said in found["Accepted"][2]
    assert judged(refused) == policy


def test_in_audit_a_rules_list_of_roots_stops_nothing() -> None:
    """As the webhook has it: what it does not allow is a warning."""
    policy = known(stored_policy(mode="Audit"))
    found = conditions(judged(policy, rule(mode="Audit", trustRoots=["corp"])))
    assert found["Ready"][:2] == ("True", "Audit")
    assert found["Narrowed"][2].endswith("and it narrows trustRoots")


def test_a_policy_whose_root_cannot_be_used_waits_for_it() -> None:
    """It is not stalled: who applies both may wait until it is ready; the sentence is bounded."""
    signers = [{"pkiConfig": {"trustRootRef": {"name": "x" * 200}}}, NAMED]
    policy = known(stored_policy(config={"anyOf": signers}))
    missing = judged(policy)
    found = conditions(missing)
    assert {kind: each[:2] for kind, each in found.items()} == {
        "Accepted": ("False", "TrustRootNotUsable"),
        "Ready": ("False", "TrustRootNotUsable"),
    }
    assert found["Accepted"][2].startswith("pkiConfig.trustRootRef: the TrustRoot 'xxx")
    assert len(found["Accepted"][2]) <= SENTENCE_LIMIT
    roots = tuple(
        trust_roots.read(document)
        for document in (
            root_document(),
            root_document("x" * 200, certificateAuthorities="PEM"),
        )
    )
    assert judged(missing, roots=roots) == policy


def test_with_its_roots_text_a_policy_may_be_too_long() -> None:
    """It would fit alone; no gate gets it."""
    names = "abcd"
    signers = [{"pkiConfig": {"trustRootRef": {"name": name}}} for name in names]
    roots = tuple(
        trust_roots.read(root_document(name, certificateAuthorities="x" * 30_000)) for name in names
    )
    policy = known(stored_policy(config={"anyOf": signers}))
    status_, reason, message = conditions(judged(policy, roots=roots))["Accepted"]
    assert (status_, reason) == ("False", "TrustRootNotUsable")
    assert "98,304 are allowed" in message


def test_a_policy_that_is_broken_by_itself_stays_so() -> None:
    """Whatever holds beside it."""
    policy = known(stored_policy(config={}))
    assert judged(policy, rule()) is policy
    assert conditions(policy)["Stalled"][:2] == ("True", "Invalid")
