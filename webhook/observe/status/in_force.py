"""A policy as it is in force: with the roots of trust that it names and the cluster's rules.

Pure, by the functions by which the webhook judges pods: what refuses a pod's policy there is said
here, before there is a pod.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from validator.errors import PolicyError
from validator.policy.cluster_rules import resolution as rules_beside
from validator.policy.cluster_rules.resolved import ResolvedPolicy
from validator.policy.cluster_rules.rule import ClusterModelValidation
from webhook.errors import PodRefused
from webhook.observe.pod import report
from webhook.observe.policies import Flaw, Narrowed
from webhook.policies import resolution, trust_roots
from webhook.policies.choice import BrokenPolicy
from webhook.policies.cluster_rules import may_hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validator.policy.document import ModelValidation
    from webhook.observe.policies import Known
    from webhook.policies.cluster_rules import Rules
    from webhook.policies.trust_roots import Roots
    from webhook.settings import NamespaceOptions


def in_force(policy: Known, *, roots: Roots, rules: Rules, namespace: NamespaceOptions) -> Known:
    """Return a policy as roots and rules leave it.

    Args:
        policy: The policy, as it was known alone or in any earlier state of the cluster.
        roots: All that are known.
        rules: All that are known, with the texts of the roots that they name.
        namespace: The policy's.
    """
    written = policy.written
    if written is None:
        return policy
    with_roots = trust_roots.resolved(written, roots)
    if isinstance(with_roots, BrokenPolicy):
        return _flawed(policy, Flaw.ROOT, with_roots.reason)
    try:
        held = resolution.with_rules(with_roots, rules, namespace=namespace)
        if held is not with_roots:
            held.to_environment()  # together they may be too long
    except (PodRefused, PolicyError) as error:
        return _flawed(policy, Flaw.RULE, str(error))
    beside = held if isinstance(held, ResolvedPolicy) else None
    if beside is not None and beside.conflicts and held.spec.mode == "Enforce":
        return _flawed(policy, Flaw.RULE, "; ".join(beside.conflicts))
    again = held.spec.revalidation
    return replace(
        policy,
        flaw=None,
        why=Flaw.POLICY,
        mode=held.spec.mode,
        pinned=all(model.digests for model in written.spec.all_models)
        or any(each.digests for each in (beside.also_required if beside else ())),
        on_restart=held.spec.on_restart,
        stops=again is not None and again.action == "Stop",
        narrowed=tuple(
            _narrowed(with_roots, rule)
            for rule in rules
            if isinstance(rule, ClusterModelValidation) and may_hold(rule, namespace)
        ),
    )


def _flawed(policy: Known, why: Flaw, reason: str) -> Known:
    return replace(policy, flaw=report.sentence(reason), why=why, narrowed=())


def _narrowed(policy: ModelValidation, rule: ClusterModelValidation) -> Narrowed:
    """Return what one rule takes away from a policy."""
    beside = rules_beside.resolve(policy, [rule])
    lists = {"csiDrivers": rule.spec.csi_drivers, "trustRoots": rule.spec.trust_roots}
    return Narrowed(
        rule=rule.metadata.name,
        pins=bool(rule.spec.digests),
        fields=(
            *_differing(policy.spec, beside.spec),
            *(name for name, allowed in lists.items() if allowed is not None),
        ),
    )


def _differing(before: object, after: object, at: str = "") -> Iterator[str]:
    """Yield the fields that two specifications have differently, as a person writes them."""
    if before == after:
        return
    if not isinstance(before, msgspec.Struct) or type(before) is not type(after):
        yield at
        return
    names = zip(before.__struct_fields__, before.__struct_encode_fields__, strict=True)
    for name, written in names:
        place = f"{at}.{written}" if at else written
        yield from _differing(getattr(before, name), getattr(after, name), place)
