"""Whole processes, measured: time, CPU and peak memory, in cgroups of their own where asked."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

PERIOD: Final = 100_000
"""Microseconds of a CPU quota's period, as the kubelet sets it."""

PEAK: Final = """
import os, runpy, sys
end = os._exit
def written(code):
    # Not ru_maxrss, which a process inherits from the one that started it.
    sys.stderr.write(open("/proc/self/status").read())
    sys.stderr.flush()
    end(code)
os._exit = written
sys.argv.pop(0)
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""A program that runs a module, and at its end writes its own status to standard error."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One process: seconds from start to end and of all cores, MiB at its peak, exit code."""

    seconds: float
    cpu: float
    memory: float
    code: int


def measure(command: list[str], log: Path) -> Sample:
    """Run a process to its end, its output in a file."""
    return together([command], log)[0]


def together(commands: Iterable[list[str]], log: Path) -> list[Sample]:
    """Run several processes at once to their ends."""
    running: dict[int, float] = {}
    samples: dict[int, Sample] = {}
    with log.open("wb") as output:
        to_log = [(os.POSIX_SPAWN_DUP2, output.fileno(), stream) for stream in (1, 2)]
        for command in commands:
            began = time.perf_counter()
            running[os.posix_spawn(command[0], command, os.environ, file_actions=to_log)] = began
        for _ in range(len(running)):
            process, status, usage = os.wait4(-1, 0)
            seconds = time.perf_counter() - running[process]
            cpu = usage.ru_utime + usage.ru_stime
            code = os.waitstatus_to_exitcode(status)
            samples[process] = Sample(seconds, cpu, usage.ru_maxrss / 1024, code)
    return [samples[process] for process in running]


def peak_of_all(command: list[str], log: Path, **variables: str) -> float:
    """Run a process, and return the peak in MiB of its memory and its children's.

    Some variables are added to its environment. The peak is its resident set, and the children's
    private pages: a page that they share with it counts once. It is looked at every few
    milliseconds, not in a run whose time is measured.
    """
    most = 0
    with log.open("wb") as output:
        to_log = [(os.POSIX_SPAWN_DUP2, output.fileno(), stream) for stream in (1, 2)]
        environment = os.environ | variables
        own = os.posix_spawn(command[0], command, environment, file_actions=to_log)
        while not os.waitpid(own, os.WNOHANG)[0]:
            memory = _memory(own, "Rss:")
            for child in _children(own):
                memory += _memory(child, "Private_Clean:", "Private_Dirty:")
            most = max(most, memory)
            time.sleep(0.003)
    return most / 1024


def _children(process: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())


def _memory(process: int, *names: str) -> int:
    """Return some lines of a process' smaps_rollup added up, in KiB; 0, where it has ended."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(names))
    return 0


def peak(status: str) -> float:
    """Return the peak of a process' resident set in MiB, from its status in /proc."""
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def make_model(place: Path, *, files: int, file_bytes: int, shard_bytes: int = 0) -> None:
    """Write a model and have it signed, in a process of its own."""
    sizes = [str(size) for size in (files, file_bytes, shard_bytes)]
    command = [sys.executable, "-m", "benchmarks.models", str(place), *sizes]
    made = measure(command, place / "log")
    if made.code:
        sys.exit(f"the model could not be made: {(place / 'log').read_text()}")


def ours(place: Path, *options: str) -> list[str]:
    """Return the command that verifies such a model."""
    return [
        *(sys.executable, "-I", "-m", "validator", "verify", "key", str(place / "model")),
        *("--progress=none", f"--signature={place}/model.sig", f"--public-key={place}/key.pub"),
        *options,
    ]


def forget(folder: Path) -> None:
    """Drop a folder's files from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


@contextlib.contextmanager
def limited(
    *, cpus: float | None = None, memory: int | None = None, disk: tuple[Path, int] | None = None
) -> Iterator[list[str]]:
    """Make a cgroup with limits; yield the beginning of commands that run in it.

    `disk` is a file or folder, and the bytes a second that are read from the disk it is on. Needs
    root, and a hierarchy of version 1, or of version 2 that may be written.
    """
    root = Path("/sys/fs/cgroup")
    name = f"benchmark-{os.getpid()}"
    device = disk[0].stat().st_dev if disk else 0
    number = f"{os.major(device)}:{os.minor(device)}"
    if (root / "cpu").is_dir():
        folders = {part: root / part / name for part in ("cpu", "memory", "blkio")}
        files = {
            folders["cpu"] / "cpu.cfs_period_us": str(PERIOD) if cpus else None,
            folders["cpu"] / "cpu.cfs_quota_us": str(round(cpus * PERIOD)) if cpus else None,
            folders["memory"] / "memory.limit_in_bytes": str(memory) if memory else None,
            folders["blkio"] / "blkio.throttle.read_bps_device": (
                f"{number} {disk[1]}" if disk else None
            ),
        }
    else:
        folders = {"": root / name}
        (root / "cgroup.subtree_control").write_text("+cpu +memory +io")
        files = {
            root / name / "cpu.max": f"{round(cpus * PERIOD)} {PERIOD}" if cpus else None,
            root / name / "memory.max": str(memory) if memory else None,
            root / name / "io.max": f"{number} rbps={disk[1]}" if disk else None,
        }
    joined = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in folders.values())
    made = []
    try:
        for folder in folders.values():
            folder.mkdir()
            made.append(folder)
        for path, text in files.items():
            if text is not None:
                path.write_text(text)
        yield ["/bin/sh", "-c", f'{joined}; exec "$@"', "sh"]
    except OSError as error:
        sys.exit(f"no cgroup can be made here: {error}")
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, row by row as they are made."""
    sys.stdout.write(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n")
    for row in rows:
        sys.stdout.write(f"| {' | '.join(map(str, row))} |\n")
        sys.stdout.flush()


def write_json(path: Path | None, found: Any) -> None:
    """Write figures for programs, with the machine that they are of."""
    if path is not None:
        machine = {
            "cores": len(os.sched_getaffinity(0)),
            "python": sys.version.split()[0],
            "load": os.getloadavg()[0],
            "commit": subprocess.run(
                ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 — the user's own
                capture_output=True,
                text=True,
                check=False,
            ).stdout.strip(),
        }
        path.write_text(json.dumps({"machine": machine, "figures": found}, indent=1) + "\n")
