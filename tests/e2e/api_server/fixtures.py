"""Fixtures for tests on a real API server: two servers a session, a namespace a test.

Under xdist each worker starts its own (4 s, 310 MiB): webhook configurations are the whole
cluster's, so tests that share a server must take turns. Whatever uses it is marked `apiserver`.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.e2e.api_server import building
from tests.e2e.api_server.admission.policies.in_force import policies_in_force
from tests.e2e.api_server.admission.serving import ServingWebhook, in_force, running_webhook
from tests.e2e.api_server.control_plane import ControlPlane
from tests.e2e.api_server.installation.installing import empty_cluster
from tests.e2e.api_server.workloads import policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REQUIRE = "MODEL_VALIDATION_REQUIRE_CLUSTER"
"""Set to 1 in CI: a lane that cannot run is then a failure, not a skip."""


class NamespaceFactory(Protocol):
    """The type of the fixture `namespace`."""

    def __call__(self, labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace, ready for pods, and return its name, which no other has."""


class TeamFactory(Protocol):
    """The type of the fixture `team`."""

    def __call__(self, labels: Mapping[str, str] | None = None, **changes: Any) -> str:
        """Create a namespace with one policy, its fields replaced, and return its name."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests that need the programs."""
    if {"control_plane", "programs"} & set(getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.apiserver)


@pytest.fixture(scope="session")
def helm_is_built() -> None:
    """Helm and kubectl are there, for tests of the chart."""
    _found("helm", "kubectl")


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Prometheus' promtool, for tests of the alerts."""
    return _found("promtool")["promtool"]


@pytest.fixture(scope="session")
def programs() -> dict[str, Path]:
    """etcd, kube-apiserver and kubectl, for tests that start a control plane of their own."""
    return _found(*building.CONTROL_PLANE)


def _found(*names: str) -> dict[str, Path]:
    try:
        return building.find(names)
    except building.ProgramsMissingError as error:
        missing = str(error)
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but: {missing}", pytrace=False)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def second(
    programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """The control plane of `empty`."""
    with empty_cluster(programs, tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="module")
def empty(second: ControlPlane) -> Iterator[ControlPlane]:
    """A second control plane, with nothing of ours in it.

    A module may install, stop the server and take rights away, and takes its own off again:
    the order of modules is random, and what one leaves would be in the way of another.
    """
    found = second.inventory()
    yield second
    left = second.inventory() - found
    assert not left, f"A module left in the control plane: {', '.join(sorted(left))}"


@pytest.fixture(scope="session")
def control_plane(
    programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """The control plane that tests share; it is left as it was found."""
    with ControlPlane(programs, folder=tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[NamespaceFactory]:
    """Make namespaces that are emptied and removed after the test."""
    made: list[str] = []

    def make(labels: Mapping[str, str] | None = None) -> str:
        name = f"test-{secrets.token_hex(5)}"
        control_plane.make_namespace(name, labels=labels)
        made.append(name)
        return name

    yield make
    for name in made:
        control_plane.remove_namespace(name)


@pytest.fixture
def team(control_plane: ControlPlane, namespace: NamespaceFactory) -> TeamFactory:
    """Make namespaces with a policy; the resource definition must be installed."""

    def make(labels: Mapping[str, str] | None = None, **changes: Any) -> str:
        name = namespace(labels)
        control_plane.created(policy(name, **changes))
        return name

    return make


@pytest.fixture(scope="session")
def serving_webhook(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServingWebhook]:
    """Our webhook, watching the shared control plane, which does not ask it yet."""
    with running_webhook(control_plane, tmp_path_factory.mktemp("webhook")) as running:
        yield running


@pytest.fixture(scope="module")
def webhook_in_force(
    control_plane: ControlPlane, serving_webhook: ServingWebhook
) -> Iterator[ServingWebhook]:
    """Our webhook, asked about pods with either label while the module's tests run."""
    with in_force(control_plane, serving_webhook):
        yield serving_webhook


@pytest.fixture(scope="module")
def policies(control_plane: ControlPlane) -> Iterator[None]:
    """The manifests' ValidatingAdmissionPolicies, obeyed while the module's tests run."""
    with policies_in_force(control_plane):
        yield
