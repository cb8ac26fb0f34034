"""The status of one policy, from it and its pods."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.support import observed as made
from tests.support.observed import ended, exempted, gated, refused, seen, stored_policy, verified
from validator.policy.document import ModelValidation
from validator.policy.status import (
    CONDITIONS_LIMIT,
    MODELS_SHOWN,
    REFUSALS_SHOWN,
    Status,
)
from webhook.admission.injected.restart_rules import in_force, stops
from webhook.observe.pod.verdict import Verdict
from webhook.observe.pods import Pods
from webhook.observe.policies import APPLIED, Known, Policies, is_reserved, known
from webhook.observe.status.policy import status
from webhook.sources.holdings import Bounds

Document = dict[str, Any]
NOW = "2026-11-28T21:00:00Z"
LATER = "2026-11-28T22:00:00Z"


def conditions(
    policy: Document, *, server: tuple[int, int] | None = None
) -> dict[str, tuple[str, str]]:
    """Return the conditions of a policy without pods: status and reason by type."""
    found = status(known(policy), [], server=server, now=NOW).conditions or ()
    return {each.type: (each.status, each.reason) for each in found}


def counts(policy: Document, *pods: Document) -> Document:
    """Return how many of the pods have which verdict, those with any."""
    found = status(known(policy), [seen(pod) for pod in pods], now=NOW).pods
    return {name: number for name, number in msgspec.to_builtins(found).items() if number}


def test_the_counts_are_of_all_pods() -> None:
    """Each has one verdict."""
    pods = [
        ended(gated("a"), [verified()]),
        ended(gated("b"), [verified()]),
        ended(gated("c"), [refused()], code=1),
        gated("d"),
        ended(gated("e"), text="forged"),
    ]
    assert counts(stored_policy(), *pods) == {
        "verified": 2,
        "refused": 1,
        "waiting": 1,
        "unproven": 1,
    }


def test_a_policy_that_was_made_anew_has_no_verified_pods() -> None:
    """What an earlier one of its name has accepted says nothing about it."""
    pod = ended(gated(), [verified()])
    made_anew = stored_policy(uid="another")
    assert counts(made_anew, pod) == {"unproven": 1}
    (shown,) = status(known(made_anew), [seen(pod)], now=NOW).refusals or ()
    assert "earlier policy of this name" in shown.sentence


def test_models_are_shown_with_their_latest_verification() -> None:
    """Two pods of one model are one line; a rollout has two."""
    pods = [
        ended(gated("a"), [verified()], at="2026-01-01T00:00:00Z"),
        ended(gated("b"), [verified()], at="2026-01-03T00:00:00Z"),
        ended(gated("c"), [verified(digest="cd" * 32)], at="2026-01-02T00:00:00Z"),
    ]
    models = status(known(stored_policy()), [seen(pod) for pod in pods], now=NOW).models or ()
    assert [(each.digest, each.pods, each.last_verified) for each in models] == [
        (f"sha256:{made.DIGEST}", 2, "2026-01-03T00:00:00Z"),
        (f"sha256:{'cd' * 32}", 1, "2026-01-02T00:00:00Z"),
    ]
    assert models[0].signer == "alice@models.corp"
    assert models[0].log_index == 42


def test_refusals_are_the_latest_ones() -> None:
    """With the pod, the code and the sentence; an older one gives way."""
    pods = [
        ended(gated(f"p{n:02}"), [refused()], code=1, at=f"2026-01-01T00:{n:02}:00Z")
        for n in range(30)
    ]
    found = status(known(stored_policy()), [seen(pod) for pod in pods], now=NOW)
    shown = found.refusals or ()
    assert [each.pod for each in shown] == [f"p{n:02}" for n in range(29, 29 - REFUSALS_SHOWN, -1)]
    assert (shown[0].code, shown[0].sentence, shown[0].verdict) == ("OtherSigner", "no", "refused")
    assert found.pods is not None
    assert found.pods.refused == 30


def test_an_exemption_is_in_the_status() -> None:
    """Of the pod that runs by it, and of no other."""
    policy = stored_policy()
    pods = [
        ended(gated("a", policy=policy), [refused()], code=1),
        ended(gated("b", policy=exempted(policy)), [refused()], code=1),
    ]
    found = status(known(policy), [*map(seen, pods)], now=NOW).refusals or ()
    assert {each.pod: each.exemption for each in found} == {
        "a": None,
        "b": f"until-signed until {made.EXPIRES}",
    }


def test_a_status_stays_small() -> None:
    """However many pods there are, and whatever their reports say."""
    models = [f"/models/{n}" for n in range(8)]
    policy = stored_policy(models=[{"path": path} for path in models])
    held = known(policy)
    long = "x" * 4000
    pods = []
    for n in range(60):
        pod = gated(f"p{n}", policy=stored_policy())
        reports = [verified(digest=f"{n:064x}")]
        good, bad = ended(pod, reports), ended(pod, [refused(reason=long)], code=1)
        pods.append(seen(good if n % 2 else bad))
    found = status(held, pods, now=NOW)
    assert len(found.models or ()) == MODELS_SHOWN
    assert len(msgspec.json.encode(found)) < 32 * 1024


def test_a_status_is_the_same_after_a_restart() -> None:
    """Nothing is written that has not changed; a condition keeps its time."""
    policy, pods = stored_policy(), [seen(ended(gated(), [verified()]))]
    first = status(known(policy), pods, now=NOW)
    stored = json.loads(msgspec.json.encode(first))
    assert status(known(policy | {"status": stored}), pods, now=LATER) == first
    broken = policy | {"status": stored, "spec": {}}
    changed = {each.type: each for each in status(known(broken), pods, now=LATER).conditions or ()}
    assert changed["Ready"].last_transition_time == LATER


def test_a_status_of_another_program_is_replaced() -> None:
    """The Go operator's resource definition has one of its own."""
    other = {"conditions": "none", "injectedPodCount": 1}
    assert known(stored_policy() | {"status": other}).status is None


@pytest.mark.parametrize(
    ("change", "ready"),
    [
        ({}, ("True", "InForce")),
        ({"mode": "Audit"}, ("True", "Audit")),
    ],
)
def test_a_policy_that_can_be_used_is_ready(change: Document, ready: tuple[str, str]) -> None:
    """As kstatus understands it: nothing is stalled."""
    found = conditions(stored_policy(**change))
    assert found["Ready"] == ready
    assert found["Accepted"] == ("True", "Valid")
    assert "Stalled" not in found


def test_a_policy_that_cannot_be_used_has_failed() -> None:
    """As kstatus understands it, with the sentence that its pods are refused with."""
    policy = stored_policy() | {"spec": {"config": {}}}
    found = conditions(policy)
    assert found["Ready"] == ("False", "Invalid")
    assert found["Stalled"] == ("True", "Invalid")
    (accepted, *_) = status(known(policy), [], now=NOW).conditions or ()
    assert accepted.message == known(policy).flaw
    assert accepted.message


def test_a_policy_that_is_being_deleted_is_not_ready() -> None:
    """Its pods are refused."""
    policy = stored_policy()
    policy["metadata"]["deletionTimestamp"] = NOW
    assert conditions(policy)["Ready"] == ("False", "Deleted")


def test_pins() -> None:
    """A model without a digest may be any of its signer's."""
    digests = {"digests": [f"sha256:{'0' * 64}"]}
    assert conditions(stored_policy())["Pinned"] == ("False", "NoDigests")
    assert conditions(stored_policy(model=digests))["Pinned"] == ("True", "Digests")
    half = [{"path": "/models/a", **digests}, {"path": "/models/b"}]
    assert conditions(stored_policy(models=half))["Pinned"] == ("False", "NoDigests")


@pytest.mark.parametrize(
    ("applied", "reason"),
    [
        ({"spec": {"model": {"digest": "sha256:00"}}}, "Pruned"),
        ({"spec": {"models": [{"pin": {"modelDigests": []}}]}}, "Pruned"),
        ({"metadata": {"name": "digest"}, "spec": {"model": {}}}, "NoDigests"),
        ("digest {", "NoDigests"),
        ("[" * 5000 + "digest", "NoDigests"),
        ('["digest"]', "NoDigests"),
    ],
    ids=str,
)
def test_a_digest_that_the_api_server_dropped(applied: Document | str, reason: str) -> None:
    """`kubectl apply` keeps what it was given; a digest that is gone pins nothing."""
    policy = stored_policy()
    text = applied if isinstance(applied, str) else json.dumps(applied)
    policy["metadata"]["annotations"] = {APPLIED: text}
    assert conditions(policy)["Pinned"] == ("False", reason)


@pytest.mark.parametrize(
    ("named", "reserved"),
    [
        ("signer@example.invalid", True),
        ("alice@example.com", True),
        ("https://accounts.example.com", True),
        ("https://ci.EXAMPLE.org:8443/x", True),
        ("alice@example.com.corp", False),
        ("alice@notexample.com", False),
        ("https://github.com/example.com/x", False),
        ("https://[x", False),
        ("alice", False),
    ],
)
def test_reserved_domains(named: str, *, reserved: bool) -> None:
    """Nobody can own them (RFC 2606)."""
    assert is_reserved(named) is reserved


def test_the_signer_of_an_example() -> None:
    """It stands in the shipped manifests until somebody writes another one."""
    config = {
        "sigstoreConfig": {
            "certificateIdentity": "signer@example.invalid",
            "certificateOidcIssuer": "https://accounts.google.com",
        }
    }
    assert conditions(stored_policy(config=config))["Signer"] == ("False", "Placeholder")
    assert conditions(stored_policy())["Signer"] == ("True", "Named")


@pytest.mark.parametrize(
    ("spec", "server", "said"),
    [
        ({"onRestart": "Verify"}, (1, 36), ("True", "Verify")),
        ({"onRestart": "Verify"}, (1, 35), ("False", "ServerOlder")),
        ({"onRestart": "Verify"}, None, ("False", "VersionUnknown")),
        ({"onRestart": "Verify", "mode": "Audit"}, (1, 39), ("False", "Audit")),
        ({"onRestart": "Keep"}, (1, 39), ("False", "Keep")),
        ({}, (1, 38), ("False", "NodesMayBeOlder")),
        ({}, (1, 39), ("True", "Verify")),
        ({}, None, ("False", "VersionUnknown")),
    ],
    ids=str,
)
def test_whether_a_restart_verifies(
    spec: Document, server: tuple[int, int] | None, said: tuple[str, str]
) -> None:
    """By the policy, and by the API server's version; the webhook injects rules by the same."""
    policy = stored_policy(**spec)
    assert conditions(policy, server=server)["RestartVerifies"] == said
    used = ModelValidation.from_object(policy, source="test")
    assert in_force(used, server) is (said[0] == "True")


@pytest.mark.parametrize(
    ("mode", "server", "said"),
    [
        ("Enforce", (1, 36), ("True", "Stop")),
        ("Enforce", (1, 35), ("False", "ServerOlder")),
        ("Enforce", None, ("False", "VersionUnknown")),
        ("Audit", (1, 36), ("False", "Audit")),
    ],
    ids=str,
)
def test_whether_a_changed_model_stops_its_pods(
    mode: str, server: tuple[int, int] | None, said: tuple[str, str]
) -> None:
    """Where the policy asks for that; the webhook gives the monitor its rule by the same."""
    policy = stored_policy(mode=mode, revalidation={"action": "Stop"}, onRestart="Keep")
    assert conditions(policy, server=server)["ChangeStops"] == said
    used = ModelValidation.from_object(policy, source="test")
    assert stops(used, server) is (said[0] == "True")
    assert "ChangeStops" not in conditions(stored_policy(revalidation={}), server=server)


def test_an_older_server_is_named() -> None:
    """With what holds there, and where the default may be changed by hand, how."""

    def message(kind: str, **spec: Any) -> str:
        found = status(known(stored_policy(**spec)), [], server=(1, 34), now=NOW).conditions or ()
        return next(each.message for each in found if each.type == kind)

    older = "the API server is 1.34, and restart rules need Kubernetes 1.36: "
    assert message("RestartVerifies", onRestart="Verify") == (
        f"{older}a restarted container reads the model without the gate"
    )
    assert message("ChangeStops", revalidation={"action": "Stop"}) == (
        f"{older}a changed model makes the pod unready, and its containers go on"
    )
    assert "the API server is 1.34, whose nodes may be older than 1.36" in message(
        "RestartVerifies"
    )


def test_conditions_fit() -> None:
    """Into the schema's bound, with all that a policy may ask for."""
    found = conditions(stored_policy(revalidation={"action": "Stop"}))
    assert len(found) < CONDITIONS_LIMIT


def test_pods_are_bounded() -> None:
    """What is left out is counted, and taken in once there is room and news of it."""
    pods = Pods(limit=2)
    a, b, c = (seen(ended(gated(name), [verified()])) for name in "abc")
    for pod in (a, b, c):
        pods.put(pod)
    assert (len(pods), pods.left_out) == (2, 1)
    pods.remove(("team", "a"))
    pods.put(c)
    assert (len(pods), pods.left_out) == (2, 0)
    assert {pod.name for pod in pods.of(("team", "granite"))} == {"b", "c"}


def test_a_pod_that_has_not_changed_changes_no_policy() -> None:
    """Its kubelet writes its status often."""
    pods, pod = Pods(), seen(gated())
    assert set(pods.put(pod)) == {("team", "granite")}
    assert set(pods.put(seen(gated()))) == set()
    assert set(pods.remove(("team", "llm"))) == {("team", "granite")}
    assert set(pods.remove(("team", "llm"))) == set()
    assert list(pods.policies()) == []


def test_policies_are_bounded_by_namespace() -> None:
    """Nobody who fills one leaves the others without a status."""
    policies = Policies(limit=3, namespace_limit=2)

    def put(namespace: str, name: str) -> None:
        policies.put(Known(namespace=namespace, name=name, uid="u", generation=1))

    for name in "abc":
        put("full", name)
    put("other", "a")
    put("third", "a")
    assert {policy.key for policy in policies} == {("full", "a"), ("full", "b"), ("other", "a")}
    assert policies.left_out == 2
    policies.remove(("full", "a"))
    put("full", "c")
    assert policies.get(("full", "c")) is not None
    assert policies.left_out == 1


def test_policies_are_bounded_by_their_size() -> None:
    """As the webhook bounds them: of one namespace, and of all together."""
    policies = Policies(bounds=Bounds(namespace=6_000, total=10_000))

    def put(namespace: str, name: str, *, padding: int = 0) -> bool:
        config = {"privateKeyConfig": {"publicKey": "x" * (1 + padding)}}
        policies.put(known(stored_policy(name, namespace=namespace, config=config)))
        return policies.get((namespace, name)) is not None

    assert put("a", "1")
    assert not put("a", "2", padding=4_000)
    assert put("b", "1", padding=3_000)
    assert put("c", "1", padding=1_000)
    assert not put("d", "1", padding=1_000)
    assert policies.left_out == 2
    assert put("c", "1")
    assert put("d", "1", padding=500)
    assert not put("d", "1", padding=4_000)
    assert policies.in_namespace("d") == []
    policies.remove(("b", "1"))
    assert put("d", "1", padding=4_000)
    assert policies.in_namespace("d") == [("d", "1")]


def test_each_verdict_has_a_count() -> None:
    """Also one that is added."""
    found = Status(pods=status(known(stored_policy()), [], now=NOW).pods).pods
    assert set(msgspec.to_builtins(found)) == {str(verdict) for verdict in Verdict}
