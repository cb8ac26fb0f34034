"""Measure what the gate, and the monitor after it, add to the start of a pod.

    python -m benchmarks.start_cost [--mib N] [--rounds N] [--starts N...] [--rate N] [--json FILE]

A start ends when a loader has read the whole model. It begins cold: the model is not in the page
cache. With the gate the model is verified before, with the monitor twice. Several starts at once
share the page cache, as the pods of a node do. The model is smaller than memory, and then twice as
large (a cgroup with half of its size, for which root is needed). The slope, from a model of a
quarter of the size to the whole, says what other sizes would take here.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks import processes
from benchmarks.processes import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES: Final = 4
GIGABYTES: Final = (5, 70, 700)
PASSES: Final = {"load": 0, "gate, load": 1, "gate, monitor, load": 2}
"""Verifications before the loader."""

LOADER: Final = """
import os, sys
buffer = bytearray(16 << 20)
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
"""


def start(place: Path, verifications: int, within: list[str]) -> list[str]:
    """Return the command of one start."""
    steps = [processes.ours(place)] * verifications
    steps.append([sys.executable, "-I", "-c", LOADER, str(place / "model")])
    return [*within, "/bin/sh", "-c", " && ".join(map(shlex.join, steps))]


def seconds(place: Path, verifications: int, starts: int, within: list[str]) -> float:
    """Return how long it takes until the last of several starts has ended."""
    processes.forget(place / "model")
    samples = processes.together([start(place, verifications, within)] * starts, place / "log")
    if any(sample.code for sample in samples):
        sys.exit(f"a start failed: {(place / 'log').read_text()}")
    return max(sample.seconds for sample in samples)


def medians(
    place: Path, starts: int, memory: int | None, asked: argparse.Namespace
) -> dict[str, float]:
    """Return the median seconds of each kind of start; they take turns."""
    taken: dict[str, list[float]] = {name: [] for name in PASSES}
    disk = (place, asked.rate * 1_000_000) if asked.rate else None
    with processes.limited(memory=memory, disk=disk) as within:
        for _ in range(asked.rounds):
            for name, passes in PASSES.items():
                taken[name].append(seconds(place, passes, starts, within))
    return {name: median(values) for name, values in taken.items()}


def measured(places: dict[int, Path], asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the medians for the largest model, and the slopes from the smallest to it."""
    small, large = min(places), max(places)
    for share in (None, 2):
        for starts in asked.starts:
            taken = {
                size: medians(place, starts, size // share if share else None, asked)
                for size, place in places.items()
            }
            added = {
                name: {size: taken[size][name] - taken[size]["load"] for size in places}
                for name in list(PASSES)[1:]
            }
            yield {
                "memory": large // share if share else None,
                "rate": asked.rate,
                "starts": starts,
                "seconds": taken[large],
                "addedPerGigabyte": {
                    name: (each[large] - each[small]) / (large - small) * 1e9
                    for name, each in added.items()
                },
            }


def row(found: dict[str, Any]) -> list[str]:
    """Return a table's row."""
    added = found["addedPerGigabyte"].values()
    return [
        "smaller than memory" if found["memory"] is None else "twice the memory",
        str(found["starts"]),
        *(f"{value:.2f}" for value in found["seconds"].values()),
        *(f"{value:.2f}" for value in added),
        *(" / ".join(f"{value * size:,.0f}" for value in added) for size in GIGABYTES),
    ]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, nargs="*", default=(1, 2, 8))
    parser.add_argument("--rate", type=int, help="MB/s that the disk is held to")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=asked.folder) as name:
        places = {size: Path(name, str(size)) for size in (asked.mib * MIB // 4, asked.mib * MIB)}
        for size, place in places.items():
            place.mkdir()
            processes.make_model(place, files=FILES, file_bytes=size // FILES)

        def rows() -> Iterator[list[str]]:
            for one in measured(places, asked):
                found.append(one)
                yield row(one)

        columns = ["model", "starts", *(f"{each}, s" for each in PASSES)]
        columns += ["gate adds, s/GB", "both add, s/GB", *(f"{each} GB, s" for each in GIGABYTES)]
        processes.table(columns, rows())
    processes.write_json(asked.json, found)


if __name__ == "__main__":
    main()
