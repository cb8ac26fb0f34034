"""Fixtures of the scenarios: the cluster that they join, namespaces and models in it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.e2e.node.cluster import JOIN, NEW, Cluster
from tests.e2e.node.models import ModelStore
from tests.e2e.node.running import running_cluster, running_node

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.node.node import Node

DISTURBED = frozenset({"own_cluster", "bare_cluster"})
"""Fixtures of tests that disturb a cluster, and so have their own."""


class StoreFactory(Protocol):
    """The type of the fixture `store`."""

    def __call__(self) -> ModelStore:
        """Make a signed model in a folder of the node."""


class SpaceFactory(Protocol):
    """The type of the fixture `space`."""

    def __call__(
        self,
        store: ModelStore | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        **policy: Any,
    ) -> str:
        """Make a namespace; with a store, its claim `granite` and a policy for its signer."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests that need a real node."""
    fixtures = set(getattr(item, "fixturenames", ()))
    if {"cluster", *DISTURBED} & fixtures:
        item.add_marker(pytest.mark.node)
    if DISTURBED & fixtures:
        item.add_marker(pytest.mark.disruptive)


@pytest.fixture(scope="session")
def own_cluster() -> Iterator[tuple[Cluster, Node]]:
    """A cluster of its own and its node, for tests that disturb them."""
    _skip_unless_new()
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def bare_cluster() -> Iterator[tuple[Cluster, Node]]:
    """A cluster of the module's own and its node, with nothing of ours in it."""
    _skip_unless_new()
    with running_node() as running:
        yield running


def _skip_unless_new() -> None:
    if os.environ.get(JOIN) != NEW:
        pytest.skip(f"needs a cluster of its own: run `make e2e`, or set {JOIN}={NEW}")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The cluster that all share, with the webhook installed."""
    named = os.environ.get(JOIN)
    if named is None:
        pytest.skip(f"needs a cluster with a real node: run `make e2e`, or set {JOIN}")
    if named == NEW:
        own, _ = request.getfixturevalue("own_cluster")
        assert isinstance(own, Cluster)
        return own
    return Cluster.join(Path(named))


@pytest.fixture(scope="session")
def node(own_cluster: tuple[Cluster, Node]) -> Node:
    """The node itself, whose programs and containers can be stopped."""
    return own_cluster[1]


@pytest.fixture
def store(cluster: Cluster) -> StoreFactory:
    """Make signed models on the node's disk; they go with the cluster."""

    def make() -> ModelStore:
        return ModelStore.new(cluster.folder / "models" / secrets.token_hex(4))

    return make


@pytest.fixture
def space(cluster: Cluster) -> Iterator[SpaceFactory]:
    """Make namespaces that are removed after the test, with all that is in them."""
    made: list[str] = []

    def make(
        store: ModelStore | None = None, *, labels: Mapping[str, str] | None = None, **policy: Any
    ) -> str:
        name = cluster.namespace(labels)
        made.append(name)
        if store is not None:
            cluster.claim(name, store.folder)
            cluster.api.created(store.policy(name, **policy))
        return name

    yield make
    for name in made:
        cluster.remove_namespace(name)
