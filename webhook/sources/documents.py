"""The documents of files that decide about pods: policies, and what counts beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from validator import contract
from validator.errors import PolicyError
from validator.policy import exemption, trust_root
from validator.policy.cluster_rules.rule import ClusterModelValidation, check_fits
from validator.policy.document import ModelValidation
from validator.policy.exemption import ModelValidationExemption
from validator.policy.trust_root import TrustRoot
from validator.text import quoted
from webhook.policies import cluster_rules, trust_roots
from webhook.policies.choice import BrokenPolicy
from webhook.policies.objects import namespace_options
from webhook.sources.holdings import key
from webhook.sources.store import Store

if TYPE_CHECKING:
    from webhook.policies.cluster_rules import Rule
    from webhook.settings import NamespaceOptions
    from webhook.sources.holdings import Key

KINDS: Final = frozenset(
    {
        ("v1", "Namespace"),
        *(
            (contract.API_VERSION, kind)
            for kind in (contract.KIND, contract.CLUSTER_KIND, trust_root.KIND, exemption.KIND)
        ),
    }
)
"""The versions and kinds of such documents."""


@dataclass(slots=True)
class Documents:
    """What files say, as it is read; the later of two documents of one name counts."""

    policies: list[ModelValidation] = field(default_factory=list)
    namespaces: list[NamespaceOptions] = field(default_factory=list)
    roots: dict[str, TrustRoot] = field(default_factory=dict)
    exemptions: dict[str, ModelValidationExemption] = field(default_factory=dict)
    rules: dict[str, ClusterModelValidation] = field(default_factory=dict)

    def add(self, document: object, *, source: str) -> None:
        """Take a decoded document in: a policy, unless it says another kind.

        Raises:
            PolicyError: It is not what it should be.
        """
        kind = document.get("kind") if isinstance(document, Mapping) else None
        match kind, document:
            case "Namespace", Mapping():
                self.namespaces.append(namespace_options(document, source=source))
            case trust_root.KIND, _:
                root = TrustRoot.from_object(document, source=source)
                self.roots[root.metadata.name] = root
            case exemption.KIND, _:
                made = ModelValidationExemption.from_object(document, source=source)
                self.exemptions[made.metadata.name] = made
            case contract.CLUSTER_KIND, _:
                rule = ClusterModelValidation.from_object(document, source=source)
                check_fits(rule)
                self.rules[rule.metadata.name] = rule
            case _:
                self.policies.append(ModelValidation.from_object(document, source=source))

    def refuse_twins(self) -> None:
        """Refuse two policies of one name that a namespace would see both of.

        Raises:
            PolicyError: There are two.
        """
        seen: dict[str, set[str | None]] = {}
        for policy in self.policies:
            name, namespace = policy.metadata.name, policy.metadata.namespace
            others = seen.setdefault(name, set())
            if others and (namespace is None or None in others or namespace in others):
                raise PolicyError(
                    f"the {contract.KIND} {quoted(name)} is there twice for one namespace: keep one"
                )
            others.add(namespace)

    def resolved(self) -> list[ModelValidation]:
        """Return the policies with the texts of the roots that they name.

        Raises:
            PolicyError: A root is missing, or of another kind than is needed.
        """
        by_key: dict[Key, ModelValidation] = {}
        for policy in self.policies:
            made = trust_roots.resolved(policy, tuple(self.roots.values()))
            if isinstance(made, BrokenPolicy):
                raise PolicyError(f"{policy.reference}: {made.reason}")
            if isinstance(made, ModelValidation):
                by_key[key(made)] = made
        return list(by_key.values())

    def resolved_rules(self) -> list[Rule]:
        """Return the rules with the texts of the roots that they name, else broken."""
        roots = tuple(self.roots.values())
        return [cluster_rules.resolved(rule, roots) for rule in self.rules.values()]

    def fill(self, store: Store) -> None:
        """Have a store know exactly what is here.

        Raises:
            PolicyError: See `resolved`.
        """
        store.replace(self.resolved())
        store.replace_namespaces(self.namespaces)
        store.replace_exemptions(self.exemptions.values())
        store.replace_rules(self.resolved_rules())


def stored(documents: Documents) -> Store:
    """Return a store that knows what is in documents.

    Raises:
        PolicyError: See `Documents.resolved`.
    """
    store = Store()
    documents.fill(store)
    return store
