"""The cluster-scoped objects that are known, and what was known a moment ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.cluster_rules import stored
from webhook.cluster.watch import Begun, Changed, Found, Listed, Removed
from webhook.policies.choice import LeftOut
from webhook.sources.cluster_objects import (
    KINDS,
    PREVIOUS_LIMIT,
    PREVIOUS_SECONDS,
    RULES,
    ClusterStore,
)

if TYPE_CHECKING:
    from webhook.sources.cluster_objects import ClusterObjects


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def listed(clock: Clock | None = None, *names: str) -> ClusterStore:
    """Return a store in which all kinds were listed, with some rules."""
    store = ClusterStore(clock=clock or Clock())
    for kind in KINDS:
        store.take(kind, Begun())
        for name in names if kind is RULES else ():
            store.take(kind, Found(stored(name)))
        store.take(kind, Listed())
    return store


def known(objects: ClusterObjects) -> dict[str, int | None]:
    """Return the rules as names and generations."""
    rules = objects.of(RULES)
    assert not isinstance(rules, LeftOut)
    return {each.metadata.name: each.metadata.generation for each in rules}


def test_what_was_created_anew_outlives_the_end_of_what_was_before() -> None:
    """A live read is earlier than the watch, which still brings that the old one was deleted."""
    store = listed(None, "a")
    anew = stored("a")
    anew["metadata"]["uid"] = "another"
    listing = store.listing(RULES)
    listing.add(anew)
    store.replace(listing, live=True)
    store.take(RULES, Removed(stored("a")))
    assert known(store.now) == {"a": 1}
    store.take(RULES, Removed(anew))
    assert known(store.now) == {}


def test_a_state_is_remembered_for_a_while() -> None:
    """The latest first; and not that nothing was listed yet."""
    clock = Clock()
    store = listed(clock, "a")
    assert store.previous() == ()
    store.take(RULES, Changed(stored("b")))
    clock.now = 10
    store.take(RULES, Removed(stored("a")))
    assert known(store.now) == {"b": 1}
    assert [known(each) for each in store.previous()] == [{"a": 1, "b": 1}, {"a": 1}]
    clock.now = PREVIOUS_SECONDS + 1
    assert [known(each) for each in store.previous()] == [{"a": 1, "b": 1}]
    clock.now += PREVIOUS_SECONDS
    assert store.previous() == ()


def test_few_states_are_remembered() -> None:
    """Whoever changes a rule again and again costs no more memory."""
    store = listed(None, "a")
    for generation in range(2, 50):
        store.take(RULES, Changed(stored("a", generation=generation)))
    assert len(store.previous()) == PREVIOUS_LIMIT


def test_what_is_said_again_is_no_change() -> None:
    """A status, or a list after a failure."""
    store = listed(None, "a")
    before = store.now
    store.take(RULES, Changed(stored("a")))
    store.take(RULES, Begun())
    store.take(RULES, Found(stored("a")))
    store.take(RULES, Listed())
    assert store.now is before
    assert store.previous() == ()


def test_a_watch_that_is_late_does_not_undo_a_live_read() -> None:
    """But what was made anew under the name is another object, whatever its generation."""
    store = listed(None, "a")
    live = store.listing(RULES)
    live.add(stored("a", generation=5))
    store.replace(live, live=True)
    store.take(RULES, Changed(stored("a", generation=2)))
    assert known(store.now) == {"a": 5}
    anew = stored("a", generation=1)
    anew["metadata"]["uid"] = "another"
    store.take(RULES, Changed(anew))
    assert known(store.now) == {"a": 1}


def test_a_list_of_a_restored_state_is_right() -> None:
    """Also where it has earlier generations; a live read beside the watch is not."""
    store = listed()
    store.take(RULES, Changed(stored("a", generation=5)))
    live = store.listing(RULES)
    live.add(stored("a", generation=2))
    store.replace(live, live=True)
    assert known(store.now) == {"a": 5}
    store.take(RULES, Begun())
    store.take(RULES, Found(stored("a", generation=2)))
    store.take(RULES, Listed())
    assert known(store.now) == {"a": 2}


def test_an_object_without_a_name_is_none() -> None:
    """The API server keeps no such object."""
    store = listed()
    store.take(RULES, Changed({"metadata": {}, "spec": {}}))
    assert known(store.now) == {}
