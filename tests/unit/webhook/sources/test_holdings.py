"""The bounds of the policies that are held: by namespace, in all, and in memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.policies import policy_document
from validator.contract import LABEL
from webhook.errors import PodRefused
from webhook.policies.choice import BrokenPolicy, LeftOut, Policy, select
from webhook.policies.objects import read
from webhook.settings import NamespaceOptions
from webhook.sources.holdings import OVERHEAD, Bounds, Holdings, key
from webhook.sources.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

MEBIBYTE = 1024 * 1024
BOUNDS = Bounds(namespace=20_000, total=50_000)
SPEC: dict[str, Any] = {
    "config": {
        "sigstoreConfig": {
            "certificateIdentity": "a@b.test",
            "certificateOidcIssuer": "https://issuer.test",
        }
    }
}


def policy(name: str, *, namespace: str = "a", size: int = 0, generation: int = 1) -> Policy:
    """Return a usable policy with a root of trust of that many characters, or a broken one."""
    document = policy_document(
        name, namespace=namespace, metadata={"uid": f"uid-{name}", "generation": generation}
    )
    document["spec"] |= SPEC
    if size:
        document["spec"]["trust"] = {"trustedRoot": "x" * size}
    return read(document, source="test")


def broken(name: str, *, namespace: str = "a") -> BrokenPolicy:
    """Return a policy that cannot be used."""
    return BrokenPolicy(name=name, namespace=namespace, reason="it is broken")


def chosen(store: Store, namespace: str, label: str = "p") -> str:
    """Return the name of the policy that a pod of the namespace gets."""
    return select(
        {LABEL: label},
        namespace=NamespaceOptions(name=namespace),
        policies=store.policies(namespace),
        operator_compat=False,
    ).metadata.name


@pytest.fixture
def store() -> Store:
    """A store with small bounds: two policies of 9,000 bytes in a namespace, five in all."""
    return Store(bounds=BOUNDS)


@pytest.mark.parametrize("label", ["p", "true", "unheard-of"])
def test_a_namespace_with_too_much_is_refused_whole(store: Store, label: str) -> None:
    """With a part of its policies, a pod could get another one than its namespace means."""
    store.put(policy("p"))
    assert chosen(store, "a") == "p"
    store.put(policy("large", size=20_000))
    with pytest.raises(PodRefused, match=r"namespace 'a' take more than the 20,000.*delete some"):
        chosen(store, "a", label)
    store.put(policy("p", namespace="b"))
    assert chosen(store, "b") == "p"


@pytest.mark.parametrize("make", [policy, broken])
def test_many_small_ones_are_too_much_as_well(store: Store, make: Any) -> None:
    """Each counts for its objects, also where it cannot be used."""
    for number in range(BOUNDS.namespace // OVERHEAD + 1):
        store.put(make(f"p{number}"))
    assert isinstance(store.policies("a")[0], LeftOut)


def test_events_do_not_bring_a_part_of_a_namespace_back(store: Store) -> None:
    """Only a list knows all of it."""
    store.put(policy("large", size=20_000))
    store.put(policy("p"))
    store.remove(("a", "large"))
    with pytest.raises(PodRefused, match="more than"):
        chosen(store, "a")
    assert store.count().left_out == 1


def test_a_list_that_fits_brings_the_namespace_back(store: Store) -> None:
    """A refused pod causes a live read: what was deleted meanwhile counts no more."""
    store.put(policy("large", size=20_000))
    listing = store.listing()
    listing.add(policy("p"))
    store.replace(listing, namespace="a")
    assert chosen(store, "a") == "p"
    assert store.count().left_out == 0
    store.replace([policy("large", size=20_000)], namespace="a")
    store.replace([policy("p")])
    assert chosen(store, "a") == "p"


def test_all_namespaces_together_are_bounded(store: Store) -> None:
    """The largest one is left out, whoever comes last."""
    store.put(policy("p", namespace="largest", size=12_000))
    for number in range(4):
        store.put(policy("p", namespace=f"n{number}", size=8_000))
    store.put(policy("p", namespace="small"))
    for namespace in ("small", "n0", "n1", "n2", "n3"):
        assert chosen(store, namespace) == "p"
    with pytest.raises(PodRefused, match=r"all namespaces.*50,000 bytes.*'largest', the largest"):
        chosen(store, "largest")
    store.replace([], namespace="n0")
    store.replace([policy("p", namespace="largest", size=12_000)], namespace="largest")
    assert chosen(store, "largest") == "p"


def test_a_list_over_the_bounds_is_never_held_whole(store: Store) -> None:
    """Neither while it is read nor afterwards."""
    listing = store.listing()
    for number in range(100):
        listing.add(policy("p", namespace=f"n{number}", size=8_000))
        assert listing.held.count().size <= BOUNDS.total
    store.replace(listing)
    assert (store.count().usable, store.count().left_out) == (5, 95)


def test_a_list_keeps_what_is_known_already(store: Store) -> None:
    """So that a new list of the same policies does not take their memory twice."""
    first = policy("p")
    store.put(first)
    store.replace([policy("p")])
    assert store.policies("a")[0] is first


def put_all(policies: Iterable[Policy]) -> Holdings:
    """Return holdings of these policies."""
    made = Holdings(replace(BOUNDS, namespace=BOUNDS.total))
    for each in policies:
        made.put(each)
    return made


CHANGES = st.lists(
    st.tuples(st.sampled_from("pqr"), st.sampled_from("ab"), st.sampled_from([None, 0, 1, 500]))
)


@settings(max_examples=50, deadline=None)
@given(CHANGES)
def test_the_size_is_that_of_what_is_held(changes: list[tuple[str, str, int | None]]) -> None:
    """Whatever comes and goes, and however often."""
    held = put_all([])
    for name, namespace, size in changes:
        if size is None:
            held.remove((namespace, name))
        else:
            held.put(
                broken(name, namespace=namespace)
                if size == 1
                else policy(name, namespace=namespace, size=size)
            )
    assert held.count() == put_all(held).count()
    assert {key(each) for each in held} == {key(each) for each in put_all(held)}


def test_memory_is_bounded_at_its_worst() -> None:
    """Texts of four bytes a character, twenty times as many as may be held."""
    document = policy_document("p", namespace="a") | {}
    document["spec"] |= SPEC | {"trust": {"trustedRoot": "\U0001f600" + "x" * 49_000}}
    bounds = Bounds(namespace=MEBIBYTE, total=MEBIBYTE)
    tracemalloc.start()
    try:
        store = Store(bounds=bounds)
        listing = store.listing()
        for number in range(400):
            named = {"name": "p", "namespace": f"n{number}", "uid": str(number), "generation": 1}
            listing.add(read(document | {"metadata": named}, source="test"))
        store.replace(listing)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert store.count().left_out > 370
    assert peak < 6 * bounds.total
