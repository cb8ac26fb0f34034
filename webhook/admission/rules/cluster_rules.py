"""The rule on what the cluster's rules allow beside the policy, as far as a pod shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validator.policy.cluster_rules.resolved import ResolvedPolicy
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.admission.rules.case import Case


def cluster_rules(case: Case) -> Iterator[str]:
    """The policy trusts whom the rules allow, and the model comes by a driver that they allow."""
    policy = case.policy
    if not isinstance(policy, ResolvedPolicy):
        return
    yield from policy.conflicts
    allowed = policy.csi_drivers
    if allowed is None:
        return
    for place in case.storage.places:
        volume = place.volume
        driver = volume.source.get("driver")
        if volume.kind == "csi" and driver not in allowed:
            shown = ", ".join(map(quoted, allowed)) or "none"
            remedy = policy.remedy(f"add {quoted(driver)} to csiDrivers", field="csiDrivers")
            yield (
                f"the model's volume {quoted(volume.name)} is of the CSI driver {quoted(driver)}, "
                f"and the rules of the cluster allow {shown}: keep the model on one of those, or "
                f"{remedy}"
            )
