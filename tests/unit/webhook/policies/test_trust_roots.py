"""The roots that policies name, as the webhook knows them now and a moment ago."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cluster_rules import rule_document
from tests.support.policies import policy_document
from tests.unit.validator.policy.test_trust_root import root_document
from validator.errors import PolicyError
from validator.policy.cluster_rules.rule import ClusterModelValidation
from validator.policy.document import ModelValidation
from validator.policy.signers import PrivateKeyConfig
from webhook.policies import cluster_rules, trust_roots
from webhook.policies.broken import Broken
from webhook.policies.choice import BrokenPolicy, LeftOut
from webhook.policies.cluster_rules import BrokenRule
from webhook.policies.trust_roots import (
    Roots,
    previous,
    read,
    resolved,
)
from webhook.sources.cluster_objects import ClusterObjects
from webhook.sources.resolved_policies import ResolvedPolicies

NAMED = {"privateKeyConfig": {"trustRootRef": {"name": "corp"}}}


def policy(generation: int = 1, **changes: Any) -> ModelValidation:
    """Return a policy that names a root."""
    metadata = {"uid": "u", "generation": generation} | changes.pop("metadata", {})
    document = policy_document(metadata=metadata, **{"config": NAMED} | changes)
    return ModelValidation.from_object(document, source="p")


def roots(*generations: int, **metadata: str) -> Roots:
    """Return the roots of a cluster: one whose key is its generation, or none."""
    made = []
    for generation in generations:
        document = root_document(generation=generation, publicKey=f"key {generation}")
        document["metadata"] |= metadata
        made.append(read(document))
    return tuple(made)


def keys(*policies: object) -> list[str | None]:
    """Return the keys of policies."""
    configs = [each.spec.config for each in policies if isinstance(each, ModelValidation)]
    return [each.private_key_config.public_key for each in configs if each.private_key_config]


def test_a_policy_gets_the_text_of_the_root_that_it_names() -> None:
    """One that names none stays the same object, as does what is no policy."""
    assert keys(resolved(policy(), roots(3))) == ["key 3"]
    plain = policy(config={"privateKeyConfig": {"publicKey": "k"}})
    assert resolved(plain, ()) is plain
    broken = BrokenPolicy(name="x", namespace="team", reason="r")
    assert resolved(broken, ()) is broken


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ((), "the TrustRoot 'corp' does not exist: create it, or name another"),
        (roots(1, deletionTimestamp="now"), "the TrustRoot 'corp' is being deleted"),
        (
            (read(root_document(publicKey="k") | {"spec": {}}),),
            "the TrustRoot 'corp' cannot be used: as the API server has it: spec: spec holds no",
        ),
        ((read(root_document(trustedRoot="{}")),), "holds a Sigstore trusted root (trustedRoot)"),
        (LeftOut("the TrustRoots are too many"), "the TrustRoots are too many"),
    ],
)
def test_a_root_that_cannot_be_used_breaks_the_policy(known: Roots, said: str) -> None:
    """Its pods are refused with the sentence; what chooses it stays known."""
    made = resolved(policy(default=True), known)
    assert isinstance(made, BrokenPolicy)
    assert made.reason.startswith("privateKeyConfig.trustRootRef: ")
    assert said in made.reason
    assert (made.name, made.namespace, made.default, made.uid) == ("granite", "team", True, "u")
    assert not made.deleted


def test_a_root_without_a_name_is_none() -> None:
    """It cannot be named, and so not be missed."""
    with pytest.raises(PolicyError):
        read({"kind": "TrustRoot"})
    assert isinstance(read({"metadata": {"name": "a"}}), Broken)


def test_a_renewal_is_accepted_for_a_moment() -> None:
    """Each generation of the policy, with the roots of now and of then; not what it says now."""
    replaced = [policy(1)]
    made = previous(policy(2), replaced, roots=roots(5), earlier=[roots(4), roots(3)])
    assert [each.metadata.generation for each in made] == [2, 2, 1, 1, 1]
    assert keys(*made) == ["key 4", "key 3", "key 5", "key 4", "key 3"]


def test_what_names_no_root_was_what_it_was() -> None:
    """The earlier states of roots do not matter to it."""
    plain = {"config": {"privateKeyConfig": {"publicKey": "k"}}}
    old, new = policy(1, **plain), policy(2, **plain)
    assert previous(new, [old], roots=roots(5), earlier=[roots(4)]) == (old,)
    assert previous(policy(3), [new, old], roots=(), earlier=[]) == (new, old)
    assert previous(None, [], roots=(), earlier=[roots(4)]) == ()


@pytest.mark.parametrize("gone", [(), roots(5, deletionTimestamp="now")])
def test_a_root_that_is_gone_was_never_there(gone: Roots) -> None:
    """An admin who withdraws a root need not wait."""
    assert previous(policy(2), [policy(1)], roots=gone, earlier=[roots(4)]) == ()


def test_states_in_which_the_root_was_missing_say_nothing() -> None:
    """And there are not more than can be tried on one pod."""
    assert previous(policy(), [], roots=roots(5), earlier=[(), LeftOut("many")]) == ()
    many = [roots(n) for n in range(40)]
    made = previous(policy(), [], roots=roots(50), earlier=many)
    assert len(made) == trust_roots.PREVIOUS_LIMIT - 1


def test_a_rule_of_the_cluster_gets_the_texts_as_policies_do() -> None:
    """One whose root cannot be used is broken, and holds where it held."""
    document = {
        "apiVersion": "rhtas.redhat.com/v1alpha1",
        "kind": "ClusterModelValidation",
        "metadata": {"name": "company"},
        "spec": {"config": NAMED, "namespaceSelector": {"matchLabels": {"a": "b"}}},
    }
    rule = ClusterModelValidation.from_object(document, source="r")
    made = cluster_rules.resolved(rule, roots(3))
    assert isinstance(made, ClusterModelValidation)
    assert made.spec.config.private_key_config == PrivateKeyConfig(public_key="key 3")
    assert cluster_rules.resolved(made, ()) is made
    broken = cluster_rules.resolved(rule, ())
    assert isinstance(broken, BrokenRule)
    assert "the TrustRoot 'corp' does not exist" in broken.reason
    assert broken.selector == rule.spec.namespace_selector
    assert cluster_rules.resolved(broken, roots(3)) is broken


def test_what_a_policy_or_a_rule_is_made_of_is_known() -> None:
    """The root's name and generation: other rules have lists of roots."""
    rule = ClusterModelValidation.from_object(rule_document(config=NAMED), source="r")
    for made in (resolved(policy(), roots(3)), cluster_rules.resolved(rule, roots(3))):
        assert isinstance(made, ModelValidation | ClusterModelValidation)
        assert made.resolved is not None
        assert [each.shown for each in made.resolved.trust_roots] == ["corp/3"]
        assert made.resolved.trusts_nothing_else


def test_with_a_roots_text_a_policy_or_a_rule_may_be_too_long() -> None:
    """Then no gate gets it, and so it is broken; by itself it would fit."""
    signers = [{"pkiConfig": {"trustRootRef": {"name": name}}} for name in "abcd"]
    texts = tuple(
        read(root_document(certificateAuthorities="x" * 30_000) | {"metadata": {"name": name}})
        for name in "abcd"
    )
    named = policy(config={"anyOf": signers})
    made = resolved(named, texts)
    assert isinstance(made, BrokenPolicy)
    assert "98,304 are allowed: shorten its keys, certificates or trusted root" in made.reason
    document = rule_document(config={"anyOf": signers})
    broken = cluster_rules.resolved(ClusterModelValidation.from_object(document, source="r"), texts)
    assert isinstance(broken, BrokenRule)
    assert "98,304 are allowed: shorten its keys, certificates or trusted root" in broken.reason


def test_a_policy_is_resolved_once_for_each_state() -> None:
    """The same object comes back until the policy or the cluster's objects have changed."""
    plain, named = policy(config={"privateKeyConfig": {"publicKey": "k"}}), policy()
    left_out, made = LeftOut("many"), ResolvedPolicies()
    before = ClusterObjects({"trustroots": roots(3)})
    first = made.all([plain, named, left_out], before)
    assert (first[0], first[2]) == (plain, left_out)
    assert keys(first[1]) == ["key 3"]
    assert made.all([named], before)[0] is first[1]
    assert keys(*made.all([named], ClusterObjects({"trustroots": roots(4)}))) == ["key 4"]
    assert isinstance(made.all([named], ClusterObjects())[0], BrokenPolicy)
    assert made.all([policy(2)], before)[0] is not first[1]
    many = [policy(metadata={"name": f"p{n}"}) for n in range(3)]
    assert keys(*made.all(many, before)) == ["key 3"] * 3
