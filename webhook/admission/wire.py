"""The fields of a pod that are looked at, typed as Kubernetes types them, within limits.

A pod is JSON that anybody wrote. Fields that are not named here pass by unread; null is
absence. `msgspec` checks types and limits while it converts, before anything is compared.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from validator.paths import canonical
from webhook.errors import PodRefused

JSON = dict[str, Any]

CONTAINERS_LIMIT: Final = 128
"""Containers of one list. Kubernetes sets none; a node is sized for 110 pods."""
VOLUMES_LIMIT: Final = 512
"""Volumes of a pod. Kubernetes sets none; many need a process of their own for each mount."""
MOUNTS_LIMIT: Final = 1024
"""Mounts and devices of a pod: twice what all of its volumes need."""
ARGUMENTS_LIMIT: Final = 2048
"""Words of all command lines of a pod: reading 512 of vLLM's takes 10 ms."""
VARIABLES_LIMIT: Final = 4096
"""Environment variables of a pod: forty times what a large one has."""
RESTART_RULES_LIMIT: Final = 20
"""Restart rules of a container: as many as the API server takes."""
RESIZE_POLICIES_LIMIT: Final = 20
"""Resize policies of a container: the API server takes one for each of CPU and memory."""
CODES_LIMIT: Final = 255
"""Exit codes of a restart rule: as many as the API server takes."""
PATH_LIMIT: Final = 4095
"""Characters of a path. Linux takes 4,096 bytes with the closing NUL (PATH_MAX)."""

_Identifier = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_Path = Annotated[str, Meta(max_length=PATH_LIMIT)]


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", dict=True):
    """A part of a pod."""


class Mount(_Wire, frozen=True, kw_only=True):
    """A volume mount."""

    name: str
    mount_path: _Path
    sub_path: _Path | None = None
    sub_path_expr: _Path | None = None
    read_only: bool | None = None
    recursive_read_only: str | None = None
    mount_propagation: str | None = None

    @cached_property
    def at(self) -> str:
        """The mount's path, made canonical as the kubelet and the kernel understand it."""
        return canonical(self.mount_path)


class Device(_Wire, frozen=True, kw_only=True):
    """A volume as a block device."""

    name: str
    device_path: _Path

    @cached_property
    def at(self) -> str:
        """The device's path, made canonical."""
        return canonical(self.device_path)


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


_Words = Annotated[tuple[str, ...], Meta(max_length=ARGUMENTS_LIMIT)]
_Variables = Annotated[tuple[Any, ...], Meta(max_length=VARIABLES_LIMIT)]


class ExitCodes(_Wire, frozen=True, kw_only=True):
    """The exit codes that a restart rule is about."""

    operator: str | None = None
    values: Annotated[tuple[int, ...], Meta(max_length=CODES_LIMIT)] | None = None


class RestartRule(_Wire, frozen=True, kw_only=True):
    """A restart rule of a container."""

    action: str
    exit_codes: ExitCodes | None = None


class ResizePolicy(_Wire, frozen=True, kw_only=True):
    """What a container does when one of its resources is changed while it runs."""

    restart_policy: str | None = None


class Container(_Wire, frozen=True, kw_only=True):
    """A container of any of a pod's three lists."""

    name: str
    command: _Words | None = None
    args: _Words | None = None
    env: _Variables | None = None
    env_from: _Variables | None = None
    restart_policy: str | None = None
    restart_policy_rules: (
        Annotated[tuple[RestartRule, ...], Meta(max_length=RESTART_RULES_LIMIT)] | None
    ) = None
    resize_policy: (
        Annotated[tuple[ResizePolicy, ...], Meta(max_length=RESIZE_POLICIES_LIMIT)] | None
    ) = None
    target_container_name: str | None = None
    termination_message_path: _Path | None = None
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
    restart_policy: str | None = None
    host_pid: bool | None = msgspec.field(name="hostPID", default=None)
    host_ipc: bool | None = msgspec.field(name="hostIPC", default=None)
    share_process_namespace: bool | None = None
    os: OperatingSystem | None = None


class Metadata(_Wire, frozen=True, kw_only=True):
    """A pod's metadata."""

    name: str | None = None


class Terminated(_Wire, frozen=True, kw_only=True):
    """The end of a container."""

    exit_code: int


class State(_Wire, frozen=True, kw_only=True):
    """A container's state."""

    terminated: Terminated | None = None


class ContainerStatus(_Wire, frozen=True, kw_only=True):
    """A container's status, as the kubelet reports it."""

    name: str
    state: State | None = None


class Status(_Wire, frozen=True, kw_only=True):
    """A pod's status, as the kubelet reports it."""

    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class PodFields(_Wire, frozen=True, kw_only=True):
    """A pod."""

    metadata: Metadata | None = None
    spec: Spec
    status: Status | None = None


def convert(pod: object) -> PodFields:
    """Return the fields of a pod.

    Raises:
        PodRefused: One has another type than Kubernetes gives it, or is beyond a limit above.
    """
    try:
        return msgspec.convert(pod, PodFields)
    except msgspec.ValidationError as error:
        raise PodRefused(_sentence(error)) from error
    except UnicodeEncodeError as error:
        raise PodRefused("the pod holds text that is not Unicode: a lone surrogate") from error


def _sentence(error: msgspec.ValidationError) -> str:
    """Turn msgspec's message into ours: the place first, as a person writes it in YAML."""
    message, _, place = str(error).partition(" - at `$")
    where = place.rstrip("`").lstrip(".") or "the pod"
    if "`str` of length <=" in message:
        return f"{where} is longer than {PATH_LIMIT:,} characters, which is the longest path"
    if "length <=" in message:
        limit = message.rpartition(" ")[2]
        return f"{where} has too many entries: {limit} are allowed beside a model"
    return f"{where}: {message[0].lower()}{message[1:]}, as Kubernetes defines it"
