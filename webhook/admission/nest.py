"""The mounts of a container within one of its own volumes.

A runtime mounts outer paths first, and follows the links of what it has mounted already: a link
on the outer volume leads the inner mount to another place of the container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from validator import contract
from validator.paths import canonical, covers
from webhook.admission.pod import Placed
from webhook.admission.wire import Mount

if TYPE_CHECKING:
    from collections.abc import Iterator


_LINKED: Final = {
    "/bin": "/usr/bin",
    "/lib": "/usr/lib",
    "/lib64": "/usr/lib64",
    "/sbin": "/usr/sbin",
    "/var/lock": "/run/lock",
    "/var/run": "/run",
}
"""Folders that are links in the images of nearly all distributions, and where they lead."""

_LINKS: Final = tuple(_LINKED)

_OF_THE_RUNTIME: Final = frozenset(
    {"/dev/shm", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
    | {contract.TERMINATION_MESSAGE_PATH}
)
"""Paths that a runtime mounts into each container beside those that the pod names."""


class Nest(msgspec.Struct, frozen=True, kw_only=True):
    """A path at which a container has something mounted, and the volume within which it lies.

    Attributes:
        placed: The container.
        outer: The mount of the volume.
        path: The path, canonical.
    """

    placed: Placed
    outer: Mount
    path: str

    @property
    def below(self) -> str:
        """The path relative to the volume's mount."""
        return self.path.removeprefix(one_place(self.outer.at)).lstrip("/")

    @property
    def is_the_runtimes(self) -> bool:
        """Whether the path is one that no pod asks for, and the runtime has more of its kind."""
        return self.path in _OF_THE_RUNTIME


def one_place(path: str) -> str:
    """Return a canonical path with the links of a usual image resolved: /var/run is /run."""
    if path.startswith(_LINKS):  # as few do
        for link, target in _LINKED.items():
            if covers(link, path):
                return target + path.removeprefix(link)
    return path


def nests(placed: Placed) -> Iterator[Nest]:
    """Yield what a container has mounted within its volumes, each by the innermost volume."""
    outer = {one_place(mount.at): mount for mount in placed.mounts}
    message = placed.view.termination_message_path or contract.TERMINATION_MESSAGE_PATH
    devices = (one_place(device.at) for device in placed.devices)
    around: list[str] = []
    # With a slash at its end, each path comes right before all that lie within it.
    for path in sorted({*outer, *devices, canonical(message), *_OF_THE_RUNTIME}, key=_ended):
        while around and not covers(around[-1], path):
            around.pop()
        if around:
            yield Nest(placed=placed, outer=outer[around[-1]], path=path)
        if path in outer:
            around.append(path)


def _ended(path: str) -> str:
    return path if path == "/" else f"{path}/"
