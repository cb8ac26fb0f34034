"""Measure throughput and peak memory where the cgroup grants little.

    python -m benchmarks.granted_cpu [--mib N] [--json FILE]

One model of several files, in the page cache, verified in cgroups with a limit of CPU and 128 MiB
of memory, by as many threads as the validator starts by itself, and by 16. Needs root.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import processes
from benchmarks.processes import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

CPUS: Final = (0.5, 1, 2)
MEMORY: Final = 128 * MIB
FILES: Final = 8


def rows(place: Path, size: int, found: list[dict[str, object]]) -> Iterator[list[object]]:
    """Yield a row for each limit and number of threads."""
    log = place / "log"
    for cpus in CPUS:
        for jobs in (None, 16):
            arguments = processes.ours(place, *([f"--jobs={jobs}"] if jobs else []))
            # The interpreter's options end before the module, which PEAK runs.
            command = [sys.executable, "-I", "-c", processes.PEAK, *arguments[3:]]
            with processes.limited(cpus=cpus, memory=MEMORY) as within:
                sample = processes.measure([*within, *command], log)
            text = log.read_text()
            if sample.code:
                sys.exit(f"the verification failed at {cpus} CPUs: {text}")
            speed = size / MIB / sample.seconds
            found.append(
                {
                    "cpus": cpus,
                    "jobs": jobs,
                    "mibPerSecond": round(speed),
                    "cpuSeconds": sample.cpu,
                    "peakMib": processes.peak(text),
                }
            )
            yield [
                *(cpus, jobs or "its own", f"{sample.seconds:.2f}", f"{speed:.0f}"),
                *(f"{sample.cpu:.2f}", f"{processes.peak(text):.0f}"),
            ]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    size = asked.mib * MIB
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=asked.folder) as name:
        place = Path(name)
        processes.make_model(place, files=FILES, file_bytes=size // FILES)
        columns = ["CPUs", "threads", "seconds", "MiB/s", "CPU seconds", "peak, MiB"]
        processes.table(columns, rows(place, size, found))
    processes.write_json(asked.json, found)


if __name__ == "__main__":
    main()
