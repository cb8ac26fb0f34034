"""The rule of `workload.arguments: Strict`: nothing is in the pod that is not on a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from validator.text import quoted
from webhook.vllm.recognition import recognised
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
    serving = [placed for placed in case.pod.all_containers if serves(placed, case)]
    others = [placed for placed in case.pod.all_containers if not serves(placed, case)]
    for placed in serving:
        yield from fields.refused(placed.raw, "ServingContainer", path=_field_path(placed))
    for placed in others:
        yield from fields.refused(placed.raw, "Container", path=_field_path(placed))
        yield from _spoofing(placed)
    yield from _images(serving, others, case)
    yield from ports.refusals(
        [placed.reading for placed in serving], [placed.reading for placed in others]
    )


def serves(placed: Placed, case: Case) -> bool:
    """Tell whether a container has the model, or is seen to start vLLM."""
    return case.storage.sees(placed) or recognised(placed.reading)


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


def _images(serving: list[Placed], others: list[Placed], case: Case) -> Iterator[str]:
    workload = case.policy.spec.workload
    if not workload.images:
        yield (
            f"the policy {quoted(case.policy.metadata.name)} names no workload.images, and under "
            "workload.arguments Strict it says which images may serve: add them there, each as "
            "NAME@sha256:…"
        )
        return
    for containers, allowed, field in (
        (serving, workload.images, "workload.images"),
        (others, workload.other_images, "workload.otherImages"),
    ):
        for placed in containers:
            sentence = images.refusal(placed.raw.get("image"), allowed, field=field)
            if sentence is not None:
                yield f"{placed.where}: {sentence}"


def _spoofing(placed: Placed) -> Iterator[str]:
    context: Any = placed.raw.get("securityContext") or {}
    capabilities: Any = context.get("capabilities") or {}
    dropped = {str(name).upper().removeprefix("CAP_") for name in capabilities.get("drop") or ()}
    if not dropped & _SPOOFING:
        yield (
            f"{placed.where} may send packets in vLLM's name: drop its capabilities "
            "(securityContext.capabilities.drop: [ALL])"
        )


def _field_path(placed: Placed) -> str:
    return f"spec.{placed.field}[{placed.index}]"
