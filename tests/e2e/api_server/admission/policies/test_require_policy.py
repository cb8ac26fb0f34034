"""Namespaces in which each pod must be labelled, and who may create the debug pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.admission.policies.in_force import denied
from tests.e2e.api_server.admission.serving import GATE_IMAGE
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.workloads import KINDS, pod_of, vllm_spec, workload
from validator.contract import GATE_CONTAINER, OPERATOR_LABEL

if TYPE_CHECKING:
    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import NamespaceFactory

REQUIRE = {"validation.rhtas.redhat.com/require": "true"}
SENTENCE = "in this namespace each pod needs the label"
DEBUG = "model-validation-debug"
EDITOR, SIGNER = "erin", "sam"
RBAC = "rbac.authorization.k8s.io"
CREATE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("policies")]


@pytest.fixture
def strict(control_plane: ControlPlane, namespace: NamespaceFactory) -> str:
    """A namespace that demands the label, with an editor, and one who may sign models as well."""
    name = namespace(REQUIRE)
    use = CREATE | {"resources": ["serviceaccounts"], "resourceNames": [DEBUG], "verbs": ["use"]}
    _prepare(control_plane, name, {EDITOR: [CREATE], SIGNER: [CREATE, use]})
    return name


def _prepare(control_plane: ControlPlane, namespace: str, rules: dict[str, list[Document]]) -> None:
    """Make the debug pod's account and the users' roles; return when all of it is obeyed."""
    account = {"name": DEBUG, "namespace": namespace}
    documents: list[Document] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}
    ]
    for user, allowed in rules.items():
        metadata = {"name": user, "namespace": namespace}
        role = {"apiGroup": RBAC, "kind": "Role", "name": user}
        subjects = [{"apiGroup": RBAC, "kind": "User", "name": user}]
        version = {"apiVersion": f"{RBAC}/v1", "metadata": metadata}
        documents.append(version | {"kind": "Role", "rules": allowed})
        documents.append(version | {"kind": "RoleBinding", "roleRef": role, "subjects": subjects})
    control_plane.apply(documents)

    def obeyed() -> bool:
        answers = [control_plane.create(pod(namespace), dry_run=True, user=user) for user in rules]
        return all(SENTENCE in answer.message for answer in answers)

    until(obeyed, what="the namespace's label and its roles are known")


def pod(namespace: str, account: str = "default", **labels: str) -> Document:
    """Return a pod with labels, and with a gate as the webhook would have left it."""
    gate = {"name": GATE_CONTAINER, "image": GATE_IMAGE}
    spec = vllm_spec(initContainers=[gate], serviceAccountName=account)
    made = workload("Pod", namespace, label=None, spec=spec)
    made["metadata"]["labels"] |= labels
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_no_workload_gets_pods_without_the_label(
    kind: str, control_plane: ControlPlane, strict: str
) -> None:
    """This holds for all creators, controllers and admins included."""
    made = workload(kind, strict, label=None)
    if kind != "Pod":
        made = pod_of(control_plane.created(made))
    denied(control_plane.create(made), SENTENCE)


@pytest.mark.parametrize("key", ["validation.rhtas.redhat.com/ml", OPERATOR_LABEL])
def test_pods_with_the_label_pass(key: str, control_plane: ControlPlane, strict: str) -> None:
    """By either key, with the component for the Go operator's users."""
    made = pod(strict, **{key: "true"})
    assert control_plane.create(made, user=EDITOR).status == 201


def test_the_debug_pod_of_who_may_use_its_account(control_plane: ControlPlane, strict: str) -> None:
    """An authorised person's pod needs no label, if it has that ServiceAccount."""
    assert control_plane.create(pod(strict, DEBUG), dry_run=True, user=SIGNER).status == 201
    denied(control_plane.create(pod(strict), user=SIGNER), SENTENCE)


@pytest.mark.parametrize(
    "user", [EDITOR, "system:serviceaccount:kube-system:replicaset-controller"]
)
def test_a_pods_author_cannot_exempt_it(
    user: str, control_plane: ControlPlane, strict: str
) -> None:
    """The ServiceAccount's name alone opens nothing, not by way of a controller either."""
    denied(control_plane.create(pod(strict, DEBUG), user=user), SENTENCE)


def test_a_right_elsewhere_opens_nothing_here(
    control_plane: ControlPlane, strict: str, namespace: NamespaceFactory
) -> None:
    """The right to use the account in one namespace does not hold in another."""
    other = namespace(REQUIRE)
    _prepare(control_plane, other, {SIGNER: [CREATE]})
    assert control_plane.create(pod(strict, DEBUG), dry_run=True, user=SIGNER).status == 201
    denied(control_plane.create(pod(other, DEBUG), user=SIGNER), SENTENCE)


def test_no_role_that_kubernetes_brings_may_use_the_account(control_plane: ControlPlane) -> None:
    """But cluster-admin: editors and admins of a namespace cannot exempt pods."""
    path = f"/apis/{RBAC}/v1/clusterroles"
    allowed = {
        role["metadata"]["name"]
        for role in control_plane.call("GET", path).document["items"]
        for rule in role.get("rules") or ()
        if {"*", "use"} & set(rule["verbs"])
        and {"*", "serviceaccounts"} & set(rule.get("resources", ()))
    }
    assert allowed == {"cluster-admin"}


def test_other_namespaces_demand_nothing(
    control_plane: ControlPlane, namespace: NamespaceFactory
) -> None:
    """Without the label on the namespace, or with another value, pods are free."""
    for labels in ({}, {"validation.rhtas.redhat.com/require": "false"}):
        answer = control_plane.create(workload("Pod", namespace(labels), label=None))
        assert answer.status == 201, answer.message
