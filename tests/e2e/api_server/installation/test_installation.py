"""The objects that each overlay creates on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.installation.installing import NAMESPACE, installed, stored
from tests.e2e.api_server.processes import until
from validator.policy.crd import DEFINITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import ControlPlane

Right = tuple[tuple[str, ...], ...]
"""API groups, resources, names (none: all of them) and verbs of a rule."""

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def cluster(empty: ControlPlane) -> ControlPlane:
    """A control plane with nothing of ours in it."""
    return empty


@pytest.fixture(scope="module", params=manifests.OVERLAYS)
def overlay(cluster: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an overlay that is installed, for tests that only look."""
    name: str = request.param
    with installed(cluster, manifests.overlay_folder(name)) as complaints:
        assert complaints == ""
        yield name


def test_one_apply_is_the_whole_installation(overlay: str, cluster: ControlPlane) -> None:
    """On an empty cluster, with nothing to wait for in between, and without a warning."""
    found = stored(cluster, manifests.overlay_folder(overlay))
    assert len(found) == len(manifests.overlay(overlay))


def test_our_own_pods_pass_our_own_namespace(overlay: str, cluster: ControlPlane) -> None:
    """Pod Security restricted lets them in; ServiceAccount and priority class are there."""
    for deployment in manifests.overlay(overlay, "Deployment"):
        template = deployment["spec"]["template"]
        template["metadata"] |= {"name": "probe", "namespace": NAMESPACE}
        answer = cluster.create({"apiVersion": "v1", "kind": "Pod", **template}, dry_run=True)
        assert (answer.status, answer.message, answer.warnings) == (201, "", ())


def test_the_webhook_may_read_what_it_needs_and_nothing_else(
    overlay: str, cluster: ControlPlane
) -> None:
    """Compared with an account without rights."""
    del overlay
    everywhere: set[Right] = {
        (("rhtas.redhat.com",), tuple(sorted(DEFINITIONS)), (), ("list", "watch")),
        (("",), ("namespaces",), (), ("get", "list", "watch")),
    }

    def given(namespace: str) -> set[Right]:
        ours = rights(cluster, "model-validation-webhook", namespace)
        return ours - rights(cluster, "nobody", namespace)

    until(lambda: given("default") == everywhere, what="the roles are known")
    for namespace in (NAMESPACE, "kube-system"):
        assert given(namespace) == everywhere


def rights(cluster: ControlPlane, account: str, namespace: str) -> set[Right]:
    """Return what a ServiceAccount of ours may do in a namespace."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    user = f"system:serviceaccount:{NAMESPACE}:{account}"
    status = cluster.call("POST", path, review, user=user).document["status"]
    assert not status["incomplete"]
    fields = ("apiGroups", "resources", "resourceNames", "verbs")
    return {
        tuple(tuple(sorted(rule.get(field, ()))) for field in fields)
        for rule in status["resourceRules"]
    }
