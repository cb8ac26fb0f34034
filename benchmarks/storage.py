"""Measure verification on slow storage, beside a plain reader that hashes nothing.

    python -m benchmarks.storage [--mib N] [--rounds N] [--rates N...] [--milliseconds N...]
        [--json FILE]

The disk itself, not from the page cache; the disk held to a rate in MB/s, as slower ones have it
(a cgroup's limit); and a FUSE volume of which each answer takes some milliseconds, as those of
network and object storage do (`slow_volume.py`). Root and /dev/fuse are needed. One large file,
signed whole and in 16 shards, and small files.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks import processes, slow_volume
from benchmarks.processes import KIB, MIB
from benchmarks.start_cost import LOADER

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL_FILES: Final = 300
SHARDS: Final = 16


@dataclasses.dataclass(frozen=True, slots=True)
class Storage:
    """The disk, held to a rate in MB/s; or a volume whose answers take some milliseconds."""

    name: str
    rate: int | None = None
    milliseconds: float | None = None

    @contextlib.contextmanager
    def of(self, model: Path, point: Path) -> Iterator[tuple[Path, list[str]]]:
        """Yield where a model is read, and the beginning of the commands that read it."""
        if self.milliseconds is not None:
            with slow_volume.mounted(model, point, milliseconds=self.milliseconds):
                yield point, []
        elif self.rate is not None:
            with processes.limited(disk=(model, self.rate * 1_000_000)) as within:
                yield model, within
        else:
            yield model, []


def turns(model: Path, point: Path, rounds: int, storage: Storage) -> tuple[float, float]:
    """Return the median seconds of the plain reader and of ours, which take turns."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for ours, times in enumerate(taken):
            with storage.of(model, point) as (place, within):
                processes.forget(model)
                reader = [sys.executable, "-I", "-c", LOADER, str(place / "model")]
                log = point.parent / "log"
                command = [*within, *(processes.ours(place) if ours else reader)]
                sample = processes.measure(command, log)
                if sample.code:
                    sys.exit(f"a reader failed: {log.read_text()}")
                times.append(sample.seconds)
    return median(taken[0]), median(taken[1])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=int, nargs="*", default=(200, 500, 1000), help="MB/s")
    parser.add_argument("--milliseconds", type=float, nargs="*", default=(1, 5))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    size = asked.mib * MIB
    shapes = {
        "one file": (1, size, 0),
        "one file in shards": (1, size, size // SHARDS),
        f"{SMALL_FILES} small files": (SMALL_FILES, 4 * KIB, 0),
    }
    storages = [Storage("disk")]
    storages += [Storage(f"disk at {rate} MB/s", rate=rate) for rate in asked.rates]
    storages += [
        Storage(f"{each:g} ms an answer", milliseconds=each) for each in asked.milliseconds
    ]
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=asked.folder) as name:
        models = {shape: Path(name, str(number)) for number, shape in enumerate(shapes)}
        for shape, (files, file_bytes, shard_bytes) in shapes.items():
            models[shape].mkdir()
            processes.make_model(
                models[shape], files=files, file_bytes=file_bytes, shard_bytes=shard_bytes
            )

        def rows() -> Iterator[list[str]]:
            for storage in storages:
                for shape, model in models.items():
                    plain, ours = turns(model, Path(name, "volume"), asked.rounds, storage)
                    found.append(
                        {"storage": storage.name, "model": shape, "plain": plain, "ours": ours}
                    )
                    yield [
                        storage.name,
                        shape,
                        f"{plain:.2f}",
                        f"{ours:.2f}",
                        f"{plain / ours:.2f}",
                    ]

        columns = ["storage", "model", "plain reader, s", "ours, s", "of the plain reader's rate"]
        processes.table(columns, rows())
    processes.write_json(asked.json, found)


if __name__ == "__main__":
    main()
