"""The fields of which a refusal says who can change them: the policy, or rules beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator.policy.document import Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from validator.policy.cluster_rules.rule import ClusterSpec

_SETTLED: Final[Mapping[str, Callable[[Spec | ClusterSpec], bool]]] = {
    "allowPodTrustAnchors": lambda spec: not spec.allow_pod_trust_anchors,
    "allowPrivileged": lambda spec: not spec.allow_privileged,
    "csiDrivers": lambda spec: not isinstance(spec, Spec) and spec.csi_drivers is not None,
    "onRestart": lambda spec: spec.on_restart == "Verify",
    "workload.images": lambda spec: _lists(spec, spec.workload.images),
    "workload.otherImages": lambda spec: _lists(spec, spec.workload.other_images),
}
"""By field: whether a specification alone makes it as strict as it is."""


def settled(spec: Spec | ClusterSpec) -> tuple[str, ...]:
    """Return the fields that a policy or a rule settles, whatever stands beside it.

    Args:
        spec: The policy's or the rule's.
    """
    return tuple(field for field, settles in _SETTLED.items() if settles(spec))


def _lists(spec: Spec | ClusterSpec, images: tuple[str, ...] | None) -> bool:
    """Tell whether a list of images counts: under Check a policy's empty one does not."""
    if isinstance(spec, Spec):
        return spec.workload.arguments == "Strict" or bool(images)
    return images is not None
