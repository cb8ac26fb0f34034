"""A pod whose gate has a place: everything that the rules are asked about."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from validator.policy.document import ModelValidation
from webhook.admission.injected import restart_rules
from webhook.admission.pod import Placed, Pod
from webhook.admission.storage import ModelStorage
from webhook.settings import Version
from webhook.vllm.recognition import recognised

if TYPE_CHECKING:
    from webhook.admission.nest import Nest


class Case(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A pod to judge.

    Attributes:
        pod: The pod without injected containers, with the policy's volumes.
        policy: The policy that it is judged by.
        storage: Its volumes, and where the models lie.
        writers: The init containers that write a model and end before the gate starts.
        position: How many init containers start before the gate.
        server: The API server's version, `None` where it is not known.
    """

    pod: Pod
    policy: ModelValidation
    storage: ModelStorage
    writers: tuple[Placed, ...]
    position: int
    server: Version | None = None

    @cached_property
    def workload(self) -> tuple[Placed, ...]:
        """The containers that run beside the gate's verdict or after it."""
        init = (
            placed for placed in self.pod.init if placed.is_sidecar or placed.index >= self.position
        )
        return (*self.pod.containers, *init)

    @cached_property
    def early(self) -> tuple[Placed, ...]:
        """The init containers that start before the gate."""
        return self.pod.init[: self.position]

    @cached_property
    def nests(self) -> tuple[Nest, ...]:
        """The mounts of the workload's containers within volumes, beside a model."""
        running = {placed.where for placed in self.workload}
        return tuple(nest for nest in self.storage.nests if nest.placed.where in running)

    @cached_property
    def looked_at(self) -> tuple[Nest, ...]:
        """Those of which the gate sees that no link is in their place."""
        return tuple(
            nest
            for nest in self.nests
            if nest.outer.name not in self.storage.private
            and not nest.outer.sub_path_expr
            and not self.storage.volumes[nest.outer.name].reaches_kubelet
        )

    @property
    def restarts_verified(self) -> bool:
        """Whether containers that see the model restart only after another verification."""
        return restart_rules.in_force(self.policy, self.server)

    @property
    def strict(self) -> bool:
        """Whether the policy asks for `workload.arguments: Strict`."""
        return self.policy.spec.workload.arguments == "Strict"

    def serves(self, placed: Placed) -> bool:
        """Tell whether a container has the model, or is seen to start vLLM."""
        return self.storage.sees(placed) or recognised(placed.reading)
