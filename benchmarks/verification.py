"""Measure `model-validator verify key` side by side with its peers and a floor.

    python -m benchmarks.verification [--scale small|full] [--rounds N] [--only MODEL...]
        [--cold] [--go PROGRAM] [--model-signing PROGRAM] [--folder DIR] [--json FILE]

Whole processes, wall-clock time and peak memory; the contenders take turns, and
medians are compared, so that a noisy neighbour hits all of them. Warm: the
files have just been read by the signer; with `--cold` they are dropped from the
page cache before each turn.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import disk_usage
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks import processes
from benchmarks.processes import GIB, KIB, MIB, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

IMPORTS: Final = (
    "import argparse, hashlib; from cryptography.hazmat.primitives.asymmetric import ec"
)
"""The least that any verifier by key in Python loads."""


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


def commands(shape: Shape, place: str, asked: argparse.Namespace) -> dict[str, list[str]]:
    """Return each contender's command line."""
    model = f"{place}/model"
    shards = [str(shape.shard_bytes)] if shape.shard_bytes else []
    python = sys.executable
    reference = [asked.model_signing] if asked.model_signing else [python, "-m", "model_signing"]
    key = f"{place}/key.pub"
    options = ["verify", "key", model, f"--signature={place}/model.sig"]
    found = {
        "floor": [python, "-m", "benchmarks.floor", model, *shards],
        "ours": processes.ours(Path(place)),
        "reference": [*reference, *options, f"--public_key={key}"],
    }
    if asked.go:
        found["go"] = [asked.go, *options, f"--public-key={key}"]
    if shape.name == "tiny":
        found["imports"] = [python, "-I", "-c", IMPORTS]
    return found


def compare(shape: Shape, asked: argparse.Namespace) -> dict[str, list[Sample]]:
    """Make a model, let the contenders take turns, and return their samples."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=asked.folder) as name:
        place = Path(name)
        processes.make_model(
            place, files=shape.files, file_bytes=shape.file_bytes, shard_bytes=shape.shard_bytes
        )
        contenders = commands(shape, name, asked)
        samples: dict[str, list[Sample]] = {name: [] for name in contenders}
        log = place / "log"
        for _ in range(asked.rounds):
            for contender, command in contenders.items():
                if asked.cold:
                    processes.forget(place / "model")
                sample = processes.measure(command, log)
                if sample.code and contender in {"floor", "ours"}:
                    sys.exit(f"{contender} failed on {shape.name}: {log.read_text()}")
                samples[contender].append(sample)
        for contender, command in contenders.items():
            memory = processes.peak_of_all(command, log)
            found = samples[contender]
            samples[contender] = [replace(each, memory=max(each.memory, memory)) for each in found]
    return samples


def medians(samples: list[Sample]) -> dict[str, Any]:
    """Return seconds, CPU seconds and MiB of a contender; and whether it refused."""
    return {
        "seconds": median(sample.seconds for sample in samples),
        "cpu": median(sample.cpu for sample in samples),
        "memory": max(sample.memory for sample in samples),
        "refused": any(sample.code for sample in samples),
    }


def row(name: str, found: dict[str, dict[str, Any]], others: list[str]) -> list[str]:
    """Return a table's row: figures, and ratios of ours to the others by time and by CPU."""

    def cell(contender: str) -> str:
        if (one := found.get(contender)) is None:
            return ""
        note = " (refuses)" if one["refused"] else ""
        return f"{one['seconds']:.2f} / {one['cpu']:.2f} / {one['memory']:.0f}{note}"

    def ratio(contender: str) -> str:
        if (one := found.get(contender)) is None or one["refused"]:
            return ""
        mine = found["ours"]
        return f"{mine['seconds'] / one['seconds']:.2f} ({mine['cpu'] / one['cpu']:.2f})"

    return [name, cell("ours"), *map(cell, others), *map(ratio, others)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=[shape.name for shape in SCALES["small"]], nargs="*")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--cold", action="store_true", help="not from the page cache")
    parser.add_argument("--go", metavar="PROGRAM", help="the Go implementation's command")
    parser.add_argument("--model-signing", metavar="PROGRAM", help="the reference's command")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    shapes = [s for s in SCALES[asked.scale] if not asked.only or s.name in asked.only]
    needed = max(shape.total for shape in shapes) + 256 * MIB
    if disk_usage(asked.folder).free < needed:
        sys.exit(f"{asked.folder} has less than {needed // MIB:,} MiB left: name another")
    others = ["floor", "imports", "reference", *(["go"] if asked.go else [])]
    sys.stdout.write(
        f"{asked.scale}, {'cold' if asked.cold else 'warm'}, {len(os.sched_getaffinity(0))} cores, "
        f"{asked.rounds} rounds; seconds / CPU seconds (medians) / MiB (peak); ratios of ours by "
        "time (by CPU)\n\n"
    )
    found = {}

    def rows() -> Iterator[list[str]]:
        for shape in shapes:
            samples = compare(shape, asked)
            found[shape.name] = {name: medians(each) for name, each in samples.items()}
            yield row(shape.name, found[shape.name], others)

    processes.table(["model", "ours", *others, *(f"ours : {name}" for name in others)], rows())
    processes.write_json(asked.json, found)


if __name__ == "__main__":
    main()
