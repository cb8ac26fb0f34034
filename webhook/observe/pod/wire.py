"""The fields of a pod that are read; all others are skipped where it is decoded."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from validator import contract

NAME_LIMIT: Final = 253
"""Characters of a Kubernetes name."""

Key = tuple[str, str]
"""Namespace and name."""


class Wire(msgspec.Struct, frozen=True, rename="camel"):
    """Base of all parts: camelCase names, unknown fields are skipped."""


class Owner(Wire, frozen=True):
    """An owner of a pod."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether it is no longer than names are: a pod's author writes it, and it is held."""
        texts = (self.api_version, self.kind, self.name, self.uid)
        return all(len(text) <= NAME_LIMIT for text in texts)


class Metadata(Wire, frozen=True):
    """Of a pod."""

    name: str
    namespace: str
    uid: str
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[Owner] | None = None


class Variable(Wire, frozen=True):
    """A variable of a container's environment."""

    name: str
    value: str | None = None
    value_from: dict[str, Any] | None = None


class Mount(Wire, frozen=True):
    """A volume's mount in a container."""

    name: str
    mount_path: str


class Container(Wire, frozen=True):
    """An init container, as far as it shows whether it is the gate that we inject."""

    name: str
    image: str = ""
    command: list[str] | None = None
    args: list[str] | None = None
    env: list[Variable] | None = None
    env_from: list[Any] | None = None
    volume_mounts: list[Mount] | None = None
    restart_policy: str | None = None
    lifecycle: dict[str, Any] | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None


class Ended(Wire, frozen=True):
    """The end of a container: `state.terminated`."""

    exit_code: int
    reason: str | None = None
    message: str | None = None
    finished_at: str | None = None


class State(Wire, frozen=True):
    """The state of a container; what it has not is `None`."""

    terminated: Ended | None = None


class ContainerStatus(Wire, frozen=True):
    """A container's status, as the kubelet reports it."""

    name: str
    ready: bool = False
    state: State = State()
    last_state: State = State()

    @property
    def ended(self) -> Ended | None:
        """Its latest end, also while it is tried again."""
        return self.state.terminated or self.last_state.terminated


class Spec(Wire, frozen=True):
    """Of a pod."""

    init_containers: list[Container] | None = None
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    share_process_namespace: bool | None = None


class Status(Wire, frozen=True):
    """Of a pod."""

    phase: str | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class Pod(Wire, frozen=True):
    """A pod."""

    metadata: Metadata
    spec: Spec = Spec()
    status: Status = Status()

    @property
    def gates(self) -> list[Container]:
        """The init containers that bear the gate's name: one, if the API server stored them."""
        named = self.spec.init_containers or ()
        return [each for each in named if each.name == contract.GATE_CONTAINER]

    def state_of(self, name: str) -> ContainerStatus | None:
        """Return what the kubelet says of an init container."""
        said = self.status.init_container_statuses or ()
        return next((each for each in said if each.name == name), None)

    @property
    def owner(self) -> Owner | None:
        """The controller that made it."""
        owners = self.metadata.owner_references or ()
        return next((each for each in owners if each.controller and each.is_bounded), None)
