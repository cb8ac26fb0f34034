"""Reviews in a namespace in which rules of the cluster hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster_rules import rule
from tests.support.fakes.fake_cluster import FakeCluster
from tests.support.fakes.fake_cluster import stored_policy as policy
from tests.unit.webhook.admission.test_reviewer import GATE, patched, pod, review
from validator.contract import AUDIT_ANNOTATION, POLICY_VARIABLE
from validator.policy.cluster_rules.resolved import ResolvedPolicy
from webhook.admission.reviewer import Reviewer

if TYPE_CHECKING:
    from webhook.review import Answer

CLAIM = {"persistentVolumeClaim": {"claimName": "models"}}
CSI = {"name": "models", "csi": {"driver": "b.example", "readOnly": True}}


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster with the namespace `models`, a policy in it, and what a live read finds."""
    made = FakeCluster()
    made.known.put(policy())
    made.live = [policy()]
    return made


@pytest.fixture
def reviewer(cluster: FakeCluster) -> Reviewer:
    """A reviewer of that cluster."""
    return Reviewer(source=cluster, gate=GATE)


def in_gate(made: dict[str, Any]) -> ResolvedPolicy:
    """Return the policy of a pod's gate."""
    (gate,) = made["spec"]["initContainers"]
    (text,) = [each["value"] for each in gate["env"] if each["name"] == POLICY_VARIABLE]
    assert json.loads(text)["kind"] == "ModelValidation"
    return ResolvedPolicy.from_environment(text)


def refusal(answer: Answer) -> str:
    """Return why a pod is refused."""
    assert answer.refusal is not None
    return answer.refusal


async def test_the_gate_gets_one_document(cluster: FakeCluster, reviewer: Reviewer) -> None:
    """With what the rules demand; the audit log names them."""
    cluster.known_rules = (rule("company", metadata={"generation": 4}),)
    answer = await reviewer.mutate(review(pod()))
    made = patched(pod(), answer)
    assert [each.shown for each in in_gate(made).also_required] == ["company/4"]
    assert answer.audit["cluster-rules"] == "company/4"
    assert (await reviewer.validate(review(made))).refusal is None
    assert cluster.live_reads == 0


async def test_an_audited_pod_is_enforced(cluster: FakeCluster, reviewer: Reviewer) -> None:
    """A namespace's Audit does not take away what a rule enforces."""
    cluster.known.put(policy(generation=2, mode="Audit"))
    audited = patched(pod(), await reviewer.mutate(review(pod())))
    assert AUDIT_ANNOTATION in audited["metadata"]["annotations"]
    cluster.known_rules = (rule(),)
    made = patched(audited, await reviewer.mutate(review(audited)))
    assert AUDIT_ANNOTATION not in made["metadata"].get("annotations", {})
    assert in_gate(made).spec.mode == "Enforce"


async def test_a_gate_without_the_rule_is_not_admitted(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """As somebody would write it who knows the policy alone."""
    made = patched(pod(), await reviewer.mutate(review(pod())))
    cluster.known_rules = (rule(),)
    assert "is not what the webhook wrote" in refusal(await reviewer.validate(review(made)))


async def test_what_held_a_moment_ago_is_accepted(cluster: FakeCluster, reviewer: Reviewer) -> None:
    """Another replica may know the rules, or the policy, as they were."""
    before = (rule("a"), rule("b"))
    cluster.known_rules = before
    made = patched(pod(), await reviewer.mutate(review(pod())))
    cluster.known_rules, cluster.earlier = (rule("a"),), (before,)
    assert (await reviewer.validate(review(made))).refusal is None
    cluster.known.put(policy(generation=2, key="another"))
    assert (await reviewer.validate(review(made))).refusal is None
    cluster.earlier = ()
    cluster.live = [policy(generation=2, key="another")]
    assert (await reviewer.validate(review(made))).refusal is not None


async def test_a_refusal_stands_on_rules_that_were_read_live(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """One that is broken no more, or gone."""
    leaving = rule(metadata={"deletionTimestamp": "2026-11-28T00:00:00Z"})
    cluster.known_rules = (leaving,)
    assert "is being deleted" in refusal(await reviewer.mutate(review(pod())))
    cluster.live_rules = ()
    assert (await reviewer.mutate(review(pod()))).refusal is None


async def test_both_together_may_be_too_long(cluster: FakeCluster, reviewer: Reviewer) -> None:
    """Neither is by itself; the sentence names both."""
    trust = {"trustedRoot": "x" * 49_000}
    cluster.known.put(policy(generation=2, trust=trust))
    cluster.live = [policy(generation=2, trust=trust)]
    cluster.known_rules = (rule(trust=trust),)
    said = refusal(await reviewer.mutate(review(pod())))
    assert "ModelValidation 'granite' with what is demanded by ClusterModelValidation" in said


async def test_a_namespace_without_a_policy(cluster: FakeCluster, reviewer: Reviewer) -> None:
    """Is served by the cluster's, under its own name."""
    cluster.known.remove(("models", "granite"))
    cluster.live = []
    serving: dict[str, Any] = {
        "default": True,
        "model": {"path": "/models/granite", "volume": CLAIM},
    }
    cluster.known_rules = (rule(**serving),)
    answer = await reviewer.mutate(review(pod()))
    made = patched(pod(), answer)
    assert in_gate(made).reference == "ClusterModelValidation company"
    assert (answer.policy, answer.audit["policy-kind"]) == ("company", "ClusterModelValidation")
    assert (await reviewer.validate(review(made))).refusal is None
    cluster.known_rules = ()
    cluster.live_rules = ()
    assert "has no ModelValidation" in refusal(await reviewer.mutate(review(pod())))


async def test_the_models_driver_is_one_of_the_rules(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """Whether policy or pod brings the volume."""
    mounted = pod()
    mounted["spec"]["volumes"] = [CSI]
    mount = {"name": "models", "mountPath": "/models/granite"}
    mounted["spec"]["containers"][0]["volumeMounts"] = [mount]
    named = policy(generation=2, model={"volume": {"name": "models"}})
    cluster.known.put(named)
    cluster.live = [named]
    assert (await reviewer.mutate(review(mounted))).refusal is None
    cluster.known_rules = (rule(csiDrivers=["a.example"]),)
    said = refusal(await reviewer.mutate(review(mounted)))
    assert (
        "is of the CSI driver 'b.example', and the rules of the cluster allow 'a.example'" in said
    )
    assert said.endswith(
        "or have the cluster's admin add 'b.example' to csiDrivers in the ClusterModelValidation "
        "'company'"
    )
    cluster.known_rules = (rule(csiDrivers=["b.example"]),)
    assert (await reviewer.mutate(review(mounted))).refusal is None


async def test_what_the_rules_do_not_allow_refuses(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """Under Enforce; where all are in Audit, it is a warning."""
    cluster.known_rules = (rule(trustRoots=["corp"]),)
    assert "only what TrustRoots vouch for ('corp')" in refusal(
        await reviewer.mutate(review(pod()))
    )
    cluster.known.put(policy(generation=2, mode="Audit"))
    cluster.known_rules = (rule(trustRoots=["corp"], mode="Audit"),)
    answer = await reviewer.mutate(review(pod()))
    assert answer.refusal is None
    assert any("only what TrustRoots vouch for" in each for each in answer.warnings)


async def test_strict_without_an_image_in_common(cluster: FakeCluster, reviewer: Reviewer) -> None:
    """The sentence says that both lists count."""
    images = [f"r.example/vllm@sha256:{digit * 64}" for digit in "01"]
    cluster.known.put(policy(generation=2, workload={"images": images[:1]}))
    cluster.live = [policy(generation=2, workload={"images": images[:1]})]
    cluster.known_rules = (rule(workload={"arguments": "Strict", "images": images[1:]}),)
    said = refusal(await reviewer.mutate(review(pod())))
    assert "have no workload.images in common" in said
    assert (
        "add them to workload.images, each as NAME@sha256:…, in the policy, and have the cluster's "
        "admin do the same in the ClusterModelValidation 'company', which holds beside it"
    ) in said
