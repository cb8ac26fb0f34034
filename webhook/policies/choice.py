"""The choice of a pod's policy, by the pod's label and by its namespace's.

Pure. Belongs here: choosing among the policies that are known. Does not belong
here: knowing them. A pod's annotations have no say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from validator import contract
from validator.policy.document import ModelValidation
from validator.text import quoted
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from webhook.settings import NamespaceOptions

THE_ONE: Final = "true"
"""The label's value that leaves the choice to the namespace."""

NAMED_LIMIT: Final = 10
"""Candidates that a sentence names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenPolicy:
    """A policy that exists and cannot be used: a pod that selects it is refused.

    Attributes:
        reason: Why, as one sentence.
        remedy: What to do, where the reason does not say it.
        default: Whether it claims to be its namespace's default.
    """

    name: str
    namespace: str | None
    reason: str
    remedy: str = "correct the policy"
    default: bool = False
    deleted: bool = False
    uid: str | None = None
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """In place of a namespace's policies, where they are more than can be held.

    Attributes:
        reason: Which bound they pass, and what to do, as one sentence.
    """

    reason: str


Policy = ModelValidation | BrokenPolicy


class NoPolicy(PodRefused):
    """The namespace has no policy at all, and the pod names none."""


def select(
    labels: Mapping[str, str],
    *,
    namespace: NamespaceOptions,
    policies: Sequence[Policy | LeftOut],
    operator_compat: bool,
) -> ModelValidation:
    """Return the policy that a pod with `labels` gets.

    Args:
        labels: The pod's.
        namespace: The pod's; its labels belong to the cluster's admin.
        policies: All that are known for that namespace.
        operator_compat: Whether the Go operator's label is honoured as ours is.

    Raises:
        PodRefused: None (`NoPolicy`), several, or one that cannot be used; the sentence names
            the candidates and the fix.
    """
    value = asked_for(labels, operator_compat=operator_compat)
    known = _all_held(policies)
    pinned = namespace.labels.get(contract.NAMESPACE_POLICY_LABEL)
    if pinned is not None:
        return _pinned(pinned, namespace=namespace, policies=known)
    if value != THE_ONE:
        return _usable(_named(value, namespace=namespace, policies=known))
    return _usable(_the_one(namespace=namespace, policies=known))


def _all_held(policies: Sequence[Policy | LeftOut]) -> list[Policy]:
    """Return the policies.

    Raises:
        PodRefused: Not all of them are held.
    """
    held: list[Policy] = []
    for policy in policies:
        if isinstance(policy, LeftOut):
            raise PodRefused(policy.reason)
        held.append(policy)
    return held


def asked_for(labels: Mapping[str, str], *, operator_compat: bool) -> str:
    """Return the value of the pod's label: `THE_ONE` or a policy's name.

    Raises:
        PodRefused: No label, two that contradict each other, or a value that asks for nothing.
    """
    keys = (contract.LABEL, contract.OPERATOR_LABEL) if operator_compat else (contract.LABEL,)
    given = {key: labels[key] for key in keys if key in labels}
    if not given:
        raise PodRefused(
            f"the pod does not carry the label {contract.LABEL}, so no policy can be chosen: "
            f'set it to "true" or to the name of a {contract.KIND}'
        )
    if len(set(given.values())) > 1:
        shown = " and ".join(f"{key}: {quoted(value)}" for key, value in given.items())
        raise PodRefused(f"the pod's labels contradict each other ({shown}): keep one of them")
    (key, value), *_ = given.items()
    if value in {"", "false"}:
        raise PodRefused(
            f"the pod's label {key} is {quoted(value)}, which asks for nothing: set it to "
            f'"true" or to the name of a {contract.KIND}, or take the label off'
        )
    return value


def _pinned(
    name: str, *, namespace: NamespaceOptions, policies: Sequence[Policy]
) -> ModelValidation:
    found = [policy for policy in policies if _name(policy) == name]
    if len(found) != 1:
        raise PodRefused(
            f"the namespace {quoted(namespace.name)} is bound to the {contract.KIND} "
            f"{quoted(name)} by its label {contract.NAMESPACE_POLICY_LABEL}, and there is no such "
            f"policy{_candidates(policies)}: create it, or have the cluster's admin correct the "
            "label"
        )
    return _usable(found[0])


def _named(value: str, *, namespace: NamespaceOptions, policies: Sequence[Policy]) -> Policy:
    found = [policy for policy in policies if _name(policy) == value]
    if len(found) != 1:
        raise PodRefused(
            f"the namespace {quoted(namespace.name)} has no {contract.KIND} {quoted(value)}"
            f"{_candidates(policies)}: create it, or correct the pod's label"
        )
    return found[0]


def _the_one(*, namespace: NamespaceOptions, policies: Sequence[Policy]) -> Policy:
    """Return the default among the policies, or the only one."""
    lasting = [policy for policy in policies if not _deleted(policy)]
    # Where all are being deleted, one is chosen all the same: its refusal says what happens.
    candidates = lasting or policies
    defaults = [policy for policy in candidates if _default(policy)]
    chosen = defaults or candidates
    match list(chosen):
        case []:
            raise NoPolicy(
                f"the namespace {quoted(namespace.name)} has no {contract.KIND}: create one "
                "that says which model the pod serves and who signs it"
            )
        case [policy]:
            return policy
    if defaults:
        raise PodRefused(
            f"the namespace {quoted(namespace.name)} has several {contract.KIND}s with "
            f"default: true ({_names(defaults)}): leave it on one of them, or name one in the "
            f"pod's label {contract.LABEL}"
        )
    raise PodRefused(
        f"the namespace {quoted(namespace.name)} has several {contract.KIND}s "
        f"({_names(candidates)}): name one in the pod's label {contract.LABEL}, or set "
        "default: true on one of them"
    )


def _usable(policy: Policy) -> ModelValidation:
    """Return the policy, unless it is broken or on its way out."""
    if _deleted(policy):
        raise PodRefused(
            f"the {contract.KIND} {quoted(_name(policy))} is being deleted: wait until it is gone "
            "and create it anew, or choose another"
        )
    match policy:
        case ModelValidation():
            return policy
        case BrokenPolicy():
            remedy = f": {policy.remedy}" if policy.remedy else ""
            raise PodRefused(
                f"the {contract.KIND} {quoted(policy.name)} cannot be used: {policy.reason}{remedy}"
            )
    assert_never(policy)


def _name(policy: Policy) -> str:
    return policy.name if isinstance(policy, BrokenPolicy) else policy.metadata.name


def _default(policy: Policy) -> bool:
    return policy.default if isinstance(policy, BrokenPolicy) else policy.spec.default


def _deleted(policy: Policy) -> bool:
    if isinstance(policy, BrokenPolicy):
        return policy.deleted
    return policy.metadata.deletion_timestamp is not None


def _names(policies: Sequence[Policy]) -> str:
    names = sorted(map(_name, policies))
    shown = ", ".join(quoted(name) for name in names[:NAMED_LIMIT])
    return f"{shown}, and {len(names) - NAMED_LIMIT} more" if len(names) > NAMED_LIMIT else shown


def _candidates(policies: Sequence[Policy]) -> str:
    return f" (there is {_names(policies)})" if policies else " (it has none at all)"
