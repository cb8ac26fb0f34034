from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest

from tests.support.fakes.fake_cluster import FakeCluster
from tests.support.fakes.fake_cluster import stored_policy as policy
from validator.contract import LABEL, NAMESPACE_POLICY_LABEL
from webhook.admission.reviewer import Reviewer
from webhook.errors import NotReady, RequestError
from webhook.review import Review
from webhook.settings import GateSettings, NamespaceOptions
from webhook.sources.store import Store

if TYPE_CHECKING:
    from webhook.review import Answer

GATE = GateSettings(image="validator:1")


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster with the namespace `models`."""
    return FakeCluster()


@pytest.fixture
def reviewer(cluster: FakeCluster) -> Reviewer:
    """A reviewer of that cluster."""
    return Reviewer(source=cluster, gate=GATE)


def pod(label: str = "true") -> dict[str, Any]:
    """Return a pod that serves the model."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "llm", "labels": {LABEL: label}},
        "spec": {"containers": [{"name": "vllm", "image": "vllm:1"}]},
    }


def review(document: dict[str, Any], **fields: Any) -> Review:
    """Return the review of a pod's creation."""
    whole: dict[str, Any] = {
        "uid": "1",
        "operation": "CREATE",
        "resource": ("", "v1", "pods"),
        "subresource": "",
        "namespace": "models",
        "name": "llm",
        "dry_run": False,
        "object": document,
        "old_object": None,
    }
    return Review(**(whole | fields))


def patched(document: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Return the pod with the answer's patch."""
    assert answer.refusal is None, answer.refusal
    made: dict[str, Any] = jsonpatch.apply_patch(document, answer.patch.decode() or [])
    return made


async def test_a_known_policy_needs_no_live_read(cluster: FakeCluster, reviewer: Reviewer) -> None:
    """The usual pod costs the API server nothing more."""
    cluster.known.put(policy())
    made = patched(pod(), await reviewer.mutate(review(pod())))
    answer = await reviewer.validate(review(made))
    assert answer.refusal is None
    assert cluster.live_reads == 0
    assert answer.audit == {
        "policy": "granite",
        "mode": "Enforce",
        "policy-uid": "u",
        "policy-generation": "1",
    }


async def test_the_clusters_version_decides_on_restarts(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """Mutation and validation go by it, and the audit log says what holds for the pod."""
    cluster.known.put(policy(onRestart="Verify"))
    answer = await reviewer.mutate(review(pod()))
    assert answer.audit["on-restart"] == "Keep"
    assert "spec.onRestart Verify needs Kubernetes 1.36" in answer.warnings[-1]
    cluster.server = (1, 36)
    answer = await reviewer.mutate(review(pod()))
    assert answer.audit["on-restart"] == "Verify"
    made = patched(pod(), answer)
    assert made["spec"]["containers"][0]["restartPolicyRules"]
    assert (await reviewer.validate(review(made))).refusal is None
    made["spec"]["containers"][0]["restartPolicy"] = "Always"
    cluster.live = [policy(onRestart="Verify")]
    assert (await reviewer.validate(review(made))).refusal is not None


async def test_a_new_policy_and_namespace_are_read_live(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """Namespace, policy and pod of one `kubectl apply` work at the first try."""
    cluster.known.remove_namespace("models")
    cluster.live, cluster.live_namespaces = [policy()], [NamespaceOptions(name="models")]
    assert (await reviewer.mutate(review(pod()))).refusal is None
    assert cluster.live_reads == 1


async def test_a_refusal_stands_on_what_was_read_live(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """No policy after one live read is the verdict; a failed read is none."""
    answer = await reviewer.mutate(review(pod()))
    assert answer.refusal is not None
    assert "has no ModelValidation" in answer.refusal
    assert cluster.live_reads == 1
    cluster.live = None
    with pytest.raises(NotReady, match="away"):
        await reviewer.mutate(review(pod()))


async def test_a_namespace_that_is_unknown_live_is_refused(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """Without the namespace's labels, its pinned policy is unknown."""
    cluster.known.put(policy())
    cluster.known.remove_namespace("models")
    cluster.live = [policy()]
    answer = await reviewer.mutate(review(pod()))
    assert answer.refusal is not None
    assert "'models' is not known" in answer.refusal


async def test_the_previous_generation_is_accepted_for_a_while(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """Another replica mutated by what it knew; an older gate, or a foreign one, is refused."""
    old, new = policy(generation=1, key="OLD"), policy(generation=2, key="NEW")
    cluster.known.put(old)
    made = patched(pod(), await reviewer.mutate(review(pod())))
    cluster.known.put(new)
    cluster.live = [new]
    answer = await reviewer.validate(review(made))
    assert answer.refusal is None
    assert answer.audit["policy-generation"] == "1"

    cluster.known = Store()
    cluster.known.put_namespace(NamespaceOptions(name="models"))
    cluster.known.put(new)
    answer = await reviewer.validate(review(made))
    assert answer.refusal is not None
    assert cluster.live_reads == 1


async def test_a_replica_that_is_late_reads_live(cluster: FakeCluster, reviewer: Reviewer) -> None:
    """A pod with the gate of a generation that only others know yet is accepted."""
    old, new = policy(generation=1, key="OLD"), policy(generation=2, key="NEW")
    cluster.known.put(new)
    made = patched(pod(), await reviewer.mutate(review(pod())))
    cluster.known = Store()
    cluster.known.put_namespace(NamespaceOptions(name="models"))
    cluster.known.put(old)
    cluster.live = [new]
    assert (await reviewer.validate(review(made))).refusal is None
    assert cluster.live_reads == 1


async def test_a_gate_of_another_release_counts_while_the_cluster_names_it(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """During an upgrade one replica mutates and another validates; one live read settles it."""
    cluster.known.put(policy())
    cluster.live = [policy()]
    other = Reviewer(source=cluster, gate=GateSettings(image="validator:2"))
    made = patched(pod(), await other.mutate(review(pod())))
    answer = await reviewer.validate(review(made))
    assert answer.refusal is not None
    assert "runs the image 'validator:2'" in answer.refusal
    cluster.live_gate_images = ("validator:2", "validator:1")
    assert (await reviewer.validate(review(made))).refusal is None
    cluster.live_gate_images = ("validator:3",)
    await cluster.refresh("models")
    assert (await reviewer.validate(review(made))).refusal is not None


async def test_a_pod_without_its_gate_is_refused(cluster: FakeCluster, reviewer: Reviewer) -> None:
    """`/validate` refuses a pod that `/mutate` did not see."""
    cluster.known.put(policy())
    cluster.live = [policy()]
    assert (await reviewer.validate(review(pod()))).refusal is not None


async def test_a_pinned_policy_is_said_to_overrule(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """A pod that names another policy than its namespace's is told so."""
    cluster.known.put(policy())
    labels = {NAMESPACE_POLICY_LABEL: "granite"}
    cluster.known.put_namespace(NamespaceOptions(name="models", labels=labels))
    answer = await reviewer.mutate(review(pod(label="lax")))
    assert answer.refusal is None
    assert "'lax'" in answer.warnings[0]
    answer = await reviewer.mutate(review(pod()))
    assert not any("bound to" in warning for warning in answer.warnings)


async def test_ephemeral_containers_are_judged_without_a_policy_too(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """A running pod outlives its policy; debugging it is judged, after a live read."""
    cluster.known.put(policy())
    made = patched(pod(), await reviewer.mutate(review(pod())))
    cluster.known.replace([])
    cluster.live = []
    ephemeral = {"subresource": "ephemeralcontainers", "operation": "UPDATE", "old_object": made}
    assert (await reviewer.validate(review(made, **ephemeral))).refusal is None
    assert cluster.live_reads == 1

    debugger = {"name": "d", "image": "busybox", "targetContainerName": "model-validation"}
    debugged = made | {"spec": made["spec"] | {"ephemeralContainers": [debugger]}}
    answer = await reviewer.validate(review(debugged, **ephemeral))
    assert answer.refusal is not None


async def test_it_waits_for_the_policies(cluster: FakeCluster, reviewer: Reviewer) -> None:
    """Before the first list nothing is decided."""
    cluster.ready = False
    for judge in (reviewer.mutate, reviewer.validate):
        with pytest.raises(NotReady):
            await judge(review(pod()))


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "UPDATE"},
        {"operation": "DELETE"},
        {"subresource": "status"},
        {"subresource": "ephemeralcontainers"},
        {"resource": ("apps", "v1", "deployments")},
        {"resource": ("", "v1", "nodes")},
        {"object": None},
        {"namespace": ""},
    ],
)
async def test_reviews_of_something_else_are_a_mistake(
    reviewer: Reviewer, fields: dict[str, Any]
) -> None:
    """A webhook that is registered wrongly hears of it; nothing is waved through."""
    for judge in (reviewer.mutate, reviewer.validate):
        with pytest.raises(RequestError):
            await judge(review(pod(), **fields))


async def test_an_update_of_ephemeral_containers_needs_the_pod_as_it_was(
    reviewer: Reviewer,
) -> None:
    """Without the old object, the added container is unknown."""
    fields = {"subresource": "ephemeralcontainers", "operation": "UPDATE"}
    with pytest.raises(RequestError, match="oldObject"):
        await reviewer.validate(review(pod(), **fields))


@pytest.mark.parametrize("metadata", [None, 7, [], {"labels": []}, {"labels": {LABEL: True}}])
async def test_what_is_no_pod_is_a_bad_request(reviewer: Reviewer, metadata: Any) -> None:
    """The API server never sends such an object."""
    with pytest.raises(RequestError, match="not a pod"):
        await reviewer.mutate(review(pod() | {"metadata": metadata}))


@pytest.mark.parametrize("place", ["metadata", "spec", "container", "volume"])
async def test_a_pod_that_is_nested_deep_is_no_crash(
    cluster: FakeCluster, reviewer: Reviewer, place: str
) -> None:
    """Everything that the parser accepts is answered, or is a bad request."""
    cluster.known.put(policy())
    cluster.live = [policy()]
    document = pod()
    deep: dict[str, Any] = {"name": "deep"}
    for _ in range(5000):
        deep = {"name": "deep", "deep": deep}
    document["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
    places = {
        "metadata": document["metadata"],
        "spec": document["spec"],
        "container": document["spec"]["containers"][0],
        "volume": document["spec"]["volumes"][0],
    }
    places[place]["deep"] = deep
    for judge in (reviewer.mutate, reviewer.validate):
        with suppress(RequestError):
            assert (await judge(review(document))).uid == "1"


async def test_what_is_stale_admits_nobody(cluster: FakeCluster, reviewer: Reviewer) -> None:
    """After too long a silence a live read decides: here the policy was deleted meanwhile."""
    cluster.known.put(policy())
    cluster.stale = True
    for ask in (reviewer.mutate, reviewer.validate):
        answer = await ask(review(pod()))
        assert answer.refusal is not None
        assert "has no ModelValidation" in answer.refusal
    assert cluster.live_reads == 2


async def test_what_is_stale_and_cannot_be_read_gives_no_answer(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """503, and neither yes nor no."""
    cluster.known.put(policy())
    cluster.stale, cluster.live = True, None
    for ask in (reviewer.mutate, reviewer.validate):
        with pytest.raises(NotReady):
            await ask(review(pod()))


async def test_a_live_read_admits_while_the_watch_is_silent(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """One read for each review, and the answer is by what it found."""
    cluster.known.put(policy())
    cluster.stale, cluster.live = True, [policy(generation=2)]
    answer = await reviewer.mutate(review(pod()))
    assert answer.refusal is None
    assert answer.audit["policy-generation"] == "2"
    assert cluster.live_reads == 1
