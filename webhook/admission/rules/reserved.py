"""The names that are reserved for the gate, where they are not the gate's."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from validator import contract
from validator.text import quoted
from webhook.admission.injected.gate_mounts import SCRATCH
from webhook.admission.policy_volume import is_own_volume
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validator.policy.volumes import Model
    from webhook.admission.pod import Pod


def check_reserved_names(pod: Pod, models: Sequence[Model]) -> None:
    """Check that nothing but what the webhook injects bears its names.

    Raises:
        PodRefused: Something does, or uses the gate's volume, or the pod has ephemeral containers.
    """
    if pod.ephemeral:
        raise PodRefused(
            f"{pod.ephemeral[0].where}: a pod is created without ephemeral containers: leave it out"
        )
    _containers(pod)
    _volumes(pod, models)
    for placed in pod.all_containers:
        if not placed.is_injected and contract.SCRATCH_VOLUME in placed.uses:
            raise PodRefused(
                f"{placed.where} mounts the volume {quoted(contract.SCRATCH_VOLUME)}, which is "
                "the gate's own: leave it out"
            )


def _containers(pod: Pod) -> None:
    injected = [placed for placed in pod.all_containers if placed.is_injected]
    if not injected:
        return
    named = Counter(placed.view.name for placed in injected)
    for placed in injected:
        if placed.field != "initContainers" or named[placed.view.name] > 1:
            raise PodRefused(
                f"{placed.where} bears the name of the init container that verifies the model: "
                "give it another name"
            )


def _volumes(pod: Pod, models: Sequence[Model]) -> None:
    for volume in pod.volumes:
        name = str(volume.get("name"))
        reserved = name in (contract.SCRATCH_VOLUME, contract.MODEL_VOLUME) or name.startswith(
            f"{contract.MODEL_VOLUME}-"
        )
        if reserved and not (
            volume == SCRATCH or any(is_own_volume(volume, model, models) for model in models)
        ):
            raise PodRefused(
                f"the volume {quoted(name)} bears a name that is reserved for the gate: "
                "give it another name"
            )
