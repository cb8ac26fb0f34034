"""Pods with the gate of the real webhook and the report of the real gate, as a kubelet has them."""

from __future__ import annotations

import uuid
from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.support import pods, policies
from validator import contract
from validator.bundle import Method
from validator.cli import injected
from validator.policy.cluster_rules.resolved import ResolvedPolicy
from validator.policy.document import ModelValidation
from validator.policy.exemption import ModelValidationExemption
from validator.report import Report, Verdict, termination_message
from validator.signatures import ProvenSigner
from webhook.admission.mutation import mutate
from webhook.admission.pod import Manifest
from webhook.observe.pod.verdict import Observed, observed
from webhook.observe.pod.wire import Pod
from webhook.settings import NamespaceOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

Document = dict[str, Any]

IMAGE: Final = pods.IMAGE
DIGEST: Final = "ab" * 32
SIGNER: Final = ProvenSigner(
    method=Method.SIGSTORE,
    identity="alice@models.corp",
    issuer="https://issuer.corp",
    log_index=42,
    signed_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
)
AT: Final = "2026-11-28T20:00:00Z"
EXPIRES: Final = "2026-12-24T00:00:00Z"


def stored_policy(
    name: str = "granite", *, namespace: str = "team", uid: str = "", **changes: Any
) -> Document:
    """Return a policy as the API server stores it."""
    metadata = {"uid": uid or f"uid-of-{name}", "generation": 3}
    return policies.policy_document(name, namespace=namespace, metadata=metadata, **changes)


def gated(
    name: str = "llm", *, policy: Document | ModelValidation | None = None, **metadata: Any
) -> Document:
    """Return a pod as the webhook has made it and the API server has stored it.

    Args:
        name: Of the pod.
        policy: Of the gate; it says the namespace, too, if it is not the cluster's.
        metadata: Further metadata.
    """
    chosen = policy or stored_policy()
    if not isinstance(chosen, ModelValidation):
        chosen = ModelValidation.from_object(chosen, source="test")
    namespace = chosen.metadata.namespace or "team"
    given = pods.pod()
    given["metadata"] |= {"name": name, "namespace": namespace}
    made = mutate(
        Manifest(raw=given),
        chosen,
        gate=pods.SETTINGS,
        namespace=NamespaceOptions(name=namespace),
    ).pod
    stored = deepcopy(made)
    uid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{namespace}/{name}"))
    stored["metadata"] |= {"uid": uid} | metadata
    return stored


def verified(path: str = pods.MODEL, **changes: Any) -> Report:
    """Return the report on a model that holds."""
    fields: Document = {"signer": SIGNER, "digest": DIGEST, "files": 3, "bytes": 9}
    return Report(verdict=Verdict.VERIFIED, model=path, **(fields | changes))


def refused(path: str = pods.MODEL, *, code: str = "OtherSigner", reason: str = "no") -> Report:
    """Return the report on a model that does not."""
    return Report(verdict=Verdict.REFUSED, model=path, code=code, reason=reason)


def message(pod: Document, *reports: Report) -> str:
    """Return the termination message that the gate of a pod leaves."""
    gate = pods.gate_of(pod)
    text = next(e["value"] for e in gate["env"] if e["name"] == contract.POLICY_VARIABLE)
    context = injected.context(ResolvedPolicy.from_environment(text))
    context["traceId"] = pod["metadata"]["uid"].replace("-", "")
    return termination_message(reports, context=context).decode()


def ended(
    pod: Document,
    reports: Sequence[Report] = (),
    *,
    code: int = 0,
    text: str | None = None,
    at: str = AT,
) -> Document:
    """Return the pod after its gate has ended, as its kubelet says it.

    Args:
        pod: The pod.
        reports: On its models.
        code: The gate's exit code.
        text: The termination message, in place of the reports'.
        at: When it ended.
    """
    terminated = {
        "exitCode": code,
        "reason": "Completed" if code == 0 else "Error",
        "message": message(pod, *reports) if text is None else text,
        "finishedAt": at,
    }
    state = {"name": contract.GATE_CONTAINER, "ready": True, "state": {"terminated": terminated}}
    return pod | {"status": {"phase": "Running", "initContainerStatuses": [state]}}


def with_monitor(pod: Document, *, ready: bool) -> Document:
    """Return the pod with what its kubelet says of the monitor."""
    state = {"name": contract.MONITOR_CONTAINER, "ready": ready, "state": {"running": {}}}
    said = [*pod["status"]["initContainerStatuses"], state]
    return pod | {"status": pod["status"] | {"initContainerStatuses": said}}


def seen(pod: Document) -> Observed:
    """Return what the observer holds of a pod."""
    return observed(msgspec.convert(pod, Pod), images=(IMAGE,))


def exempted(policy: Document) -> ModelValidation:
    """Return a policy as it holds for a workload that is exempt."""
    exemption = {
        "apiVersion": contract.API_VERSION,
        "kind": "ModelValidationExemption",
        "metadata": {"name": "until-signed"},
        "spec": {
            "namespace": "team",
            "workload": {"kind": "Pod", "name": "llm"},
            "images": [f"sha256:{DIGEST}"],
            "expires": EXPIRES,
            "requestedBy": "jane@models.corp",
            "reason": "the signer is down",
        },
    }
    chosen = ModelValidation.from_object(policy, source="test")
    return ModelValidationExemption.from_object(exemption, source="test").applied_to(chosen)
