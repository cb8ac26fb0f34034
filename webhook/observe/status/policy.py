"""The status of one policy, computed from it and its pods.

Pure: the same policy and pods give the same status, and no time of ours is in it but that of a
condition's change. So after a restart nothing is written that has not changed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Literal

from validator.policy.status import (
    MODELS_SHOWN,
    REFUSALS_SHOWN,
    PodCounts,
    RefusedPod,
    Status,
    VerifiedModel,
)
from webhook.observe.pod.verdict import Verdict
from webhook.observe.pods import counts, under
from webhook.observe.status.conditions import conditions, dated

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.observe.pod.verdict import Observed, Verified
    from webhook.observe.policies import Known
    from webhook.settings import Version

EARLIER: Final = "the pod was verified under an earlier policy of this name: start it anew"

_SHOWN: Final[dict[Verdict, Literal["refused", "unready", "unproven"]]] = {
    Verdict.REFUSED: "refused",
    Verdict.UNREADY: "unready",
    Verdict.UNPROVEN: "unproven",
}


def status(
    policy: Known, pods: Collection[Observed], *, server: Version | None = None, now: str
) -> Status:
    """Return the status of a policy.

    Args:
        policy: The policy, with the status that the API server has.
        pods: Those of its name.
        server: The API server's version, `None` where it does not tell it.
        now: The time of a condition that changes, RFC 3339.
    """
    found = counts(pods, uid=policy.uid)
    return Status(
        observed_generation=policy.generation,
        conditions=dated(
            conditions(policy, server=server),
            before=policy.status,
            generation=policy.generation,
            now=now,
        ),
        pods=PodCounts(**{str(verdict): number for verdict, number in found.items()}),
        models=models(policy, pods),
        refusals=_refusals(policy, pods),
    )


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
            exemption=pod.exemption or None,
            time=pod.at or None,
        )
        for pod in bad[:REFUSALS_SHOWN]
    )


def reason(pod: Observed, *, uid: str | None) -> str:
    """Return why a pod is not verified under the policy with this uid."""
    other = under(pod, uid=uid) is not pod.verdict
    return EARLIER if other else pod.sentence
