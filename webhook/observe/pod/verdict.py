"""The verdict on one pod: what its gate has said, if it is our gate, and the monitor's since."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from validator import contract
from webhook.observe.pod import gate, report

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.observe.pod.gate import GatePolicy
    from webhook.observe.pod.report import Model, Report
    from webhook.observe.pod.wire import ContainerStatus, Ended, Owner, Pod

_EXEMPTION: Final = contract.EXEMPTION_ANNOTATION
THE_ONE: Final = "true"
UNDECIDED: Final = "Undecided"
BEGUN_AGAIN: Final = "RestartingAllContainers"
"""The kubelet's reason for the end of a container that it has removed to begin the pod again, as
`spec.onRestart` has it: no end of the gate's own."""


class Verdict(enum.StrEnum):
    """The state of a labelled pod; each has exactly one."""

    VERIFIED = "verified"
    REFUSED = "refused"
    WAITING = "waiting"
    UNREADY = "unready"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A verified model at one path: all of it the gate's own words, made printable."""

    path: str
    digest: str | None
    signer: str | None = None
    issuer: str | None = None
    method: str | None = None
    log_index: int | None = None
    signed_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A labelled pod, as far as it is held.

    Attributes:
        policy: The name of the policy of its gate; where there is no gate, the one that its label
            names, or "".
        policy_uid: The policy's uid in the gate's environment; "" without one.
        rule: The ClusterModelValidation that stands in for a policy; "" for none.
        generation: The policy's, likewise.
        code: The stable name of the refusal's kind, where the gate has given one.
        sentence: Why it is not verified, "" where it is.
        models: What the gate has verified.
        at: When the gate ended, as the kubelet says; "" before.
        audit: Whether it runs whatever was found.
        exemption: The exemption by which it does, and its end; "" for none.
        owner: The controller that made it.
    """

    namespace: str
    name: str
    uid: str
    policy: str
    policy_uid: str = ""
    rule: str = ""
    generation: int = 0
    verdict: Verdict
    code: str | None = None
    sentence: str = ""
    models: tuple[Verified, ...] = ()
    at: str = ""
    audit: bool = False
    exemption: str = ""
    owner: Owner | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    verdict: Verdict
    code: str | None = None
    sentence: str = ""
    models: tuple[Verified, ...] = ()
    at: str = ""


def observed(pod: Pod, *, images: Collection[str]) -> Observed:
    """Return the verdict on a pod.

    Args:
        pod: As the API server has it.
        images: The images that a gate may have.
    """
    metadata = pod.metadata
    try:
        policy = gate.proven(pod, images=images)
    except gate.Unproven as why:
        return Observed(
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
            policy=_named(pod),
            verdict=Verdict.UNPROVEN,
            sentence=report.sentence(str(why)),
            exemption=report.name((metadata.annotations or {}).get(_EXEMPTION, "")),
            owner=pod.owner,
        )
    found = _found(pod, policy)
    return Observed(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        policy="" if policy.of_cluster else policy.name,
        policy_uid="" if policy.of_cluster else policy.uid,
        rule=report.name(policy.name) if policy.of_cluster else "",
        generation=policy.generation,
        verdict=found.verdict,
        code=found.code,
        sentence=found.sentence,
        models=found.models,
        at=found.at,
        audit=policy.audit,
        exemption=report.name(policy.exemption),
        owner=pod.owner,
    )


def _named(pod: Pod) -> str:
    """Return the policy that a pod without a gate of ours names, "" for none."""
    labels, annotations = pod.metadata.labels or {}, pod.metadata.annotations or {}
    label = labels.get(contract.LABEL) or labels.get(contract.OPERATOR_LABEL) or ""
    named = annotations.get(contract.AUDIT_ANNOTATION, "") if label in {"", THE_ONE} else label
    return report.name(named)


def _found(pod: Pod, policy: GatePolicy) -> _Finding:
    said = pod.state_of(contract.GATE_CONTAINER)
    if said is None or said.ended is None:
        return _Finding(verdict=Verdict.WAITING, sentence="the gate has not ended yet")
    ended = said.ended
    at = report.time(ended.finished_at or "")
    left = report.read(ended.message or "")
    if left is None:
        return _without_report(ended, at)
    if not _fits(left, pod, policy):
        return _Finding(
            verdict=Verdict.UNPROVEN,
            sentence="the gate's report does not name this pod, its policy and its models",
            at=at,
        )
    if left.verdict != "verified":
        code = left.code or (UNDECIDED if left.verdict == "undecided" else None)
        reason = report.sentence(left.reason)
        return _Finding(verdict=Verdict.REFUSED, code=code, sentence=reason, at=at)
    if ended.exit_code != 0:
        return _Finding(
            verdict=Verdict.UNPROVEN,
            sentence=f"the gate's report says verified, and it ended with {ended.exit_code}",
            at=at,
        )
    models = tuple(map(_verified, left.models))
    return _since(pod, said, _Finding(verdict=Verdict.VERIFIED, models=models, at=at))


def _without_report(ended: Ended, at: str) -> _Finding:
    """Return the finding where the gate was ended, or could not be started."""
    if ended.reason == BEGUN_AGAIN:
        return _Finding(verdict=Verdict.WAITING, sentence="the pod has begun again with its gate")
    if ended.exit_code == 0:
        return _Finding(
            verdict=Verdict.UNPROVEN, sentence="the gate has ended without a report", at=at
        )
    why = f" ({report.name(ended.reason)})" if ended.reason else ""
    return _Finding(
        verdict=Verdict.REFUSED,
        code=UNDECIDED,
        sentence=f"the gate ended with exit code {ended.exit_code}{why} and left no report",
        at=at,
    )


def _fits(left: Report, pod: Pod, policy: GatePolicy) -> bool:
    """Tell whether a report is about this pod and its policy, as far as it says so.

    A report that did not fit into a termination message is its verdict and reason alone, which
    suffices for a refusal: what was verified, it does not say.
    """
    if left.policy is None:
        return left.verdict != "verified" and not left.models
    return (
        left.policy == policy.reference
        and (left.generation or 0) == policy.generation
        and left.trace_id == pod.metadata.uid.replace("-", "")
        and frozenset(model.model for model in left.models) == policy.paths
        and (
            left.verdict != "verified" or all(model.verdict == "verified" for model in left.models)
        )
    )


def _verified(model: Model) -> Verified:
    path, signer = report.path(model.model), model.signer
    if signer is None:
        return Verified(path=path, digest=model.digest)
    return Verified(
        path=path,
        digest=model.digest,
        signer=report.name(signer.identity),
        issuer=None if signer.issuer is None else report.name(signer.issuer),
        method=signer.method,
        log_index=signer.log_index,
        signed_at=None if signer.signed_at is None else report.time(signer.signed_at),
    )


def _since(pod: Pod, said: ContainerStatus, found: _Finding) -> _Finding:
    """Return what has become of a pod that its gate has found verified, at its latest end."""
    if said.state.terminated is None:  # the node or the pod's sandbox was started again
        return _Finding(verdict=Verdict.WAITING, sentence="the gate verifies again", at=found.at)
    monitor = pod.state_of(contract.MONITOR_CONTAINER)
    if monitor is None or monitor.ready:
        return found
    if pod.status.phase != "Running":  # its first verification holds the workload back
        return _Finding(
            verdict=Verdict.WAITING, sentence="the monitor has not verified yet", at=found.at
        )
    return _Finding(
        verdict=Verdict.UNREADY,
        sentence="re-validation has taken the pod out of its Services: see the log of its "
        f"container {contract.MONITOR_CONTAINER}",
        models=found.models,
        at=found.at,
    )
