"""The mark of a pod whose policy is in Audit, for the API server's own policies.

They cannot read a ModelValidation, and refuse what stops nothing under Audit. The webhook alone
decides who bears the mark: it is written, and taken away, at each creation (decision 0020). A pod
that is under Audit by an exemption bears its name, too, for people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from validator import contract

if TYPE_CHECKING:
    from validator.policy.document import ModelValidation

_MARKS: Final = (contract.AUDIT_ANNOTATION, contract.EXEMPTION_ANNOTATION)


def marked(pod: Any, policy: ModelValidation) -> Any:
    """Return the pod with the marks under Audit, and without them under Enforce.

    Args:
        pod: Any value; one that is no pod, as far as the annotations tell, stays as it is.
        policy: The pod's policy.
    """
    metadata = pod.get("metadata") if isinstance(pod, dict) else ()
    metadata = {} if metadata is None else metadata
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    annotations = {} if annotations is None else annotations
    if not isinstance(metadata, dict) or not isinstance(annotations, dict):
        return pod
    kept = {key: text for key, text in annotations.items() if key not in _MARKS}
    if policy.spec.mode == "Audit":
        kept[contract.AUDIT_ANNOTATION] = policy.metadata.name
        if policy.resolved is not None and policy.resolved.exemption is not None:
            kept[contract.EXEMPTION_ANNOTATION] = policy.resolved.exemption.name
    if kept == annotations:
        return pod
    return {**pod, "metadata": {**metadata, "annotations": kept}}
