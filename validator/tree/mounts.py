"""Check that the path to a model stays on the volume that it leads to.

A gate sees the model's volume, and others for signatures and second models; the
workload may have something else where those are. A link on a volume that leads
out of it would thus be followed to one content here and to another one there.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from validator.errors import Undecided

if TYPE_CHECKING:
    from collections.abc import Collection

    from validator.limits import Limits
    from validator.paths import StrPath

_MOUNTINFO: Final = "/proc/self/mountinfo"
_POINT: Final = 4
"""Its column with the mount point (proc_pid_mountinfo(5)), octal escapes for white space."""
_DEVICE: Final = 2
"""Its column with the device, major:minor."""

_WITHOUT_INODES: Final = ("fuse", "cifs", "smb3")
"""Types of file systems whose inode numbers may be made by the client, and made anew: FUSE
(`use_ino` is off by default in libfuse), and SMB (`noserverino`)."""


def mount_points() -> frozenset[str]:
    """Return where this process sees file systems mounted.

    Raises:
        Undecided: The kernel does not say.
    """
    try:
        with open(_MOUNTINFO, encoding="utf-8", errors="surrogateescape") as lines:
            points = [line.split(" ")[_POINT] for line in lines]
    except (OSError, IndexError) as error:
        raise Undecided(f"the mounted volumes cannot be read from {_MOUNTINFO}") from error
    return frozenset(
        re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point) for point in points
    )


def devices_without_inodes() -> frozenset[int]:
    """Return the devices whose inode numbers do not last; none, where the kernel does not say."""
    devices = set()
    try:
        with open(_MOUNTINFO, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                columns, _, file_system = line.partition(" - ")
                if file_system.partition(" ")[0].partition(".")[0] in _WITHOUT_INODES:
                    major, _, minor = columns.split(" ")[_DEVICE].partition(":")
                    devices.add(os.makedev(int(major), int(minor)))
    except (OSError, ValueError, IndexError):
        return frozenset()  # a number that changes is then a change, which is the safe side
    return frozenset(devices)


def leaves_its_volume(path: StrPath, *, points: Collection[str], limits: Limits) -> bool:
    """Tell whether a link on a volume leads out of it, on the way along an absolute path.

    Links of the root file system, the image's own, are followed; so are those to nothing.
    """
    done: list[str] = []
    pending = os.fspath(path).split("/")[::-1]
    volume: str | None = None  # that of the first link
    links = 0
    while pending:
        component = pending.pop()
        if component == "..":
            done = done[:-1]
        elif component not in {"", "."}:
            here = "/".join(["", *done, component])
            if os.path.islink(here):
                links += 1
                if links > limits.links:
                    return False  # which is refused for what it is
                if (holder := _holding(done, points)) != "/":
                    volume = volume or holder
                target = os.readlink(here)
                done = [] if target.startswith("/") else done
                pending += target.split("/")[::-1]
            else:
                done.append(component)
        if volume and _holding(done, points) != volume:
            return True
    return False


def _holding(components: list[str], points: Collection[str]) -> str:
    """Return the mount point of a path without links."""
    for count in range(len(components), 0, -1):
        if (above := "/".join(["", *components[:count]])) in points:
            return above
    return "/"
