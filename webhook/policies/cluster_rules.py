"""The cluster's rules as the webhook knows them: usable, or broken with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from validator.errors import PolicyError
from validator.policy import trust_root
from validator.policy.cluster_rules.namespace_selector import NamespaceSelector
from validator.policy.cluster_rules.rule import ClusterModelValidation, check_fits, selector_of
from webhook.policies.broken import Broken, metadata_of
from webhook.policies.choice import LeftOut
from webhook.policies.trust_roots import finder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.policies.trust_roots import Roots
    from webhook.settings import NamespaceOptions


class BrokenRule(Broken, frozen=True, kw_only=True):
    """A rule that exists and cannot be used: each pod is refused where it holds.

    Attributes:
        selector: Of the namespaces in which it holds; of all, where it cannot be read.
    """

    selector: NamespaceSelector


Rule = ClusterModelValidation | BrokenRule

Rules = tuple[Rule | LeftOut, ...]
"""All that are known at one moment; where they are more than is held, a `LeftOut` alone."""


def may_hold(rule: Rule | LeftOut, namespace: NamespaceOptions | None) -> bool:
    """Tell whether a rule holds in a namespace, or may: it is not known that it does not."""
    if isinstance(rule, LeftOut) or namespace is None:
        return True
    labels = namespace.labels if namespace.labels_known else None
    return selector(rule).selects_namespace(namespace.name, labels) is not False


def selector(rule: Rule) -> NamespaceSelector:
    """Return the selector of a rule."""
    return rule.selector if isinstance(rule, BrokenRule) else rule.spec.namespace_selector


def among(known: tuple[object, ...] | LeftOut) -> Rules:
    """Return the rules among objects of the cluster."""
    if isinstance(known, LeftOut):
        return (known,)
    return tuple(each for each in known if isinstance(each, ClusterModelValidation | BrokenRule))


def read(document: Mapping[str, Any]) -> Rule:
    """Return the rule that a document holds, usable or broken.

    One that is too large for a gate's environment is broken. Its status is not kept: a new one
    would be a new state of the cluster.

    Raises:
        PolicyError: It does not even say which rule it is.
    """
    try:
        rule = ClusterModelValidation.from_object(document, source="as the API server has it")
        rule = msgspec.structs.replace(rule, status=None)
        check_fits(rule)
    except PolicyError as error:
        return BrokenRule(
            metadata=metadata_of(document, otherwise=error),
            reason=str(error),
            selector=selector_of(document),
        )
    return rule


def resolved(rule: Rule, roots: Roots) -> Rule:
    """Return a rule with the texts of the roots that it names; broken, where that fails."""
    if isinstance(rule, BrokenRule):
        return rule
    try:
        made = trust_root.resolve(rule, finder(roots))
        if made is not rule:
            check_fits(made)
    except PolicyError as error:
        selector = rule.spec.namespace_selector
        return BrokenRule(metadata=rule.metadata, reason=str(error), selector=selector)
    return made
