"""The manifests' ValidatingAdmissionPolicies, in force inside a block and not after it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.e2e.api_server.admission.serving import ACCOUNT, NAMESPACE, install
from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.webhook_registration import LABEL_KEYS
from tests.e2e.api_server.workloads import vllm_spec
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import Answer, ControlPlane

GROUP = "/apis/admissionregistration.k8s.io/v1"
PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}


@contextmanager
def policies_in_force(control_plane: ControlPlane) -> Iterator[None]:
    """Have the API server obey the policies, for both labels."""
    install(control_plane)
    documents = manifests.of_webhook(manifests.overlay("operator-compat", *PLURALS))
    try:
        control_plane.apply(documents)
        until(lambda: all(_refusals(control_plane)), what="the policies are in force")
        yield
    finally:
        for document in documents:
            plural, name = PLURALS[document["kind"]], document["metadata"]["name"]
            control_plane.call("DELETE", f"{GROUP}/{plural}/{name}")
        until(lambda: not any(_refusals(control_plane)), what="the policies are forgotten")


def denied(answer: Answer, sentence: str) -> None:
    """Assert that one of the policies, and not somebody else, refused in these words."""
    assert answer.status == 403, answer.document
    assert "ValidatingAdmissionPolicy 'model-validation-" in answer.message
    assert sentence in answer.message


def _refusals(control_plane: ControlPlane) -> list[bool]:
    """Tell of each policy and binding on pods whether it refuses."""
    target = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
    answers = []
    for key in LABEL_KEYS:
        metadata = {"name": "probe", "namespace": NAMESPACE, "labels": {key: "true"}}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        spec = vllm_spec(serviceAccountName=ACCOUNT)
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        answers += [control_plane.create(each, dry_run=True) for each in (binding, pod)]
    inside = f"exec?container={GATE_CONTAINER}&command=true"
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/probe/{inside}"
    answers.append(control_plane.call("POST", path))
    return ["denied request" in answer.message for answer in answers]
