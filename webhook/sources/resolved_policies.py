"""Policies with the texts of the roots that they name, made once for each state of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator.policy import trust_root
from validator.policy.document import ModelValidation
from webhook.policies import trust_roots
from webhook.sources.cluster_objects import ROOTS
from webhook.sources.holdings import key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.policies.choice import LeftOut, Policy
    from webhook.sources.cluster_objects import ClusterObjects
    from webhook.sources.holdings import Key

REMEMBERED: Final = 1024
"""Policies; each takes a few hundred bytes, since the texts are the roots' own."""


class ResolvedPolicies:
    """What was made of policies that name roots: a namespace may have hundreds, at each review."""

    def __init__(self) -> None:
        self._made: dict[Key, tuple[Policy, ClusterObjects, Policy]] = {}

    def all(
        self, policies: Iterable[Policy | LeftOut], objects: ClusterObjects
    ) -> tuple[Policy | LeftOut, ...]:
        """Return policies with the texts of the roots that they name; broken, where that fails.

        Args:
            policies: As they were written.
            objects: The cluster-scoped objects, roots among them.
        """
        return tuple(
            self._one(policy, objects) if _names_one(policy) else policy for policy in policies
        )

    def _one(self, policy: Policy | LeftOut, objects: ClusterObjects) -> Policy | LeftOut:
        if not isinstance(policy, ModelValidation):
            return policy
        known = self._made.get(key(policy))
        if known is not None and known[0] is policy and known[1] is objects:
            return known[2]
        made = trust_roots.resolved(policy, trust_roots.among(objects.of(ROOTS)))
        if len(self._made) >= REMEMBERED:
            self._made.clear()
        self._made[key(policy)] = policy, objects, made
        return made


def _names_one(policy: Policy | LeftOut) -> bool:
    return isinstance(policy, ModelValidation) and trust_root.names_one(
        policy.spec.config, policy.spec.trust
    )
