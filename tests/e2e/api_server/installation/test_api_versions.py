"""The plan for the API's next version (decision 0057), with a definition that has both."""

from __future__ import annotations

import http.client
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.installation.installing import wait_until_gone
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.workloads import policy
from validator.policy.crd import definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import ControlPlane

OLD, NEW = "v1alpha1", "v1beta1"
NAME = "modelvalidations.rhtas.redhat.com"
CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAME}"
MERGE = "application/merge-patch+json"
SPACE = "versions"

pytestmark = pytest.mark.apiserver


def both(*, stored: str) -> dict[str, Any]:
    """Return the definition as releases A (which stores the old one) and B would ship it."""
    made = definition()
    (old,) = made["spec"]["versions"]
    new = deepcopy(old) | {"name": NEW}
    made["spec"]["versions"] = [
        each
        | {"storage": each["name"] == stored}
        | ({"deprecated": True} if (each["name"], stored) == (OLD, NEW) else {})
        for each in (new, old)
    ]
    made["spec"]["conversion"] = {"strategy": "None"}
    return made


@pytest.fixture
def cluster(empty: ControlPlane) -> Iterator[ControlPlane]:
    """A control plane with this release's definition, which is gone after the test."""
    empty.apply([definition()])
    empty.make_namespace(SPACE)
    yield empty
    empty.remove_namespace(SPACE)
    empty.call("DELETE", CRD)
    wait_until_gone(empty, lambda: empty.call("GET", CRD).status == http.client.NOT_FOUND)


def test_the_next_version_is_served_stored_and_left_alone(cluster: ControlPlane) -> None:
    """No field is lost on the way, a rollback is possible until it is said that it is not."""
    written = policy(SPACE, mode="Audit", workload={"arguments": "Check"})
    before = cluster.created(written)["spec"]

    _put(cluster, both(stored=OLD))
    assert _read(cluster, NEW)["spec"] == _read(cluster, OLD)["spec"] == before
    _put(cluster, definition())  # from release A back to this one
    _put(cluster, both(stored=OLD))

    _put(cluster, both(stored=NEW))
    until(lambda: bool(_served(cluster, OLD).warnings), what="it warns of the old", seconds=60)
    (warning,) = _served(cluster, OLD).warnings
    assert f"{OLD} ModelValidation is deprecated; use rhtas.redhat.com/{NEW}" in warning
    assert cluster.call("GET", CRD).document["status"]["storedVersions"] == [OLD, NEW]
    _put(cluster, both(stored=OLD))  # from release B back to A
    _put(cluster, both(stored=NEW))

    alone = both(stored=NEW)
    alone["spec"]["versions"] = [alone["spec"]["versions"][0]]
    refused = _try(cluster, alone)
    assert (refused.status, "status.storedVersions" in refused.message) == (422, True)

    listed = cluster.kubectl("get", "modelvalidations", "--all-namespaces", "-o", "json").stdout
    cluster.kubectl("replace", "-f", "-", given=listed)
    patch = {"status": {"storedVersions": [NEW]}}
    assert cluster.call("PATCH", f"{CRD}/status", patch, content_type=MERGE).status == 200
    refused = _try(cluster, definition())  # to a release from before A
    assert (refused.status, "status.storedVersions" in refused.message) == (422, True)
    _put(cluster, alone)
    assert _read(cluster, NEW)["spec"] == before


def _try(cluster: ControlPlane, wanted: dict[str, Any]) -> Any:
    found = cluster.call("GET", CRD).document
    found["spec"] = wanted["spec"]
    return cluster.call("PUT", CRD, found)


def _put(cluster: ControlPlane, wanted: dict[str, Any]) -> None:
    """Apply a definition, and wait until its versions are served."""
    answer = _try(cluster, wanted)
    assert answer.status == 200, answer.message
    names = {each["name"] for each in wanted["spec"]["versions"]}
    until(
        lambda: {each for each in (OLD, NEW) if _served(cluster, each).status == 200} == names,
        what=f"{', '.join(sorted(names))} and no other version is served",
        seconds=60,
    )


def _served(cluster: ControlPlane, version: str) -> Any:
    path = f"/apis/rhtas.redhat.com/{version}/namespaces/{SPACE}/modelvalidations/granite"
    return cluster.call("GET", path)


def _read(cluster: ControlPlane, version: str) -> dict[str, Any]:
    """Return the policy, as a version has it."""
    answer = _served(cluster, version)
    assert answer.document["apiVersion"] == f"rhtas.redhat.com/{version}"
    found: dict[str, Any] = answer.document
    return found
