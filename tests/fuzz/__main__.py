"""Search for input that ends in anything but our own errors: `python -m tests.fuzz`.

Each target is searched in a process of its own, for a bounded time, within the gate's memory. A
finding is written to `build/fuzz/`, and the exit code says that there is one.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

CORPUS: Final = Path(__file__).parent / "corpus"
FOUND: Final = Path(__file__).parents[2] / "build" / "fuzz"

INPUT_BYTES: Final = 16 * 1024
INPUT_SECONDS: Final = 10
MEMORY_MIB: Final = 512
"""Of the process, of which atheris and the libraries take about 250."""

KEPT_BYTES: Final = 4096
KEPT_FILES: Final = 60
"""Of a target in the committed corpus, at most."""


def main() -> int:
    """Search, or write the committed corpus anew."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", allow_abbrev=False)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), default=[])
    parser.add_argument("--keep", action="store_true", help="write the corpus anew from the search")
    arguments = parser.parse_args()
    chosen = arguments.target or sorted(TARGETS)
    _plant()
    failed = [name for name in chosen if not _searched(name, arguments.seconds)]
    if arguments.keep:
        for name in chosen:
            _keep(name)
    if failed:
        sys.stderr.write(f"found something: {', '.join(failed)}; the inputs are in {FOUND}\n")
    return bool(failed)


def _plant() -> None:
    """Put honest input and the committed corpus where the search starts."""
    for name in TARGETS:
        (FOUND / name).mkdir(parents=True, exist_ok=True)
        for known in sorted((CORPUS / name).glob("*")):
            shutil.copy(known, FOUND / name)
    for name, _, content in seeds():
        _write(FOUND / name, content)


def _write(folder: Path, content: bytes) -> None:
    (folder / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)


def _searched(name: str, seconds: int) -> bool:
    """Search one target; whether nothing was found."""
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.search", name, str(FOUND / name)),
            f"-artifact_prefix={FOUND}/{name}-",
            f"-max_total_time={seconds}",
            f"-max_len={INPUT_BYTES}",
            f"-timeout={INPUT_SECONDS}",
            f"-rss_limit_mb={MEMORY_MIB}",
            "-print_final_stats=1",
            "-verbosity=0",
        ],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    counts = [line for line in ended.stderr.splitlines() if "number_of_executed_units" in line]
    count = counts[-1].split()[-1] if counts else "an unknown number of"
    sys.stdout.write(f"{name}: {count} executions, exit code {ended.returncode}\n")
    if ended.returncode:
        sys.stdout.write(ended.stderr[-4000:])
    sys.stdout.flush()
    return ended.returncode == 0


def _keep(name: str) -> None:
    """Write some of what the search reached to the corpus, small and large inputs alike.

    libFuzzer keeps an input only if it reached what none did before. Small ones stop early, and
    large ones reach far.
    """
    reached = sorted((FOUND / name).iterdir(), key=lambda path: path.stat().st_size)
    reached = [path for path in reached if path.stat().st_size <= KEPT_BYTES]
    step = -(-len(reached) // KEPT_FILES)
    contents = [path.read_bytes() for path in reached[::-step]]
    shutil.rmtree(CORPUS / name, ignore_errors=True)
    (CORPUS / name).mkdir(parents=True)
    for content in contents:
        _write(CORPUS / name, content)


if __name__ == "__main__":
    sys.exit(main())
