"""Measure verification on slow storage, beside a plain reader that hashes nothing.

    python -m benchmarks.storage [--mib N] [--rounds N] [--milliseconds N...] [--json FILE]

The disk itself, not from the page cache; and a FUSE volume of which each answer takes some
milliseconds, as those of network and object storage do (`slow_volume.py`; root and /dev/fuse are
needed). One large file, signed whole and in 16 shards, and small files.
"""

from __future__ import annotations

import argparse
import contextlib
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


def turns(model: Path, point: Path, rounds: int, milliseconds: float | None) -> tuple[float, float]:
    """Return the median seconds of the plain reader and of ours, which take turns."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for ours, times in enumerate(taken):
            with contextlib.ExitStack() as stack:
                place = model
                if milliseconds is not None:
                    volume = slow_volume.mounted(model, point, milliseconds=milliseconds)
                    stack.enter_context(volume)
                    place = point
                processes.forget(model)
                reader = [sys.executable, "-I", "-c", LOADER, str(place / "model")]
                log = point.parent / "log"
                sample = processes.measure(processes.ours(place) if ours else reader, log)
                if sample.code:
                    sys.exit(f"a reader failed: {log.read_text()}")
                times.append(sample.seconds)
    return median(taken[0]), median(taken[1])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
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
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=asked.folder) as name:
        models = {shape: Path(name, str(number)) for number, shape in enumerate(shapes)}
        for shape, (files, file_bytes, shard_bytes) in shapes.items():
            models[shape].mkdir()
            processes.make_model(
                models[shape], files=files, file_bytes=file_bytes, shard_bytes=shard_bytes
            )

        def rows() -> Iterator[list[str]]:
            for milliseconds in (None, *asked.milliseconds):
                for shape, model in models.items():
                    point = Path(name, "volume")
                    plain, ours = turns(model, point, asked.rounds, milliseconds)
                    found.append(
                        {"milliseconds": milliseconds, "model": shape, "plain": plain, "ours": ours}
                    )
                    storage = "disk" if milliseconds is None else f"{milliseconds:g} ms an answer"
                    yield [storage, shape, f"{plain:.2f}", f"{ours:.2f}", f"{ours / plain:.2f}"]

        columns = ["storage", "model", "plain reader, s", "ours, s", "ours : plain reader"]
        processes.table(columns, rows())
    processes.write_json(asked.json, found)


if __name__ == "__main__":
    main()
