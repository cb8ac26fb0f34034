"""The policy as a gate gets it, where rules of the cluster hold beside it.

One document for the gate's environment variable, and no other carrier: a `ModelValidation` with
what the rules demand beside it is refused from a file and from the API server, since its type does
not have the field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from validator import contract
from validator.policy.cluster_rules.settled import settled
from validator.policy.document import DIGESTS_LIMIT, ModelValidation
from validator.policy.origins import ORIGINS_LIMIT, Origin
from validator.policy.schema.fields import Digest, Name, Part
from validator.policy.signers import Config, Trust
from validator.text import quoted

if TYPE_CHECKING:
    from validator.policy.cluster_rules.rule import ClusterModelValidation

RULES_LIMIT: Final = 16
"""Rules that hold in one namespace; each is one more verification of the same signature."""

SETTLED_LIMIT: Final = 16
"""Fields of which it is said who settles them."""


class Requirement(Part, frozen=True, kw_only=True):
    """The demand of one rule on the signature of each model."""

    rule: Name
    generation: Annotated[int, Meta(ge=0)] | None = None
    config: Config
    trust: Trust | None = None
    digests: Annotated[tuple[Digest, ...], Meta(max_length=DIGESTS_LIMIT)] = ()
    trust_roots: Annotated[tuple[Origin, ...], Meta(max_length=ORIGINS_LIMIT)] = ()
    settles: Annotated[tuple[str, ...], Meta(max_length=SETTLED_LIMIT)] = ()

    @classmethod
    def of(cls, rule: ClusterModelValidation) -> Requirement:
        """Return what a rule demands."""
        return cls(
            rule=rule.metadata.name,
            generation=rule.metadata.generation,
            config=rule.spec.config,
            trust=rule.spec.trust,
            digests=rule.spec.digests,
            trust_roots=rule.resolved.trust_roots if rule.resolved else (),
            settles=settled(rule.spec),
        )

    @property
    def shown(self) -> str:
        """Name and generation, for a report."""
        return self.rule if self.generation is None else f"{self.rule}/{self.generation}"

    @property
    def reference(self) -> str:
        """The rule's name in sentences."""
        return f"{contract.CLUSTER_KIND} {quoted(self.rule)}"


class ResolvedPolicy(
    ModelValidation, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False
):
    """A policy, narrowed by the rules of the cluster, and what those demand beside it.

    Attributes:
        also_required: The rules' demands, in the order of their names.
        csi_drivers: The CSI drivers of which a model's inline volume may be; `None` for any.
        conflicts: What of the policy the rules do not allow, one sentence each: under Enforce, no
            pod passes.
        settles: The fields that the policy itself settles, as a rule beside it may, too.
        of_cluster: Whether a rule of the cluster stands in for a policy, which the namespace does
            not have; its name is the rule's.
    """

    also_required: Annotated[tuple[Requirement, ...], Meta(max_length=RULES_LIMIT)] = ()
    csi_drivers: tuple[Name, ...] | None = None
    conflicts: Annotated[tuple[str, ...], Meta(max_length=2 * RULES_LIMIT)] = ()
    settles: Annotated[tuple[str, ...], Meta(max_length=SETTLED_LIMIT)] = ()
    of_cluster: bool = False

    @property
    def described(self) -> str:
        """What is written into a gate's environment, for a sentence."""
        kind = contract.CLUSTER_KIND if self.of_cluster else contract.KIND
        rules = ", ".join(quoted(demand.rule) for demand in self.also_required)
        beside = f" with what is demanded by {contract.CLUSTER_KIND} {rules}" if rules else ""
        return f"{kind} {quoted(self.metadata.name)}{beside}"

    @property
    def subject(self) -> str:
        """This policy as the subject of a sentence."""
        if self.of_cluster:
            return f"the {contract.CLUSTER_KIND} {quoted(self.metadata.name)}"
        return super().subject

    def remedy(self, what: str, *, field: str = "") -> str:
        """Return what to do about this policy, and who can: a part of a sentence."""
        own, ours = self.metadata.name, field in self.settles
        rules = [each.rule for each in self.also_required if field in each.settles]
        if self.of_cluster:
            others = [each for each in rules if each != own]
            rules = [own, *others] if ours or not others else others
        if not rules:
            return super().remedy(what, field=field)
        kind = f"{contract.CLUSTER_KIND}{'s' if len(rules) > 1 else ''}"
        named = f"the {kind} {' and '.join(map(quoted, rules))}"
        if ours and not self.of_cluster:
            return (
                f"{what} in the policy, and have the cluster's admin do the same in {named}, which "
                f"{'hold' if len(rules) > 1 else 'holds'} beside it"
            )
        return f"have the cluster's admin {what} in {named}"

    @property
    def reference(self) -> str:
        """This policy's name in sentences."""
        if self.of_cluster:
            return f"{contract.CLUSTER_KIND} {self.metadata.name}"
        return super().reference
