"""Seconds and memory of a gate against bytes, files, shards, links and cores.

    python -m benchmarks.growth [--rounds 3] [--only NAME...] [--folder DIR]

Writes the figures of docs/plots. Whole processes, warm: the files have just been written, and are
in the page cache. A gigabyte of disk is needed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks import memory, series
from benchmarks.processes import MIB, measure
from benchmarks.series import Line, Plot
from validator import contract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GATE: Final = [sys.executable, "-I", "-m", "validator", "verify", "policy", "--progress=none"]

BYTES: Final = (64, 128, 256, 512, 1024)
"""MiB of a model."""
SHARD: Final = 64
"""MiB of a shard, where there are shards."""
SHARDS: Final = (1, 2, 4, 16, 64, 256)
"""Of a file of 512 MiB."""
FILES: Final = (100, 1000, 3000, 10_000, 30_000)

Point = tuple[float, float]


@contextmanager
def sized(folder: Path, mebibytes: int, *, files: int = 1, shards: int = 1) -> Iterator[str]:
    """Make a model of so many MiB in all, that the reference signs; yield its policy."""
    file_bytes = mebibytes * MIB // files
    sizes = (files, file_bytes, file_bytes // shards if shards > 1 else 0)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=folder) as place:
        command = [sys.executable, "-m", "benchmarks.models", place, *map(str, sizes)]
        subprocess.run(command, check=True)  # noqa: S603 — our own program
        shutil.move(f"{place}/model.sig", f"{place}/model/model.sig")
        yield memory.policy(Path(place, "model"), Path(place, "key.pub").read_text())


@contextmanager
def counted(folder: Path, files: int, *, links: bool = False) -> Iterator[str]:
    """Make a model of so many files of a byte each, or links to one; yield its policy."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=folder) as place:
        key = memory.make(Path(place), files, links=links)
        yield memory.policy(Path(place, "model"), key)


def seconds(policy: str, rounds: int) -> float:
    """Return how long a gate takes, the median."""
    os.environ[contract.POLICY_VARIABLE] = policy
    taken = []
    for _ in range(rounds):
        with tempfile.NamedTemporaryFile() as log:
            sample = measure(GATE, Path(log.name))
            if sample.code:
                raise SystemExit(f"the gate failed: {Path(log.name).read_text()}")
        taken.append(sample.seconds)
    return median(taken)


def by_bytes(folder: Path, rounds: int) -> None:
    """Measure one file, signed whole and in shards."""
    lines: dict[str, list[Point]] = {"signed whole": [], "in shards of 64 MiB": []}
    for size in BYTES:
        for name, shards in zip(lines, (1, size // SHARD), strict=True):
            with sized(folder, size, shards=shards) as policy:
                lines[name].append((size, seconds(policy, rounds)))
    _write("bytes", "Verification of one file, by its size", "MiB", "seconds", lines)


def by_shards(folder: Path, rounds: int) -> None:
    """Measure one file, signed in ever more shards."""
    points: list[Point] = []
    for shards in SHARDS:
        with sized(folder, 512, shards=shards) as policy:
            points.append((shards, seconds(policy, rounds)))
    _write(
        "shards", "Verification of 512 MiB, by shards", "shards", "seconds", {"one file": points}
    )


def by_files(folder: Path, rounds: int) -> None:
    """Measure files and links of a byte, in time and memory."""
    times: dict[str, list[Point]] = {"files": [], "links": []}
    peaks: dict[str, list[Point]] = {"files": [], "links": []}
    for name, count in ((name, count) for name in times for count in FILES):
        with counted(folder, count, links=name == "links") as policy:
            times[name].append((count, seconds(policy, rounds)))
            peaks[name].append((count, memory.gate(policy)))
    what = "files or links of a byte"
    _write("files", "Verification of many small files", what, "seconds", times)
    _write("files-mib", "Memory of a gate at its peak", what, "MiB", peaks)


def by_cores(folder: Path, rounds: int) -> None:
    """Measure four files, with ever more of the machine's cores."""
    cores = sorted(os.sched_getaffinity(0))
    points: list[Point] = []
    with sized(folder, 512, files=4) as policy:
        for count in range(1, len(cores) + 1):
            os.sched_setaffinity(0, cores[:count])
            points.append((count, seconds(policy, rounds)))
    os.sched_setaffinity(0, cores)
    title = "Verification of 4 files of 128 MiB, by cores"
    _write("cores", title, "cores", "seconds", {"4 files": points})


MEASURED: Final[dict[str, Callable[[Path, int], None]]] = {
    "bytes": by_bytes,
    "shards": by_shards,
    "files": by_files,
    "cores": by_cores,
}


def _write(name: str, title: str, x: str, y: str, lines: dict[str, list[Point]]) -> None:
    drawn = tuple(Line(name=of, points=tuple(points)) for of, points in lines.items())
    series.write(f"verify-{name}", Plot(title=title, x=x, y=y, lines=drawn))
    sys.stdout.write(f"\n| {x} | {' | '.join(f'{of}, {y}' for of in lines)} |\n")
    sys.stdout.write(f"|---|{'---|' * len(lines)}\n")
    for points in zip(*lines.values(), strict=True):
        cells = " | ".join(f"{value:.3g}" for _, value in points)
        sys.stdout.write(f"| {points[0][0]:,} | {cells} |\n")
    sys.stdout.flush()


def main() -> None:
    """Print tables, and write the figures."""
    parser = argparse.ArgumentParser(description="Measure how a gate's costs grow.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=MEASURED, nargs="*", default=list(MEASURED))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    for name in options.only:
        MEASURED[name](options.folder, options.rounds)


if __name__ == "__main__":
    main()
