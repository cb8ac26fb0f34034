"""The policy that a pod gets: its namespace's, with the rules of the cluster that hold there.

Pure. A rule that cannot be used refuses, wherever it holds or may hold: a pod that is admitted
without it would have been admitted without a rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from validator import contract
from validator.errors import PolicyError
from validator.policy.cluster_rules import resolution
from validator.policy.cluster_rules.rule import ClusterModelValidation
from validator.text import quoted
from webhook.errors import PodRefused
from webhook.policies import choice
from webhook.policies.choice import LeftOut, NoPolicy
from webhook.policies.cluster_rules import BrokenRule, selector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from validator.policy.document import ModelValidation
    from webhook.policies.choice import Policy
    from webhook.policies.cluster_rules import Rule
    from webhook.settings import NamespaceOptions


def chosen(
    labels: Mapping[str, str],
    *,
    namespace: NamespaceOptions,
    policies: Sequence[Policy | LeftOut],
    operator_compat: bool,
) -> ModelValidation | NoPolicy:
    """Return the namespace's policy for a pod, or the refusal where it has none at all.

    Args:
        labels: The pod's.
        namespace: The pod's.
        policies: All that are known for that namespace.
        operator_compat: Whether the Go operator's label is honoured as ours is.

    Raises:
        PodRefused: See `choice.select`.
    """
    try:
        return choice.select(
            labels, namespace=namespace, policies=policies, operator_compat=operator_compat
        )
    except NoPolicy as refusal:
        return refusal


def with_rules(
    policy: ModelValidation | NoPolicy,
    rules: Iterable[Rule | LeftOut],
    *,
    namespace: NamespaceOptions,
) -> ModelValidation:
    """Return a policy with the rules that hold in its namespace, or a rule in its place.

    Args:
        policy: The namespace's, or the refusal where it has none.
        rules: All that are known.
        namespace: The pod's.

    Raises:
        PodRefused: A rule cannot be used, or no rule serves a namespace without a policy.
    """
    holding = [usable for rule in rules for usable in _holding(rule, namespace)]
    try:
        if not isinstance(policy, NoPolicy):
            return resolution.resolve(policy, holding)
        return resolution.stand_in(_default(holding, policy), holding)
    except PolicyError as error:
        raise PodRefused(str(error)) from error


def _holding(rule: Rule | LeftOut, namespace: NamespaceOptions) -> Iterable[ClusterModelValidation]:
    """Yield a rule, if it holds in a namespace.

    Raises:
        PodRefused: It holds there, or may, and cannot be used.
    """
    if isinstance(rule, LeftOut):
        raise PodRefused(rule.reason)
    where = f"the namespace {quoted(namespace.name)}"
    named = f"the {contract.CLUSTER_KIND} {quoted(rule.metadata.name)}"
    labels = namespace.labels if namespace.labels_known else None
    selected = selector(rule).selects_namespace(namespace.name, labels)
    if selected is None:
        raise PodRefused(
            f"the labels of {where} are not known, by which {named} selects namespaces: give its "
            "Namespace, with its labels"
        )
    if not selected:
        return
    if rule.metadata.deletion_timestamp is not None:
        raise PodRefused(
            f"{named}, which holds in {where}, is being deleted: wait until it is gone"
        )
    match rule:
        case ClusterModelValidation():
            yield rule
        case BrokenRule():
            raise PodRefused(
                f"{named}, which holds in {where}, cannot be used: {rule.reason}: have the "
                "cluster's admin correct it"
            )
        case _:
            assert_never(rule)


def _default(
    holding: Sequence[ClusterModelValidation], otherwise: NoPolicy
) -> ClusterModelValidation:
    """Return the rule that serves namespaces without a policy.

    Raises:
        PodRefused: There is none, or several.
    """
    defaults = [rule for rule in holding if rule.spec.default]
    match defaults:
        case []:
            raise otherwise
        case [rule]:
            return rule
    names = ", ".join(sorted(quoted(rule.metadata.name) for rule in defaults))
    raise PodRefused(
        f"several {contract.CLUSTER_KIND}s with default: true hold in the namespace ({names}), "
        "which has no policy of its own: have the cluster's admin leave it on one of them, or "
        f"create a {contract.KIND}"
    )
