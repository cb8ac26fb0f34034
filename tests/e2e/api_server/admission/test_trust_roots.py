"""Roots of trust on a real API server: written, named by policies, renewed and withdrawn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.processes import until
from tests.e2e.api_server.workloads import policy, workload
from validator import contract
from validator.policy.trust_root import PLURAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import NamespaceFactory

COLLECTION = f"/apis/{contract.API_VERSION}/{PLURAL}"
MERGE = "application/merge-patch+json"

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force", "policies")]


def root(name: str, **spec: str) -> Document:
    """Return a root; without `spec`, one that holds a key."""
    return {
        "apiVersion": contract.API_VERSION,
        "kind": "TrustRoot",
        "metadata": {"name": name},
        "spec": spec or {"publicKey": "the first key"},
    }


@pytest.fixture
def here(control_plane: ControlPlane, namespace: NamespaceFactory) -> Iterator[str]:
    """A namespace whose policy names a root, which has the namespace's name and is not there."""
    name = namespace()
    config = {"privateKeyConfig": {"trustRootRef": {"name": name}}}
    control_plane.created(policy(name, config=config))
    yield name
    control_plane.call("DELETE", f"{COLLECTION}/{name}")


def gates_policy(control_plane: ControlPlane, namespace: str) -> Any:
    """Return the policy that a new pod's gate would get; a sentence, where it is refused."""
    answer = control_plane.create(workload("Pod", namespace), dry_run=True)
    if answer.status != 201:
        return answer.message
    (gate,) = answer.document["spec"]["initContainers"]
    return json.loads(gate["env"][0]["value"])


def test_a_root_is_renewed_in_one_place(control_plane: ControlPlane, here: str) -> None:
    """The next pod's gate has its text and generation; without it no pod is admitted."""
    refused = gates_policy(control_plane, here)
    assert f"the TrustRoot '{here}' does not exist: create it, or name another" in refused
    control_plane.created(root(here))
    made = gates_policy(control_plane, here)
    assert made["spec"]["config"] == {"privateKeyConfig": {"publicKey": "the first key"}}
    (origin,) = made["resolved"]["trustRoots"]
    assert (origin["name"], origin["generation"]) == (here, 1)

    change = {"spec": {"publicKey": "the second key"}}
    control_plane.call("PATCH", f"{COLLECTION}/{here}", change, content_type=MERGE)
    until(
        lambda: "the second key" in json.dumps(gates_policy(control_plane, here)),
        what="the renewal reaches new pods",
    )
    assert gates_policy(control_plane, here)["resolved"]["trustRoots"][0]["generation"] == 2

    control_plane.call("DELETE", f"{COLLECTION}/{here}")
    until(
        lambda: "does not exist" in str(gates_policy(control_plane, here)),
        what="pods are refused without it",
    )


def test_a_root_of_another_kind_refuses_the_pod(control_plane: ControlPlane, here: str) -> None:
    """With what it holds, and what is needed."""
    control_plane.created(root(here, certificateAuthorities="PEM"))
    assert "holds certificate authorities (certificateAuthorities), and here it takes a public" in (
        gates_policy(control_plane, here)
    )


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"publicKey": "k", "trustedRoot": "{}"}, "spec holds no root or several: set exactly one"),
        ({"publicKey": ""}, "spec.publicKey"),
        ({"publicKey": "k" * 4097}, "spec.publicKey"),
        ({"other": "k"}, "spec holds no root or several: set exactly one"),
    ],
)
def test_a_root_that_is_none_is_refused_when_it_is_written(
    spec: dict[str, str], said: str, control_plane: ControlPlane, here: str
) -> None:
    """By the API server, with our sentence."""
    answer = control_plane.create(root(here, **spec))
    assert (answer.status, said in answer.message) == (422, True), answer.message


def test_a_policy_names_a_root_or_has_a_text(control_plane: ControlPlane, here: str) -> None:
    """Both, or neither, is refused when it is written."""
    both: Document = {"privateKeyConfig": {"trustRootRef": {"name": "a"}, "publicKey": "k"}}
    neither: Document = {"pkiConfig": {}}
    for config in (both, neither):
        given = policy(here, config=config)
        given["metadata"]["name"] = "another"
        answer = control_plane.create(given)
        assert (answer.status, "trustRootRef" in answer.message) == (422, True)
