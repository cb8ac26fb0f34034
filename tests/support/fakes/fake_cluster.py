"""The other side of a reviewer: a cluster with the namespace `models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.policies import policy_document
from validator.policy.document import ModelValidation
from webhook.errors import NotReady
from webhook.settings import NamespaceOptions
from webhook.sources.store import Store

if TYPE_CHECKING:
    from validator.policy.exemption import ModelValidationExemption
    from webhook.policies.choice import LeftOut, Policy
    from webhook.policies.cluster_rules import Rules
    from webhook.settings import Version


class FakeCluster:
    """The known part of a cluster, and the policies that a live read finds; None if it fails."""

    def __init__(self, *, gate_images: tuple[str, ...] = ()) -> None:
        self.known = Store()
        self.ready = True
        self.stale = False
        self.live_reads = 0
        self.live: list[Policy] | None = []
        self.live_namespaces: list[NamespaceOptions] = []
        self.live_gate_images = gate_images
        self.gate_images = gate_images
        self.server: Version | None = None
        self.known_rules: Rules = ()
        self.earlier: tuple[Rules, ...] = ()
        self.live_rules: Rules | None = None
        self.known.put_namespace(NamespaceOptions(name="models"))

    def policies(self, namespace: str) -> tuple[Policy | LeftOut, ...]:
        """Return what is known for a namespace."""
        return self.known.policies(namespace)

    def namespace(self, name: str) -> NamespaceOptions | None:
        """Return a namespace's options."""
        return self.known.namespace(name)

    def previous(self, policy: ModelValidation) -> tuple[ModelValidation, ...]:
        """Return what a policy said before."""
        return self.known.previous(policy)

    def exemptions(self, namespace: str) -> tuple[ModelValidationExemption, ...]:
        """Return the exemptions of a namespace's pods."""
        return self.known.exemptions(namespace)

    def rules(self, _namespace: str) -> Rules:
        """Return the rules that are known."""
        return self.known_rules

    def earlier_rules(self, _namespace: str) -> tuple[Rules, ...]:
        """Return the rules as they were."""
        return self.earlier

    async def refresh(self, namespace: str) -> None:
        """Take over what there is, or fail as the cluster's source does."""
        self.live_reads += 1
        if self.live is None:
            raise NotReady("the API server is away")
        self.known.replace(self.live, namespace=namespace)
        self.gate_images = self.live_gate_images
        if self.live_rules is not None:
            self.known_rules = self.live_rules
        for options in self.live_namespaces:
            self.known.put_namespace(options)

    async def run(self) -> None:
        """Nothing to follow."""


def stored_policy(
    name: str = "granite",
    *,
    generation: int = 1,
    key: str = "PEM",
    model: dict[str, Any] | None = None,
    **spec: Any,
) -> ModelValidation:
    """Return a policy of that namespace, as the API server stores it, which adds its volume."""
    document = policy_document(
        name,
        namespace="models",
        metadata={"uid": "u", "generation": generation},
        model=model or {"volume": {"persistentVolumeClaim": {"claimName": "models"}}},
        config={"privateKeyConfig": {"publicKey": key}},
        **spec,
    )
    return ModelValidation.from_object(document, source="test")
