"""The one ClusterModelValidation of the tests, to be changed in the place that a test is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.policies import KEY
from validator import contract
from validator.policy.cluster_rules.rule import ClusterModelValidation

if TYPE_CHECKING:
    from tests.support.policies import Document


def rule_document(
    name: str = "company", *, metadata: Document | None = None, **spec: Any
) -> Document:
    """Return a rule as people write it: for all namespaces, with a key that is inline.

    Args:
        name: Its name.
        metadata: Further metadata.
        spec: Further fields of the specification, or others in their place.
    """
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.CLUSTER_KIND,
        "metadata": {"name": name} | (metadata or {}),
        "spec": {"config": {"privateKeyConfig": {"publicKey": KEY}}} | spec,
    }


def rule(name: str = "company", *, metadata: Document | None = None, **spec: Any) -> Any:
    """Return the rule itself."""
    document = rule_document(name, metadata=metadata, **spec)
    return ClusterModelValidation.from_object(document, source="rule.yaml")


def stored(name: str = "company", *, generation: int = 1, **spec: Any) -> Document:
    """Return a rule as the API server has it."""
    metadata = {"uid": f"uid-of-{name}", "generation": generation, "managedFields": []}
    return rule_document(name, metadata=metadata, **spec)
