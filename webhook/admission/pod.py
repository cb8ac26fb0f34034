"""A pod as the rules see it: its containers in the order in which they start, read once.

Belongs here: where a container stands, how a sentence names it, and the limits of a whole
pod. Does not belong here: any opinion on what a pod may do.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from validator import contract
from validator.text import quoted
from webhook.admission import wire
from webhook.admission.wire import JSON, Container, Spec, Status
from webhook.errors import PodRefused
from webhook.vllm.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webhook.admission.wire import Device, Mount

INJECTED_NAMES: Final = (contract.GATE_CONTAINER, contract.MONITOR_CONTAINER)
"""The names of the containers that the webhook injects, in the order in which they stand."""

EXPANSIONS_LIMIT: Final = 16 * 1024 * 1024
"""Characters of all variables and arguments of a pod, once expanded: as much as Linux gives to
eight of its processes. The references of a 1 MB pod can make gigabytes."""


class Placed(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A container at its place in the pod.

    Attributes:
        field: The list that it stands in: containers, initContainers or ephemeralContainers.
        index: Its place in that list.
        view: Its fields, typed.
        raw: The JSON that the view was made of; nobody changes it.
        reading: Its command line and environment.
    """

    field: str
    index: int
    view: Container
    raw: JSON
    reading: Reading

    @cached_property
    def where(self) -> str:
        """The container's name in a sentence; letters that are not ASCII's are escaped."""
        # Kubernetes' names have none. One that looks like a reserved name is another name.
        name = self.view.name.encode("ascii", "backslashreplace").decode()
        return f"{self.field}[{self.index}] {quoted(name)}"

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Its mounts, in their order."""
        return self.view.volume_mounts or ()

    @property
    def devices(self) -> tuple[Device, ...]:
        """Its block devices, in their order."""
        return self.view.volume_devices or ()

    @cached_property
    def uses(self) -> frozenset[str]:
        """The names of the volumes that it uses in any way."""
        return frozenset(
            {mount.name for mount in self.mounts} | {device.name for device in self.devices}
        )

    @property
    def is_sidecar(self) -> bool:
        """Whether it is a native sidecar: an init container that runs beside the workload."""
        return self.field == "initContainers" and self.view.restart_policy == "Always"

    @property
    def is_gate(self) -> bool:
        """Whether it bears the gate's name."""
        return self.view.name == contract.GATE_CONTAINER

    @property
    def is_injected(self) -> bool:
        """Whether it bears the gate's name, or the monitor's."""
        return self.view.name in INJECTED_NAMES


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod.

    Attributes:
        raw: Its JSON, which nobody changes.
        spec: The fields of its specification, typed.
        name: Its name; empty where the API server will generate one.
        status: Its status.
        init: Its init containers, native sidecars among them.
        containers: Its containers.
        ephemeral: Its ephemeral containers.
    """

    raw: JSON
    spec: Spec
    name: str
    status: Status
    init: tuple[Placed, ...]
    containers: tuple[Placed, ...]
    ephemeral: tuple[Placed, ...]

    @property
    def all_containers(self) -> tuple[Placed, ...]:
        """All containers, in the order in which they start."""
        return (*self.init, *self.containers, *self.ephemeral)

    @property
    def staying(self) -> tuple[Placed, ...]:
        """The containers that run beside one another: the workload's, then the sidecars."""
        return (*self.containers, *(placed for placed in self.init if placed.is_sidecar))

    @property
    def volumes(self) -> tuple[JSON, ...]:
        """The JSON of the volumes, in their order."""
        return self.spec.volumes or ()

    def without_injected(self) -> Pod:
        """Return the pod without the init containers that bear the injected ones' names."""
        kept = [placed for placed in self.init if not placed.is_injected]
        if len(kept) == len(self.init):
            return self
        spec = {**self.raw["spec"], "initContainers": [placed.raw for placed in kept]}
        return replace(
            self,
            raw={**self.raw, "spec": spec},
            init=tuple(replace(placed, index=index) for index, placed in enumerate(kept)),
        )


class Manifest(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A pod as it came: its JSON, and the pod that is read from it, once.

    Reading can fail, and whether that stops the pod is a policy's decision: so the pod is
    read when a policy is at hand, and not again when another one is.
    """

    raw: JSON

    @cached_property
    def pod(self) -> Pod:
        """The pod.

        Raises:
            PodRefused: See `read_pod`.
        """
        return read_pod(self.raw)


def read_pod(pod: JSON) -> Pod:
    """Read a pod.

    Raises:
        PodRefused: A field that is looked at has another type than Kubernetes gives it, or the
            pod is beyond one of the limits of `webhook.admission.wire`.
    """
    fields = wire.convert(pod)
    spec = fields.spec
    view = Pod(
        raw=pod,
        spec=spec,
        name=(fields.metadata and fields.metadata.name) or "",
        status=fields.status or wire.Status(),
        init=_placed(pod, "initContainers", spec.init_containers),
        containers=_placed(pod, "containers", spec.containers),
        ephemeral=_placed(pod, "ephemeralContainers", spec.ephemeral_containers),
    )
    _within_limits([placed.view for placed in view.all_containers])
    return view


def check_expansions(pod: Pod) -> None:
    """Check that references in command lines and variables do not make a small pod large.

    Raises:
        PodRefused: They do.
    """
    length = 0
    for placed in pod.all_containers:
        length += placed.reading.length
        if length > EXPANSIONS_LIMIT:
            raise PodRefused(
                f"the variables and arguments of the pod's containers up to {placed.where} have "
                f"more than {EXPANSIONS_LIMIT:,} characters once their references are expanded: "
                "shorten them"
            )


def _within_limits(containers: Iterable[Container]) -> None:
    """Refuse a pod whose containers have too much together."""
    mounts = words = variables = 0
    for each in containers:
        mounts += len(each.volume_mounts or ()) + len(each.volume_devices or ())
        words += len(each.command or ()) + len(each.args or ())
        variables += len(each.env or ()) + len(each.env_from or ())
    for count, limit, what, remedy in (
        (mounts, wire.MOUNTS_LIMIT, "volume mounts and devices", "mount fewer volumes"),
        (words, wire.ARGUMENTS_LIMIT, "words in its command lines", "put them into a script"),
        (variables, wire.VARIABLES_LIMIT, "environment variables", "set fewer"),
    ):
        if count > limit:
            raise PodRefused(
                f"the pod has {count:,} {what}, and {limit:,} are allowed beside a model: {remedy}"
            )


def _placed(pod: JSON, field: str, views: tuple[Container, ...] | None) -> tuple[Placed, ...]:
    return tuple(
        Placed(field=field, index=index, view=view, raw=raw, reading=Reading(container=raw))
        for index, (view, raw) in enumerate(
            zip(views or (), pod["spec"].get(field) or (), strict=True)
        )
    )
