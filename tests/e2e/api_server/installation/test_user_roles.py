"""The rights of people: who reads policies, who writes them, and that nobody writes a status."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.admission.serving import install
from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.workloads import policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import NamespaceFactory

ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
MERGE = "application/merge-patch+json"
READS, WRITES = {"read"}, {"read", "create", "change", "delete"}

pytestmark = pytest.mark.apiserver


@pytest.fixture
def role(control_plane: ControlPlane) -> Iterator[str]:
    """The name of a ClusterRole that a test creates, and that is gone after it."""
    name = f"test-{secrets.token_hex(5)}"
    yield name
    control_plane.call("DELETE", f"{ROLES}/{name}")


@pytest.mark.parametrize(
    ("component", "given", "may"),
    [
        (None, "view", READS),
        (None, "edit", READS),
        (None, "admin", READS),
        (None, "model-validation-edit", WRITES),
        ("policies-by-admin", "edit", READS),
        ("policies-by-admin", "admin", WRITES),
        ("policies-by-edit", "view", READS),
        ("policies-by-edit", "edit", WRITES),
        ("policies-by-edit", "admin", WRITES),
    ],
)
def test_who_may_write_policies(  # noqa: PLR0913, PLR0917 — three of them are fixtures
    component: str | None,
    given: str,
    may: set[str],
    control_plane: ControlPlane,
    namespace: NamespaceFactory,
    role: str,
    tmp_path: Path,
) -> None:
    """Those to whom it is bound, or given by a component; a status is nobody's to write."""
    install(control_plane)
    folder = manifests.on_top(tmp_path, components=(component,) if component else ())
    own = [each for each in manifests.built(folder) if each["kind"] == "ClusterRole"]
    there, user = namespace(), f"user-{role}"
    _bind(control_plane, role, _rules(control_plane, given, own), namespace=there, user=user)
    assert _allowed(control_plane, there, user) == may


@pytest.mark.parametrize(
    "kind", ["ClusterModelValidation", "TrustRoot", "ModelValidationExemption"]
)
def test_a_namespaces_admin_writes_nothing_of_the_whole_cluster(
    kind: str, control_plane: ControlPlane, namespace: NamespaceFactory, role: str
) -> None:
    """Whatever a RoleBinding gives: all rights on all resources are those of the namespace."""
    install(control_plane)
    there, user = namespace(), f"user-{role}"
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    _bind(control_plane, role, everything, namespace=there, user=user)
    answer = control_plane.create(
        {
            "apiVersion": "rhtas.redhat.com/v1alpha1",
            "kind": kind,
            "metadata": {"name": role},
            "spec": {},
        },
        user=user,
    )
    assert answer.status == 403


def _allowed(control_plane: ControlPlane, namespace: str, user: str) -> set[str]:
    """Return what a user succeeds in with the policies of a namespace."""
    collection = f"/apis/rhtas.redhat.com/v1alpha1/namespaces/{namespace}/modelvalidations"
    control_plane.created(policy(namespace))
    (stored,) = control_plane.call("GET", collection).document["items"]
    one, new = f"{collection}/{stored['metadata']['name']}", policy(namespace)
    new["metadata"]["name"] = "another"
    answers = {
        "read": control_plane.call("GET", collection, user=user),
        "create": control_plane.create(new, user=user),
        "change": control_plane.call(
            "PATCH", one, {"spec": {"mode": "Audit"}}, content_type=MERGE, user=user
        ),
        "write the status": control_plane.call(
            "PATCH", f"{one}/status", {"status": {}}, content_type=MERGE, user=user
        ),
        "delete": control_plane.call("DELETE", one, user=user),
    }
    assert {each.status for each in answers.values()} <= {200, 201, 403}, answers
    return {what for what, answer in answers.items() if answer.status in {200, 201}}


def _rules(control_plane: ControlPlane, name: str, own: list[Document]) -> list[Document]:
    """Return the rules that the controller of aggregated roles would write, which is not here."""
    found = control_plane.call("GET", ROLES).document["items"]
    roles = {each["metadata"]["name"]: each for each in (*found, *own)}
    selectors = (roles[name].get("aggregationRule") or {}).get("clusterRoleSelectors")
    if not selectors:
        return [*roles[name]["rules"]]
    return [
        rule
        for other, each in roles.items()
        for selector in selectors
        if selector["matchLabels"].items() <= (each["metadata"].get("labels") or {}).items()
        for rule in _rules(control_plane, other, own)
    ]


def _bind(
    control_plane: ControlPlane, role: str, rules: list[Document], *, namespace: str, user: str
) -> None:
    group = "rbac.authorization.k8s.io"
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": role}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": namespace},
        "roleRef": reference,
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
    made = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": role}}
    control_plane.created({**made, "rules": rules})
    control_plane.created(binding)
