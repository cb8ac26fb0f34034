"""Measure `model-validator verify key` side by side with the reference and a floor.

    python -m benchmarks.verification [--scale small|full] [--rounds N] [--folder DIR]

Whole processes, wall-clock time and peak memory; the contenders take turns, and
medians are compared, so that a noisy neighbour hits all of them. Warm: the
files have just been read by the signer.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from statistics import median
from typing import Final

CONTENDERS: Final = ("floor", "ours", "reference")

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's shape: so many files of so many bytes, hashed whole or in shards."""

    name: str
    files: int
    file_bytes: int
    shard_bytes: int = 0

    @property
    def total(self) -> int:
        """The model's size in bytes."""
        return self.files * self.file_bytes


SCALES: Final = {
    "small": (
        Shape("tiny", 6, 17 * KIB),
        Shape("big", 4, 64 * MIB),
        Shape("one", 1, 256 * MIB),
        Shape("one in shards", 1, 256 * MIB, 64 * MIB),
        Shape("many", 3_000, 4 * KIB),
    ),
    "full": (
        Shape("tiny", 6, 17 * KIB),
        Shape("big", 4, GIB),
        Shape("one", 1, 4 * GIB),
        Shape("one in shards", 1, 4 * GIB, GIB),
        Shape("many", 30_000, 4 * KIB),
    ),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One process: seconds from start to end and of all cores, MiB at its peak, exit code."""

    seconds: float
    cpu: float
    memory: float
    code: int


def measure(command: list[str], log: Path) -> Sample:
    """Run a process to its end, its output in a file."""
    with log.open("wb") as output:
        to_log = [(os.POSIX_SPAWN_DUP2, output.fileno(), stream) for stream in (1, 2)]
        began = time.perf_counter()
        process = os.posix_spawn(command[0], command, os.environ, file_actions=to_log)
        _, status, usage = os.wait4(process, 0)
        seconds = time.perf_counter() - began
    cpu = usage.ru_utime + usage.ru_stime
    return Sample(seconds, cpu, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))


def commands(shape: Shape, place: str) -> dict[str, list[str]]:
    """Return each contender's command line."""
    model, signature, key = (f"{place}/{name}" for name in ("model", "model.sig", "key.pub"))
    shards = [str(shape.shard_bytes)] if shape.shard_bytes else []
    python = sys.executable
    ours = [python, "-I", "-m", "validator", "verify", "key", model, "--progress=none"]
    reference = [python, "-m", "model_signing", "verify", "key", model]
    return {
        "floor": [python, "-m", "benchmarks.floor", model, *shards],
        "ours": [*ours, f"--signature={signature}", f"--public-key={key}"],
        "reference": [*reference, f"--signature={signature}", f"--public_key={key}"],
    }


def compare(shape: Shape, folder: Path, rounds: int) -> dict[str, list[Sample]]:
    """Make a model, let the contenders take turns, and return their samples."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=folder) as place:
        sizes = [str(size) for size in (shape.files, shape.file_bytes, shape.shard_bytes)]
        made = measure(
            [sys.executable, "-m", "benchmarks.models", place, *sizes], Path(place, "log")
        )
        if made.code:
            sys.exit(f"{shape.name} could not be made: {Path(place, 'log').read_text()}")
        samples: dict[str, list[Sample]] = {name: [] for name in CONTENDERS}
        log = Path(place, "log")
        for _ in range(rounds):
            for name, command in commands(shape, place).items():
                sample = measure(command, log)
                if sample.code and name != "reference":
                    sys.exit(f"{name} failed on {shape.name}: {log.read_text()}")
                samples[name].append(sample)
    return samples


def row(shape: Shape, samples: dict[str, list[Sample]]) -> str:
    """Return a table's row: medians, and ratios of ours to the others by time and by CPU."""
    refused = any(sample.code for sample in samples["reference"])
    wall = {name: median(sample.seconds for sample in samples[name]) for name in CONTENDERS}
    cpu = {name: median(sample.cpu for sample in samples[name]) for name in CONTENDERS}
    memory = {name: max(sample.memory for sample in samples[name]) for name in CONTENDERS}

    def cell(name: str) -> str:
        note = " (refuses)" if refused and name == "reference" else ""
        return f"{wall[name]:.2f} / {cpu[name]:.2f} / {memory[name]:.0f}{note}"

    def ratio(name: str) -> str:
        return f"{wall['ours'] / wall[name]:.2f} ({cpu['ours'] / cpu[name]:.2f})"

    ratios = [ratio("floor"), "" if refused else ratio("reference")]
    return f"| {' | '.join([shape.name, *map(cell, CONTENDERS), *ratios])} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=[shape.name for shape in SCALES["small"]], nargs="*")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    shapes = [s for s in SCALES[arguments.scale] if not arguments.only or s.name in arguments.only]
    needed = max(shape.total for shape in shapes) + 256 * MIB
    if disk_usage(arguments.folder).free < needed:
        sys.exit(f"{arguments.folder} has less than {needed // MIB:,} MiB left: name another")
    sys.stdout.write(
        f"{arguments.scale}, {len(os.sched_getaffinity(0))} cores, {arguments.rounds} rounds; "
        "seconds / CPU seconds (medians) / MiB (peak); ratios by time (by CPU)\n\n"
        "| model | floor | ours | reference | ours : floor | ours : reference |\n"
        "|---|---|---|---|---|---|\n"
    )
    for shape in shapes:
        sys.stdout.write(row(shape, compare(shape, arguments.folder, arguments.rounds)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
