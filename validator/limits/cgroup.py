"""CPU and memory as the container's cgroup grants them, of version 2 or 1.

Affinity and the machine's memory say what the node has: a gate with a limit of 2 CPUs on a node of
128 cores would start 128 threads. What cannot be read is no limit.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOUNT: Final = "/sys/fs/cgroup"
_OWN: Final = "/proc/self/cgroup"
"""Lines of number, controllers and path (cgroups(7)); version 2 has no controllers there."""


def granted_cpus() -> int:
    """Return how many cores can be kept busy: those of the process, or the quota, rounded up."""
    quotas = _texts("cpu", "cpu.cfs_quota_us")
    periods = _texts("cpu", "cpu.cfs_period_us")
    # Version 1 has in two files what version 2 has in one.
    former = (f"{quota} {period}" for quota, period in zip(quotas, periods, strict=False))
    granted = [_cores(text) for text in (*_texts("", "cpu.max"), *former)]
    return max(1, math.ceil(min([len(os.sched_getaffinity(0)), *granted])))


def granted_memory() -> int | None:
    """Return the memory that this process may use, in bytes; None, if nobody says."""
    said = (*_texts("", "memory.max"), *_texts("memory", "memory.limit_in_bytes"))
    return min((int(text) for text in said if text.isdecimal()), default=None)


def _cores(text: str) -> float:
    """Return a quota and its period as cores; infinite where there is no quota ("max", or -1)."""
    match text.split():
        case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period):
            return int(quota) / int(period)
    return math.inf


def _texts(controller: str, name: str) -> Iterator[str]:
    """Yield what a file says in the process' own cgroup and in all above it.

    In a container, the mount's root is its own cgroup, while the path may still be the node's, of
    which nothing is there.

    Args:
        controller: Of version 1; "" for version 2.
        name: The file's.
    """
    mount = f"{_MOUNT}/{controller}".rstrip("/")
    below = _own_path(controller)
    while below:
        yield _text(f"{mount}/{below}/{name}")
        below = below.rpartition("/")[0]
    yield _text(f"{mount}/{name}")


def _own_path(controller: str) -> str:
    """Return the path of the process' own cgroup, below the hierarchy's mount."""
    for line in _text(_OWN).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            # A path that begins with ".." lies outside of what is mounted here.
            return "" if ".." in path.split("/") else path.strip("/")
    return ""


def _text(path: str) -> str:
    """Return what a file says; nothing, where it is not there, or of the other version."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip()
    except OSError:
        return ""
