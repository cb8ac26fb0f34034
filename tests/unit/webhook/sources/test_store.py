from __future__ import annotations

import pickle
from typing import Any

import pytest

from tests.support.policies import policy_document
from validator.errors import PolicyError
from validator.policy.document import ModelValidation
from webhook.policies.choice import BrokenPolicy
from webhook.policies.objects import read
from webhook.settings import NamespaceOptions
from webhook.sources.store import PREVIOUS_LIMIT, PREVIOUS_SECONDS, Store


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def policy(
    name: str = "granite",
    *,
    generation: int = 1,
    uid: str = "uid-1",
    namespace: str | None = "models",
) -> ModelValidation:
    """Make a policy whose generation shows in its model's path."""
    found = read(document(name, generation=generation, uid=uid, namespace=namespace), source="test")
    assert isinstance(found, ModelValidation)
    return found


def document(name: str, *, namespace: str | None = "models", **metadata: Any) -> dict[str, Any]:
    """Return the document of a policy."""
    path = f"/models/{metadata.get('generation', 1)}"
    return policy_document(name, namespace=namespace, metadata=metadata, model={"path": path})


@pytest.fixture
def clock() -> Clock:
    """A clock to move."""
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    """An empty store."""
    return Store(clock=clock)


def test_a_namespace_sees_its_own_policies_and_those_of_all(store: Store) -> None:
    """Policies of other namespaces stay there."""
    own, other, everywhere = (
        policy("a"),
        policy("b", namespace="other"),
        policy("c", namespace=None),
    )
    store.replace([own, other, everywhere])
    assert set(store.policies("models")) == {own, everywhere}
    assert set(store.policies("unheard-of")) == {everywhere}


def test_a_replaced_generation_is_remembered_for_a_while(store: Store, clock: Clock) -> None:
    """Earlier generations of a policy count for 30 seconds, latest first."""
    first, second, third = (policy(generation=number) for number in (1, 2, 3))
    store.put(first)
    store.put(second)
    clock.now += PREVIOUS_SECONDS - 1
    store.put(third)
    assert store.policies("models") == (third,)
    assert store.previous(third) == (second, first)
    clock.now += 2
    assert store.previous(third) == (second,)
    clock.now += PREVIOUS_SECONDS
    assert store.previous(third) == ()


def test_memory_of_generations_is_bounded(store: Store) -> None:
    """A policy that is written in a loop does not fill the memory."""
    for generation in range(100):
        store.put(policy(generation=generation))
    assert len(store.previous(policy(generation=99))) == PREVIOUS_LIMIT


def test_nothing_of_a_deleted_policy_remains(store: Store) -> None:
    """A policy that is made anew does not inherit what its namesake said."""
    store.replace([policy(generation=1)])
    store.replace([policy(generation=2)])
    store.replace([])
    assert store.policies("models") == ()
    store.put(policy(uid="uid-2"))
    assert store.previous(policy(uid="uid-2")) == ()


def test_the_past_does_not_overwrite_a_live_read(store: Store) -> None:
    """A watch event of an earlier generation arrives late and changes nothing."""
    store.put(policy(generation=2))
    store.put(policy(generation=1))
    assert store.policies("models") == (policy(generation=2),)


def test_a_list_is_right_about_the_past_and_a_live_read_is_not(store: Store) -> None:
    """A cluster that was restored has earlier generations; a live read may be late."""
    store.put(policy(generation=2))
    live = store.listing(live=True)
    live.add(policy(generation=1))
    store.replace(live, namespace="models")
    assert store.policies("models") == (policy(generation=2),)
    listing = store.listing()
    listing.add(policy(generation=1))
    store.replace(listing)
    assert store.policies("models") == (policy(generation=1),)


def test_a_policy_that_was_made_anew_starts_over(store: Store) -> None:
    """Generations count only within one uid."""
    store.put(policy(generation=7))
    store.put(policy(generation=1, uid="uid-2"))
    assert store.policies("models") == (policy(generation=1, uid="uid-2"),)


def test_one_namespace_is_replaced_alone(store: Store) -> None:
    """A live read of one namespace says nothing about the others, nor about those of all."""
    other, everywhere = policy("b", namespace="other"), policy("c", namespace=None)
    store.replace([policy("a"), other, everywhere])
    store.replace([policy("d")], namespace="models")
    assert set(store.policies("models")) == {policy("d"), everywhere}
    assert set(store.policies("other")) == {other, everywhere}


def test_namespaces_come_and_go(store: Store) -> None:
    """A namespace is known as it was last described."""
    store.put_namespace(NamespaceOptions(name="models", labels={"a": "b"}))
    assert store.namespace("models") == NamespaceOptions(name="models", labels={"a": "b"})
    store.replace_namespaces([NamespaceOptions(name="other")])
    assert store.namespace("models") is None
    store.remove_namespace("other")
    store.remove_namespace("other")
    assert store.namespace("other") is None


def test_a_broken_policy_is_kept_with_its_reason(store: Store) -> None:
    """A policy that the schema refuses is kept by its name, with the reason."""
    bad = document("bad", generation=3, uid="u", deletionTimestamp="2026-11-23T12:00:00Z")
    bad["spec"] = {"default": True, "config": {}}
    broken = read(bad, source="the cluster")
    assert isinstance(broken, BrokenPolicy)
    assert (broken.name, broken.namespace, broken.generation) == ("bad", "models", 3)
    assert broken.default
    assert broken.deleted
    assert broken.reason.startswith("the cluster: ")
    store.put(broken)
    assert (store.count().usable, store.count().broken) == (0, 1)


@pytest.mark.parametrize("metadata", [None, [], {}, {"name": 7}])
def test_what_has_no_name_is_no_policy(metadata: Any) -> None:
    """Without a name there is nothing to remember."""
    with pytest.raises(PolicyError):
        read({"metadata": metadata, "spec": {}}, source="test")


def test_what_no_gate_can_hold_is_not_kept() -> None:
    """Of policies that are too large for their gates, the sentences remain, in any number."""
    document = policy_document("large", namespace="models")
    signer = {"certificateIdentity": "a", "certificateOidcIssuer": "https://issuer.test"}
    # Each line feed is two characters as JSON.
    trust = {"trustedRoot": "\n" * 49_152}
    document["spec"] |= {"config": {"sigstoreConfig": signer}, "trust": trust}
    kept = read(document, source="test")
    assert isinstance(kept, BrokenPolicy)
    assert "98,304 are allowed" in kept.reason
    assert len(pickle.dumps(kept)) < 1000


def test_a_status_is_no_other_policy() -> None:
    """Whoever writes one, and how often: nothing that we know is replaced by it."""
    document = policy_document("granite", namespace="models")
    document["spec"]["config"] = {"privateKeyConfig": {"publicKey": "PEM"}}
    before = read(document, source="test")
    assert read(document | {"status": {"conditions": []}}, source="test") == before
