"""The exemption of a pod: does one name its workload and its images, and for how long?

Pure. A pod's author writes all that is compared here: owner, labels and images. What the author
cannot write is the exemption, and what they cannot change is what an image's digest stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.policy.exemption import KIND, ModelValidationExemption
from validator.policy.schema.image_reference import by_digest
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from validator.policy.document import ModelValidation

_INJECTED: Final = (contract.GATE_CONTAINER, contract.MONITOR_CONTAINER)
_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")
_HASH: Final = "pod-template-hash"
"""The label by which a Deployment tells its ReplicaSets apart: their names end in its value
(https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pod-template-hash-label)."""


JSON = dict[str, Any]

Workload = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The exemptions that name a pod.

    Attributes:
        valid: One that counts now; the one that ends last.
        ended: Where none counts, one that has ended; the one that ended last.
    """

    valid: ModelValidationExemption | None = None
    ended: ModelValidationExemption | None = None

    def applied_to(self, policy: ModelValidation) -> ModelValidation:
        """Return the policy as it holds for the pod; one in Audit stops nothing as it is."""
        if self.valid is None or policy.spec.mode == "Audit":
            return policy
        return self.valid.applied_to(policy)

    @property
    def note(self) -> str | None:
        """The sentence on an exemption that has ended, `None` where there is none."""
        if self.ended is None:
            return None
        return (
            f"the {KIND} {quoted(self.ended.metadata.name)} of this workload ended at "
            f"{self.ended.end:%Y-%m-%d %H:%M} UTC: have the cluster's admin make a new one, or "
            "have the model signed"
        )


_NONE: Final = Found()


def find(
    exemptions: Iterable[ModelValidationExemption],
    pod: JSON,
    *,
    namespace: str,
    now: datetime,
    workloads: frozenset[Workload] | None = None,
) -> Found:
    """Return the exemptions that name a pod.

    Args:
        exemptions: All that are known; those that are being deleted do not count.
        pod: JSON that anybody wrote.
        namespace: The pod's.
        now: Aware.
        workloads: Kinds and names of what the pod belongs to, where the pod does not say it.
    """
    known = tuple(exemptions)
    if not known:  # as for almost any pod
        return _NONE
    belongs = workloads_of(pod) if workloads is None else workloads
    naming = sorted(
        (
            each
            for each in known
            if each.metadata.deletion_timestamp is None
            and each.spec.namespace == namespace
            and (each.spec.workload.kind, each.spec.workload.name) in belongs
            and _has_only(pod, each.spec.images)
        ),
        key=lambda each: (each.end, each.metadata.name),
    )
    if not naming:
        return _NONE
    return Found(valid=naming[-1]) if now < naming[-1].end else Found(ended=naming[-1])


def workloads_of(pod: JSON) -> frozenset[Workload]:
    """Return kinds and names of what a pod says that it belongs to: itself, and its controller."""
    metadata = _mapping(pod.get("metadata"))
    found: list[tuple[Any, Any]] = [("Pod", metadata.get("name"))]
    owners = metadata.get("ownerReferences")
    for each in owners if isinstance(owners, list) else ():
        owner = _mapping(each)
        if owner.get("controller") is True:
            kind, name = owner.get("kind"), owner.get("name")
            found.append((kind, name))
            suffix = _mapping(metadata.get("labels")).get(_HASH)
            if kind == "ReplicaSet" and isinstance(suffix, str) and isinstance(name, str):
                deployment, dash, ending = name.rpartition("-")
                found += [("Deployment", deployment)] if dash and ending == suffix else []
    return frozenset(
        (kind, name) for kind, name in found if isinstance(kind, str) and isinstance(name, str)
    )


def _has_only(pod: JSON, allowed: tuple[str, ...]) -> bool:
    """Tell whether each image of a pod is named, by its digest; those of our containers aside."""
    images = list(_images(pod))
    return bool(images) and all(_is_among(image, allowed) for image in images)


def _is_among(image: Any, allowed: tuple[str, ...]) -> bool:
    reference = by_digest(image)
    return reference is not None and not {
        reference.digest,
        f"{reference.repository}@{reference.digest}",
    }.isdisjoint(allowed)


def _images(pod: JSON) -> Iterator[Any]:
    spec = _mapping(pod.get("spec"))
    for field in _LISTS:
        containers = spec.get(field)
        for each in containers if isinstance(containers, list) else ():
            container = _mapping(each)
            if field != "initContainers" or container.get("name") not in _INJECTED:
                yield container.get("image")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def warning(policy: ModelValidation) -> tuple[str, ...]:
    """Return the sentence on the exemption by which a policy stops nothing, if there is one."""
    if policy.resolved is None or policy.resolved.exemption is None:
        return ()
    applied = policy.resolved.exemption
    sentence = (
        f"the pod is exempt by the {KIND} {quoted(applied.name)} until {applied.expires}: its "
        "models are verified, and whatever the verdict is, nothing is stopped"
    )
    return (sentence,)
