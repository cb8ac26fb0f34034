"""Pods as they come over the wire: typed views of untrusted JSON, within limits.

Belongs here: which fields of a pod are looked at and of what type they must be,
containers in the order in which they run, paths as a container sees them. Does
not belong here: any opinion on what a pod may do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from validator import contract
from validator.paths import canonical
from validator.text import quoted
from webhook.errors import PodRefused
from webhook.vllm.reading import Reading

JSON = dict[str, Any]

OUR_NAMES: Final = (contract.GATE_CONTAINER, contract.MONITOR_CONTAINER)
"""The containers that are ours whole, in the order in which they stand."""

CONTAINERS_LIMIT: Final = 128
"""Containers of one list. Kubernetes sets none; a node is sized for 110 pods."""
VOLUMES_LIMIT: Final = 512
"""Volumes of a pod. Kubernetes sets none; a mount of each is a process of its own for many."""
MOUNTS_LIMIT: Final = 1024
"""Mounts of all containers together: what is checked grows with their number."""

ARGUMENTS_LIMIT: Final = 2048
"""Words of all command lines together: reading 512 of vLLM's takes 40 ms."""

_Identifier = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a pod: fields that are not named here pass by unread; null is absence."""


class Mount(_Wire, frozen=True, kw_only=True):
    """A volume mount."""

    name: str
    mount_path: str
    sub_path: str | None = None
    sub_path_expr: str | None = None
    read_only: bool | None = None
    recursive_read_only: str | None = None
    mount_propagation: str | None = None

    @property
    def at(self) -> str:
        """The mount's path, made canonical as the kubelet and the kernel understand it."""
        return canonical(self.mount_path)


class Device(_Wire, frozen=True, kw_only=True):
    """A volume as a block device."""

    name: str
    device_path: str


class Capabilities(_Wire, frozen=True, kw_only=True):
    """Capabilities that a container adds."""

    add: tuple[str, ...] | None = None


class SecurityContext(_Wire, frozen=True, kw_only=True):
    """A container's security context."""

    privileged: bool | None = None
    proc_mount: str | None = None
    capabilities: Capabilities | None = None
    run_as_user: _Identifier | None = None
    run_as_group: _Identifier | None = None


_Amount = str | int | float


class Resources(_Wire, frozen=True, kw_only=True):
    """A container's resources, by name."""

    requests: dict[str, _Amount] | None = None
    limits: dict[str, _Amount] | None = None


class Container(_Wire, frozen=True, kw_only=True):
    """A container of any of a pod's three lists."""

    name: str
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    restart_policy: str | None = None
    target_container_name: str | None = None
    termination_message_path: str | None = None
    volume_mounts: Annotated[tuple[Mount, ...], Meta(max_length=MOUNTS_LIMIT)] | None = None
    volume_devices: Annotated[tuple[Device, ...], Meta(max_length=MOUNTS_LIMIT)] | None = None
    security_context: SecurityContext | None = None
    resources: Resources | None = None


_Containers = Annotated[tuple[Container, ...], Meta(max_length=CONTAINERS_LIMIT)]


class PodSecurityContext(_Wire, frozen=True, kw_only=True):
    """A pod's security context."""

    run_as_user: _Identifier | None = None
    run_as_group: _Identifier | None = None


class OperatingSystem(_Wire, frozen=True, kw_only=True):
    """The node's operating system that a pod asks for."""

    name: str | None = None


class Spec(_Wire, frozen=True, kw_only=True):
    """A pod's specification."""

    containers: _Containers
    init_containers: _Containers | None = None
    ephemeral_containers: _Containers | None = None
    volumes: Annotated[tuple[JSON, ...], Meta(max_length=VOLUMES_LIMIT)] | None = None
    security_context: PodSecurityContext | None = None
    host_pid: bool | None = msgspec.field(name="hostPID", default=None)
    host_ipc: bool | None = msgspec.field(name="hostIPC", default=None)
    share_process_namespace: bool | None = None
    os: OperatingSystem | None = None


class Metadata(_Wire, frozen=True, kw_only=True):
    """A pod's metadata."""

    name: str | None = None


class Terminated(_Wire, frozen=True, kw_only=True):
    """How a container ended."""

    exit_code: int


class State(_Wire, frozen=True, kw_only=True):
    """A container's state."""

    terminated: Terminated | None = None


class ContainerStatus(_Wire, frozen=True, kw_only=True):
    """What the kubelet says of a container."""

    name: str
    state: State | None = None


class Status(_Wire, frozen=True, kw_only=True):
    """What the kubelet says of a pod."""

    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class _Pod(_Wire, frozen=True, kw_only=True):
    metadata: Metadata | None = None
    spec: Spec
    status: Status | None = None


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A container at its place in the pod: the view of it, and the JSON behind the view."""

    field: str
    index: int
    view: Container
    raw: JSON

    @property
    def where(self) -> str:
        """How a sentence names this container."""
        return f"{self.field}[{self.index}] {quoted(self.view.name)}"

    @cached_property
    def reading(self) -> Reading:
        """What it starts, read once."""
        return Reading(container=self.raw)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Its mounts, in their order."""
        return self.view.volume_mounts or ()

    @property
    def devices(self) -> tuple[Device, ...]:
        """Its block devices, in their order."""
        return self.view.volume_devices or ()

    @property
    def uses(self) -> set[str]:
        """The names of the volumes that it uses in any way."""
        return {mount.name for mount in self.mounts} | {device.name for device in self.devices}

    @property
    def stays(self) -> bool:
        """Whether it is a native sidecar: an init container that runs beside the workload."""
        return self.field == "initContainers" and self.view.restart_policy == "Always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod: the view of it, and the JSON behind the view, which nobody changes."""

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
    def volumes(self) -> tuple[JSON, ...]:
        """The JSON of the volumes, in their order."""
        return self.spec.volumes or ()

    def without_ours(self) -> Pod:
        """Return the pod without the init containers that bear our names."""
        kept = [placed for placed in self.init if not is_ours(placed)]
        if len(kept) == len(self.init):
            return self
        spec = {**self.raw["spec"], "initContainers": [placed.raw for placed in kept]}
        return replace(
            self,
            raw={**self.raw, "spec": spec},
            init=tuple(replace(placed, index=index) for index, placed in enumerate(kept)),
        )


def read(pod: object) -> Pod:
    """Read a pod.

    Raises:
        PodRefused: A field that is looked at has another type than Kubernetes gives it, or there
            are more containers, volumes or mounts than the limits above.
    """
    try:
        typed = msgspec.convert(pod, _Pod)
    except msgspec.ValidationError as error:
        raise PodRefused(_sentence(error)) from error
    except UnicodeEncodeError as error:
        raise PodRefused("the pod holds text that is not Unicode: a lone surrogate") from error
    if not isinstance(pod, dict):  # convert has seen to it
        raise PodRefused("the pod is not an object")
    view = Pod(
        raw=pod,
        spec=typed.spec,
        name=(typed.metadata and typed.metadata.name) or "",
        status=typed.status or Status(),
        init=_placed(pod, "initContainers", typed.spec.init_containers),
        containers=_placed(pod, "containers", typed.spec.containers),
        ephemeral=_placed(pod, "ephemeralContainers", typed.spec.ephemeral_containers),
    )
    mounts = sum(len(placed.mounts) for placed in view.all_containers)
    if mounts > MOUNTS_LIMIT:
        raise PodRefused(
            f"the pod has {mounts} volume mounts, and {MOUNTS_LIMIT} are allowed beside a model: "
            "mount fewer volumes"
        )
    words = sum(
        len(placed.view.command or ()) + len(placed.view.args or ())
        for placed in view.all_containers
    )
    if words > ARGUMENTS_LIMIT:
        raise PodRefused(
            f"the pod's command lines have {words:,} words, and {ARGUMENTS_LIMIT:,} are allowed "
            "beside a model: put them into a script"
        )
    return view


def is_gate(placed: Placed) -> bool:
    """Tell whether a container bears the gate's name."""
    return placed.view.name == contract.GATE_CONTAINER


def is_ours(placed: Placed) -> bool:
    """Tell whether a container bears the gate's name, or its monitor's."""
    return placed.view.name in OUR_NAMES


def _placed(pod: JSON, field: str, views: tuple[Container, ...] | None) -> tuple[Placed, ...]:
    return tuple(
        Placed(field=field, index=index, view=view, raw=raw)
        for index, (view, raw) in enumerate(
            zip(views or (), pod["spec"].get(field) or (), strict=True)
        )
    )


def _sentence(error: msgspec.ValidationError) -> str:
    """Turn msgspec's message into ours: the place first, as a person writes it in YAML."""
    message, _, place = str(error).partition(" - at `$")
    where = place.rstrip("`").lstrip(".") or "the pod"
    if "length <=" in message:
        limit = message.rpartition(" ")[2]
        return f"{where} has too many entries: {limit} are allowed beside a model"
    return f"{where}: {message[0].lower()}{message[1:]}, as Kubernetes defines it"
