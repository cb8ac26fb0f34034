"""Rules of the cluster on a real API server: one beats a lax namespace, whoever writes there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.admission.test_trust_roots import COLLECTION as ROOTS
from tests.e2e.api_server.admission.test_trust_roots import root
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.workloads import MODEL, policy, workload
from tests.support.cluster_rules import rule_document
from validator import contract
from validator.policy.cluster_rules.namespace_selector import NAME_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.api_server.control_plane import Answer, ControlPlane
    from tests.e2e.api_server.fixtures import NamespaceFactory

COLLECTION = f"/apis/{contract.API_VERSION}/{contract.CLUSTER_PLURAL}"
MERGE = "application/merge-patch+json"
COMPANY = {"privateKeyConfig": {"publicKey": "the company's key"}}
LAX: dict[str, Any] = {"mode": "Audit", "allowPrivileged": True}

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force", "policies")]


@pytest.fixture
def here(namespace: NamespaceFactory) -> str:
    """A namespace with a label that no other has."""
    return namespace({"tests.example/rules": "hold"})


@pytest.fixture
def ruled(control_plane: ControlPlane, here: str) -> Iterator[Callable[..., None]]:
    """Write the rule that holds in that namespace alone."""

    def write(**spec: Any) -> None:
        demand = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [here]}
        labels = {"tests.example/rules": "hold"}
        selector = {"matchLabels": labels, "matchExpressions": [demand]}
        document = rule_document(here, namespaceSelector=selector, **{"config": COMPANY} | spec)
        control_plane.created(document)

    yield write
    control_plane.call("DELETE", f"{COLLECTION}/{here}")


def tried(control_plane: ControlPlane, namespace: str) -> Answer:
    """Create a pod, without storing it."""
    return control_plane.create(workload("Pod", namespace), dry_run=True)


def in_gate(answer: Answer) -> Any:
    """Return the document that a pod's gate gets."""
    assert answer.status == 201, answer.message
    (gate,) = answer.document["spec"]["initContainers"]
    return json.loads(gate["env"][0]["value"])


def demands(answer: Answer) -> list[str]:
    """Return the rules that a pod's gate keeps to; nothing, where there is no gate."""
    return [each["rule"] for each in in_gate(answer).get("alsoRequired", ())]


def test_a_rule_beats_a_lax_namespace(
    control_plane: ControlPlane, here: str, ruled: Callable[..., None]
) -> None:
    """Audit becomes Enforce, and the signature must be the company's as well."""
    control_plane.created(policy(here, **LAX))
    assert in_gate(tried(control_plane, here))["spec"]["mode"] == "Audit"
    ruled()
    until(lambda: demands(tried(control_plane, here)) == [here], what="the rule holds")
    made = in_gate(tried(control_plane, here))
    # Both have their defaults again, Enforce and false, which are left out.
    assert not {"mode", "allowPrivileged"} & made["spec"].keys()
    assert made["alsoRequired"][0]["config"] == COMPANY


def test_what_the_namespaces_users_write_changes_nothing(
    control_plane: ControlPlane, here: str, ruled: Callable[..., None]
) -> None:
    """Neither a laxer policy, nor fields that only the webhook writes."""
    ruled()
    document = policy(here, **LAX) | {"alsoRequired": [], "ofCluster": True}
    stored = control_plane.created(document)
    assert not {"alsoRequired", "ofCluster"} & stored.keys()
    until(lambda: demands(tried(control_plane, here)) == [here], what="the rule holds")


def test_a_label_of_the_namespace_takes_it_out(
    control_plane: ControlPlane, here: str, ruled: Callable[..., None]
) -> None:
    """Which belongs to the cluster's admin; and back in."""
    ruled()
    control_plane.created(policy(here))
    until(lambda: demands(tried(control_plane, here)) == [here], what="the rule holds")
    for label, held in ((None, []), ("hold", [here])):
        change = {"metadata": {"labels": {"tests.example/rules": label}}}
        path = f"/api/v1/namespaces/{here}"
        control_plane.call("PATCH", path, change, content_type=MERGE)
        until(lambda: demands(tried(control_plane, here)) == held, what="labels are followed")  # noqa: B023 — awaited here


def test_a_namespace_without_a_policy_is_the_clusters_to_serve(
    control_plane: ControlPlane, here: str, ruled: Callable[..., None]
) -> None:
    """Refused without a rule that does, served by one that does."""
    assert "has no ModelValidation" in tried(control_plane, here).message
    ruled(default=True, model={"path": MODEL})
    until(lambda: tried(control_plane, here).status == 201, what="the rule serves")
    made = in_gate(tried(control_plane, here))
    assert (made["ofCluster"], made["metadata"]["name"]) == (True, here)


def test_a_rule_with_a_root_serves_beside_a_list_of_roots(
    control_plane: ControlPlane, here: str, ruled: Callable[..., None]
) -> None:
    """One names a TrustRoot and serves; another, which lists roots, is content with it."""
    named = {"privateKeyConfig": {"trustRootRef": {"name": here}}}
    selector = {"matchLabels": {NAME_LABEL: here}}
    listing = rule_document(f"{here}-list", namespaceSelector=selector, trustRoots=[here])
    control_plane.created(root(here))
    control_plane.created(listing)
    try:
        ruled(default=True, model={"path": MODEL}, config=named)
        until(lambda: tried(control_plane, here).status == 201, what="the rule serves")
        answer = tried(control_plane, here)
        assert demands(answer) == [f"{here}-list"]
        (origin,) = in_gate(answer)["resolved"]["trustRoots"]
        assert origin["name"] == here
        privileged = workload("Pod", here)
        privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True}
        assert control_plane.create(privileged, dry_run=True).message.endswith(
            "have the cluster's admin set allowPrivileged in the ClusterModelValidations "
            f"'{here}' and '{here}-list'"
        )
    finally:
        control_plane.call("DELETE", f"{COLLECTION}/{here}-list")
        control_plane.call("DELETE", f"{ROOTS}/{here}")


def test_strict_is_the_rules_to_demand(
    control_plane: ControlPlane, here: str, ruled: Callable[..., None]
) -> None:
    """A pod that Check admits is refused, with the images of the rule."""
    control_plane.created(policy(here))
    assert tried(control_plane, here).status == 201
    image = f"docker.io/vllm/vllm-openai@sha256:{'0' * 64}"
    ruled(workload={"arguments": "Strict", "images": [image]})
    until(lambda: tried(control_plane, here).status == 403, what="the rule holds")
    assert "is not named by its digest" in tried(control_plane, here).message
