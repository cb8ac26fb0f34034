"""The rule of `workload.arguments: Strict`: nothing is in the pod that is not on a list."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from validator.policy.cluster_rules.resolved import ResolvedPolicy
from webhook.vllm.strict import fields, images, ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.admission.pod import Placed
    from webhook.admission.rules.case import Case

_JUDGED_APART = frozenset({"containers", "initContainers", "volumes"})
_SPOOFING = frozenset({"ALL", "NET_RAW"})
"""Capabilities of which one must be dropped: runtimes give NET_RAW to root by default."""


def closed_world(case: Case) -> Iterator[str]:
    """Each field, volume, image and port of the pod is known to be harmless."""
    if not case.strict:
        return
    yield from _pod(case)
    yield from _storage(case)
    serving = [placed for placed in case.pod.all_containers if case.serves(placed)]
    others = [placed for placed in case.pod.all_containers if not case.serves(placed)]
    for placed in serving:
        yield from fields.refused(placed.raw, "ServingContainer", path=_field_path(placed))
    for placed in others:
        yield from fields.refused(placed.raw, "Container", path=_field_path(placed))
        yield from _spoofing(placed)
    yield from _images(serving, others, case)
    yield from _users(serving, others, case)
    yield from ports.refusals(
        [placed.reading for placed in serving], [placed.reading for placed in others]
    )


def _pod(case: Case) -> Iterator[str]:
    raw = case.pod.raw
    metadata: Any = raw.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    yield from fields.refused_annotations(annotations if isinstance(annotations, dict) else {})
    spec = {name: value for name, value in raw["spec"].items() if name not in _JUDGED_APART}
    yield from fields.refused(spec, "PodSpec", path="spec")
    models = {place.volume.name for place in case.storage.places}
    for index, volume in enumerate(case.pod.volumes):
        if volume.get("name") not in models:
            yield from fields.refused(volume, "Volume", path=f"spec.volumes[{index}]")


def _storage(case: Case) -> Iterator[str]:
    """Yield which models lie where the pod's author says."""
    for place in case.storage.places:
        declared = place.model.volume
        if declared is None or declared.name is not None:
            what = "add it as model.volume (persistentVolumeClaim, image, nfs, csi or hostPath)"
            yield (
                f"{case.policy.subject} does not name the storage of {place.model.path}, so that "
                f"the pod's author would choose who can change it: {case.policy.remedy(what)}"
            )


def _images(serving: list[Placed], others: list[Placed], case: Case) -> Iterator[str]:
    policy = case.policy
    workload = policy.spec.workload
    if not workload.images:
        what = "add them to workload.images, each as NAME@sha256:…,"
        strict = "under workload.arguments Strict"
        said = f"{policy.subject} names no workload.images, and {strict} it says"
        if isinstance(policy, ResolvedPolicy) and policy.also_required:
            said = (
                f"{policy.subject} and the rules of the cluster beside it have no workload.images "
                f"in common, and {strict} they say"
            )
        yield f"{said} which images may serve: {policy.remedy(what, field='workload.images')}"
        return
    for containers, allowed, field in (
        (serving, workload.images, "workload.images"),
        (others, workload.other_images, "workload.otherImages"),
    ):
        for placed in containers:
            remedy = partial(policy.remedy, field=field)
            sentence = images.refusal(placed.raw.get("image"), allowed, field=field, remedy=remedy)
            if sentence is not None:
                yield f"{placed.where}: {sentence}"


def _users(serving: list[Placed], others: list[Placed], case: Case) -> Iterator[str]:
    """Yield which containers could share vLLM's port: those that may run as its user."""
    staying = [each for each in others if each.field == "containers" or each.is_sidecar]
    if not staying:
        return
    taken = {None, 0, *(_user(placed, case) for placed in serving)}
    for placed in serving:
        if _user(placed, case) is None:
            yield (
                f"{placed.where} does not say as which user it runs, and no other container may "
                "run as the same: set securityContext.runAsUser"
            )
    for placed in staying:
        if _user(placed, case) in taken or not _keeps_its_user(placed):
            yield (
                f"{placed.where} may run as vLLM's user, whose programs can share vLLM's port: set "
                "its securityContext.runAsUser to another one (and not 0), and "
                "allowPrivilegeEscalation to false, and drop ALL its capabilities without adding "
                "SETUID"
            )


def _keeps_its_user(placed: Placed) -> bool:
    """Tell whether no program of a container becomes another user.

    One that its image gives CAP_SETUID has it wherever the container may have it.
    """
    context: Any = placed.raw.get("securityContext") or {}
    return (
        context.get("allowPrivilegeEscalation") is False
        and "ALL" in _capabilities(placed, "drop")
        and "SETUID" not in _capabilities(placed, "add")
    )


def _capabilities(placed: Placed, field: str) -> set[str]:
    """Return the capabilities that a container drops or adds, by their short names."""
    context: Any = placed.raw.get("securityContext") or {}
    capabilities: Any = context.get("capabilities") or {}
    return {str(name).upper().removeprefix("CAP_") for name in capabilities.get(field) or ()}


def _user(placed: Placed, case: Case) -> int | None:
    """Return the user that a container runs as; None, where its image decides."""
    for context in (placed.view.security_context, case.pod.spec.security_context):
        if context is not None and context.run_as_user is not None:
            return context.run_as_user
    return None


def _spoofing(placed: Placed) -> Iterator[str]:
    if not _capabilities(placed, "drop") & _SPOOFING:
        yield (
            f"{placed.where} may send packets in vLLM's name: drop its capabilities "
            "(securityContext.capabilities.drop: [ALL])"
        )


def _field_path(placed: Placed) -> str:
    return f"spec.{placed.field}[{placed.index}]"
