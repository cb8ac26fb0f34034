"""The status of one policy, computed from it and its pods.

Pure: the same policy and pods give the same status, and no time of ours is in it but that of a
condition's change. So after a restart nothing is written that has not changed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from validator.policy.status import (
    MODELS_SHOWN,
    REFUSALS_SHOWN,
    Condition,
    PodCounts,
    RefusedPod,
    Status,
    VerifiedModel,
)
from webhook.observe.pods import counts, under
from webhook.observe.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.observe.policies import Known
    from webhook.observe.verdict import Observed, Verified

EARLIER: Final = "the pod was verified under an earlier policy of this name: start it anew"

_SHOWN: Final[dict[Verdict, Literal["refused", "unready", "unproven"]]] = {
    Verdict.REFUSED: "refused",
    Verdict.UNREADY: "unready",
    Verdict.UNPROVEN: "unproven",
}


class _Said(NamedTuple):
    """A condition without its time."""

    type: str
    status: Literal["True", "False"]
    reason: str
    message: str


def status(policy: Known, pods: Collection[Observed], *, now: str) -> Status:
    """Return the status of a policy.

    Args:
        policy: The policy, with the status that the API server has.
        pods: Those of its name.
        now: The time of a condition that changes, RFC 3339.
    """
    found = counts(pods, uid=policy.uid)
    return Status(
        observed_generation=policy.generation,
        conditions=_conditions(policy, now=now),
        pods=PodCounts(**{str(verdict): number for verdict, number in found.items()}),
        models=models(policy, pods),
        refusals=_refusals(policy, pods),
    )


def _conditions(policy: Known, *, now: str) -> tuple[Condition, ...]:
    before = {each.type: each for each in (policy.status and policy.status.conditions) or ()}
    made = []
    for said in _said(policy):
        old = before.get(said.type)
        since = old.last_transition_time if old and old.status == said.status else now
        made.append(
            Condition(
                type=said.type,
                status=said.status,
                reason=said.reason,
                message=said.message,
                last_transition_time=since,
                observed_generation=policy.generation,
            )
        )
    return tuple(made)


def _said(policy: Known) -> list[_Said]:
    """Return the conditions; kstatus reads `Ready` and `Stalled`."""
    if policy.flaw is not None:
        return [
            _Said("Accepted", "False", "Invalid", policy.flaw),
            _Said("Ready", "False", "Invalid", "pods that choose this policy are refused"),
            _Said("Stalled", "True", "Invalid", policy.flaw),
        ]
    accepted = _Said("Accepted", "True", "Valid", "the policy can be used")
    ready = _Said("Ready", "True", "InForce", "pods that choose this policy are verified")
    if policy.mode == "Audit":
        ready = _Said("Ready", "True", "Audit", "pods are verified, and started whatever is found")
    if policy.deleted:
        ready = _Said("Ready", "False", "Deleted", "pods that choose this policy are refused")
    return [accepted, ready, _pinned(policy), _signer(policy)]


def _pinned(policy: Known) -> _Said:
    if policy.pruned:
        return _Said(
            "Pinned",
            "False",
            "Pruned",
            "the policy was applied with a digest that the API server has not stored, since its "
            "resource definition has no such field there: correct the field, or install the "
            "present definition and apply the policy again",
        )
    if policy.pinned:
        return _Said("Pinned", "True", "Digests", "each model is pinned by a digest")
    return _Said(
        "Pinned", "False", "NoDigests", "any model of an accepted signer passes, an older one too"
    )


def _signer(policy: Known) -> _Said:
    if policy.placeholder is not None:
        return _Said(
            "Signer",
            "False",
            "Placeholder",
            f"the signer {policy.placeholder} is an example's: name your own",
        )
    return _Said("Signer", "True", "Named", "no signer is an example's")


def models(policy: Known, pods: Collection[Observed]) -> tuple[VerifiedModel, ...]:
    """Return what was verified, latest first."""
    number: Counter[Verified] = Counter()
    latest: dict[Verified, str] = {}
    for pod in pods:
        if under(pod, uid=policy.uid) is not Verdict.VERIFIED:
            continue
        for model in pod.models:
            number[model] += 1
            latest[model] = max(latest.get(model, ""), pod.at)
    order = sorted(number, key=lambda each: (latest[each], each.path, each.digest or ""))
    return tuple(
        VerifiedModel(
            path=model.path,
            digest=model.digest,
            signer=model.signer,
            issuer=model.issuer,
            method=model.method,
            log_index=model.log_index,
            signed_at=model.signed_at,
            last_verified=latest[model] or None,
            pods=number[model],
        )
        for model in order[: -MODELS_SHOWN - 1 : -1]
    )


def _refusals(policy: Known, pods: Collection[Observed]) -> tuple[RefusedPod, ...]:
    """Return the latest refusals, latest first."""
    bad = [pod for pod in pods if under(pod, uid=policy.uid) in _SHOWN]
    bad.sort(key=lambda pod: (pod.at, pod.name), reverse=True)
    return tuple(
        RefusedPod(
            pod=pod.name,
            verdict=_SHOWN[under(pod, uid=policy.uid)],
            code=pod.code,
            sentence=reason(pod, uid=policy.uid),
            time=pod.at or None,
        )
        for pod in bad[:REFUSALS_SHOWN]
    )


def reason(pod: Observed, *, uid: str | None) -> str:
    """Return why a pod is not verified under the policy with this uid."""
    other = under(pod, uid=uid) is not pod.verdict
    return EARLIER if other else pod.sentence
