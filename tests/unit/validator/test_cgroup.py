from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.processes import limited
from validator.limits.cgroup import granted_cpus, granted_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1024 * 1024
NO_LIMIT = str(0x7FFF_FFFF_FFFF_F000)
"""The memory limit of version 1 where there is none."""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes what the kernel of a node with 16 cores shows of cgroups."""
    mount, own = tmp_path / "cgroup", tmp_path / "own"
    monkeypatch.setattr("validator.limits.cgroup._MOUNT", mount)
    monkeypatch.setattr("validator.limits.cgroup._OWN", own)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))

    def write(lines: str, files: dict[str, str]) -> None:
        own.write_text(lines)
        for name, content in files.items():
            path = mount / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")

    return write


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 16),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1000 100000", 1),
        ("9000000 100000", 16),
        ("20000 10000", 2),
        ("", 16),
        ("nonsense", 16),
        ("100000 0", 16),
    ],
)
def test_a_quota_of_version_2_is_rounded_up_to_cores(
    kernel: Callable[..., None], quota: str, cores: int
) -> None:
    """A container with half a core has one thread, and none has more than the node's cores."""
    kernel("0::/\n", {"cpu.max": quota})
    assert granted_cpus() == cores


def test_the_least_of_all_cgroups_above_counts(kernel: Callable[..., None]) -> None:
    """A pod's limit holds for its containers, whatever theirs is."""
    kernel(
        "0::/pods/pod/container\n",
        {
            "pods/pod/container/cpu.max": "max 100000",
            "pods/pod/cpu.max": "300000 100000",
            "pods/cpu.max": "800000 100000",
            "pods/pod/container/memory.max": str(256 * MIB),
            "pods/pod/memory.max": "max",
            "pods/memory.max": str(4096 * MIB),
            "other/memory.max": "1",
        },
    )
    assert granted_cpus() == 3
    assert granted_memory() == 256 * MIB


def test_a_container_of_version_1_sees_its_cgroup_at_the_mount(
    kernel: Callable[..., None],
) -> None:
    """The path in /proc is the node's, and leads to nothing in the container."""
    kernel(
        "5:cpu,cpuacct:/kubepods/pod/container\n4:memory:/kubepods/pod/container\n0::/\n",
        {
            "cpu/cpu.cfs_quota_us": "250000",
            "cpu/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": str(128 * MIB),
        },
    )
    assert granted_cpus() == 3
    assert granted_memory() == 128 * MIB


def test_a_process_of_version_1_has_the_limits_on_its_path(kernel: Callable[..., None]) -> None:
    """On the node itself the whole hierarchy is there, without limits at its root."""
    kernel(
        "2:cpuacct,cpu:/system/job\n1:memory:/system/job\n",
        {
            "cpu/cpu.cfs_quota_us": "-1",
            "cpu/cpu.cfs_period_us": "100000",
            "cpu/system/cpu.cfs_quota_us": "400000",
            "cpu/system/cpu.cfs_period_us": "200000",
            "cpu/system/job/cpu.cfs_quota_us": "-1",
            "cpu/system/job/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": NO_LIMIT,
            "memory/system/job/memory.limit_in_bytes": str(64 * MIB),
        },
    )
    assert granted_cpus() == 2
    assert granted_memory() == 64 * MIB


def test_a_path_outside_of_the_mount_is_not_followed(kernel: Callable[..., None]) -> None:
    """A process that was moved out of its namespace's root sees a path with dots."""
    kernel("0::/../../other\n", {"memory.max": "1000", "../memory.max": "1"})
    assert granted_memory() == 1000


def test_without_cgroups_nothing_is_limited(kernel: Callable[..., None], tmp_path: Path) -> None:
    """A machine without the file system has its cores, and no limit of memory."""
    kernel("", {})
    assert granted_cpus() == 16
    assert granted_memory() is None
    (tmp_path / "own").unlink()
    assert granted_cpus() == 16


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1, 1)])
def test_the_kernel_says_what_it_grants(cpus: float, threads: int) -> None:
    """In a real cgroup, whichever version this machine has."""
    code = (
        "from validator.limits.cgroup import granted_memory as memory;"
        "from validator.tree.digests.hashing import default_jobs as jobs; print(jobs(), memory())"
    )
    try:
        with limited(cpus=cpus, memory=128 * MIB) as within:
            command = [*within, sys.executable, "-c", code]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except SystemExit as refused:
        pytest.skip(f"a cgroup needs root, and a hierarchy that may be written: {refused}")
    assert said.split() == [str(threads), str(128 * MIB)]
