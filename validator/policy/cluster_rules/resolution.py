"""A namespace's policy and the rules of the cluster that hold beside it, as one document.

Pure. A rule only takes away: what the resolved policy accepts, the policy alone accepts as well,
and so does each rule. docs/policy.md has the table of who wins.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import msgspec

from validator import contract
from validator.errors import PolicyError
from validator.policy.cluster_rules.resolved import RULES_LIMIT, Requirement, ResolvedPolicy
from validator.policy.cluster_rules.settled import settled
from validator.policy.document import ModelValidation, Spec
from validator.policy.schema.image_reference import agreed
from validator.policy.workload import Revalidation, Workload
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from validator.policy.cluster_rules.rule import ClusterModelValidation, ClusterSpec
    from validator.policy.volumes import Model

    OnRestart = Literal["Verify", "Keep"] | None

_T = TypeVar("_T")

_ACTIONS: Final = ("Report", "Unready", "Stop")
"""From the weakest to the strongest."""


def resolve(policy: ModelValidation, rules: Iterable[ClusterModelValidation]) -> ModelValidation:
    """Return a policy with the rules that hold beside it; as it is, where there are none.

    Args:
        policy: The namespace's.
        rules: All that hold in the namespace, in any order.

    Raises:
        PolicyError: There are too many rules.
    """
    ordered = _ordered(rules)
    return _resolved(policy, beside=ordered, demanding=ordered) if ordered else policy


def stand_in(
    rule: ClusterModelValidation, rules: Iterable[ClusterModelValidation]
) -> ModelValidation:
    """Return the policy of a namespace that has none, by a rule with `default: true`.

    Args:
        rule: The one whose models are served.
        rules: All that hold in the namespace, that one included.

    Raises:
        PolicyError: There are too many rules.
    """
    ordered = _ordered(rules)
    spec, name = rule.spec, rule.metadata.name
    policy = ResolvedPolicy(
        api_version="rhtas.redhat.com/v1alpha1",
        kind="ModelValidation",
        metadata=rule.metadata,
        spec=Spec(
            model=spec.model,
            models=spec.models,
            config=spec.config,
            mode=spec.mode,
            trust=spec.trust,
            allow_pod_trust_anchors=spec.allow_pod_trust_anchors,
            allow_privileged=spec.allow_privileged,
            on_restart=spec.on_restart,
            revalidation=spec.revalidation,
        ),
        resolved=rule.resolved,
        of_cluster=True,
    )
    others = [each for each in ordered if each.metadata.name != name]
    # Its own signers are the policy's already; its pins, of all models, are not.
    pinning = [each for each in ordered if each.metadata.name != name or spec.digests]
    made = _resolved(policy, beside=others, demanding=pinning)
    # All lists are rules': one that is absent says nothing, also under Strict.
    workload = _workload(Workload(), [each.spec for each in ordered])
    return msgspec.structs.replace(
        made,
        spec=msgspec.structs.replace(made.spec, workload=workload),
        of_cluster=True,
        settles=settled(spec),
        csi_drivers=_fewer([made.csi_drivers, spec.csi_drivers]),
    )


def holds(
    rule: ClusterModelValidation, namespace: str | None, labels: Mapping[str, str] | None
) -> bool:
    """Tell whether a rule holds in a namespace, offline.

    Args:
        rule: The rule.
        namespace: The namespace's name, `None` where it is not known.
        labels: Its labels, `None` where they are not known.

    Raises:
        PolicyError: It is not known.
    """
    selected = rule.spec.namespace_selector.selects_namespace(namespace, labels)
    if selected is None:
        where = "the policy's namespace" if namespace is None else f"namespace {quoted(namespace)}"
        raise PolicyError(
            f"the labels of {where} are not known, by which the {contract.CLUSTER_KIND} "
            f"{quoted(rule.metadata.name)} selects namespaces: give its Namespace, with its labels"
        )
    return selected


def _ordered(rules: Iterable[ClusterModelValidation]) -> list[ClusterModelValidation]:
    """Return rules in the order of their names, which is the same for each replica."""
    ordered = sorted(rules, key=lambda rule: rule.metadata.name)
    if len(ordered) > RULES_LIMIT:
        raise PolicyError(
            f"{len(ordered)} {contract.CLUSTER_KIND}s hold in the namespace, and {RULES_LIMIT} are "
            "allowed: have the cluster's admin unite some, or narrow their selectors"
        )
    return ordered


def _resolved(
    policy: ModelValidation,
    *,
    beside: Sequence[ClusterModelValidation],
    demanding: Sequence[ClusterModelValidation],
) -> ResolvedPolicy:
    """Return a policy, narrowed by the rules beside it, with the demands of others."""
    specs = [rule.spec for rule in beside]
    given = policy.spec
    spec = msgspec.structs.replace(
        given,
        model=given.model and _narrowed(given.model, specs),
        models=given.models and tuple(_narrowed(model, specs) for model in given.models),
        mode="Enforce" if "Enforce" in {given.mode, *(each.mode for each in specs)} else "Audit",
        allow_pod_trust_anchors=given.allow_pod_trust_anchors
        and all(each.allow_pod_trust_anchors for each in specs),
        allow_privileged=given.allow_privileged and all(each.allow_privileged for each in specs),
        workload=_workload(given.workload, specs),
        on_restart=_on_restart(given.on_restart, specs),
        revalidation=reduce(
            _revalidation, (each.revalidation for each in specs), given.revalidation
        ),
    )
    return ResolvedPolicy(
        api_version=policy.api_version,
        kind=policy.kind,
        metadata=policy.metadata,
        spec=spec,
        resolved=policy.resolved,
        also_required=tuple(Requirement.of(rule) for rule in demanding),
        csi_drivers=_fewer([each.csi_drivers for each in specs]),
        settles=settled(policy.spec),
        conflicts=tuple(
            sentence for rule in beside if (sentence := _foreign_root(policy, rule)) is not None
        ),
    )


def _narrowed(model: Model, specs: Sequence[ClusterSpec]) -> Model:
    """Return a model of which no more is ignored than all rules let be ignored."""
    return msgspec.structs.replace(
        model,
        ignore_paths=reduce(
            _ignored_by_both, (each.ignore_paths for each in specs), model.ignore_paths
        ),
        ignore_git_paths=model.ignore_git_paths and all(each.ignore_git_paths for each in specs),
        ignore_unsigned_files=model.ignore_unsigned_files
        and all(each.ignore_unsigned_files for each in specs),
    )


def _ignored_by_both(ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths that two lists ignore: what lies at or below a path of each."""
    both = [a for a in ours for b in theirs if _lies_in(a, b)]
    both += [b for b in theirs for a in ours if _lies_in(b, a)]
    return tuple(dict.fromkeys(both))


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _workload(given: Workload, specs: Sequence[ClusterSpec]) -> Workload:
    strict = "Strict" in {given.arguments, *(each.workload.arguments for each in specs)}
    # Under Check a policy's lists are not read; one that it gives all the same is meant.
    listed = given.arguments == "Strict"
    return Workload(
        arguments="Strict" if strict else "Check",
        images=_images(
            [given.images if listed or given.images else None]
            + [each.workload.images for each in specs]
        ),
        other_images=_images(
            [given.other_images if listed or given.other_images else None]
            + [each.workload.other_images for each in specs]
        ),
    )


def _images(lists: Iterable[tuple[str, ...] | None]) -> tuple[str, ...]:
    """Return the images that all lists allow; `None` is a list that was not given."""
    given = [each for each in lists if each is not None]
    if not given:
        return ()
    first, *others = given
    return reduce(agreed, others, first)


def _fewer(lists: Iterable[tuple[_T, ...] | None]) -> tuple[_T, ...] | None:
    """Return what stands in all lists that were given; `None` where none was."""
    given = [each for each in lists if each is not None]
    if not given:
        return None
    first, *others = given
    return tuple(each for each in first if all(each in other for other in others))


def _on_restart(given: OnRestart, specs: Sequence[ClusterSpec]) -> OnRestart:
    """Return the stricter: a rule's Keep demands nothing."""
    return "Verify" if any(each.on_restart == "Verify" for each in specs) else given


def _revalidation(ours: Revalidation | None, theirs: Revalidation | None) -> Revalidation | None:
    """Return the stricter of each field: the model is read as often and as fast as either asks."""
    if ours is None or theirs is None:
        return ours or theirs
    return Revalidation(
        interval=min(ours, theirs, key=lambda each: each.seconds).interval,
        action=max(ours.action, theirs.action, key=_ACTIONS.index),
        bytes_per_second=max(ours, theirs, key=lambda each: each.rate).bytes_per_second,
    )


def _foreign_root(policy: ModelValidation, rule: ClusterModelValidation) -> str | None:
    """Return the sentence on trust that a rule does not allow, `None` where there is none."""
    allowed = rule.spec.trust_roots
    if allowed is None:
        return None
    said = f"the {contract.CLUSTER_KIND} {quoted(rule.metadata.name)} allows"
    shown = ", ".join(map(quoted, allowed)) or "none"
    resolved = policy.resolved
    if resolved is None or not resolved.trusts_nothing_else:
        return (
            f"{said} only what TrustRoots vouch for ({shown}), and {policy.reference} has a key, "
            "an authority or a root of its own, or Sigstore's public one: name a TrustRoot instead"
        )
    foreign = [each.name for each in resolved.trust_roots if each.name not in allowed]
    if foreign:
        return (
            f"{said} the TrustRoots {shown}, and {policy.reference} names {quoted(foreign[0])}: "
            "name one of those"
        )
    return None
