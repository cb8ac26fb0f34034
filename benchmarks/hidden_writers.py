"""Measure how many verifications find a writer who hides, as the monitor verifies.

    python -m benchmarks.hidden_writers [--passes N]

One of 30 files has another byte, written through a shared mapping, and the signed one while the
writer hides: from the opening of the files that it watches (inotify) until nothing was opened for
a moment.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.fakes.hidden_writer import hidden_writer
from tests.support.signed_model import Signer, Site, statement, write
from validator.errors import ModelError
from validator.verification import Memory, verify

if TYPE_CHECKING:
    from collections.abc import Callable

FILES: Final = {f"{number:02}.bin": bytes([number]) * 200_000 for number in range(30)}
CHANGED: Final = "03.bin"

WATCHED: Final[dict[str, Callable[[Path], list[Path]]]] = {
    "nothing": lambda _: [],
    "the signature": lambda model: [model / "model.sig"],
    "its own file": lambda model: [model / CHANGED],
    "all files": lambda model: [model / name for name in FILES],
}


def found(folder: Path, watched: Callable[[Path], list[Path]], passes: int) -> float:
    """Return the share of verifications that find the writer."""
    model = write(folder / "model", FILES)
    site = Site(model, model / "model.sig", Signer())
    site.sign(statement(FILES))
    request, memory = site.request(jobs=1), Memory()
    verify(request, memory=memory)
    bad = 0
    with hidden_writer(model / CHANGED, *watched(model)) as writer:
        writer.show("bad")
        for _ in range(passes):
            try:
                verify(request, memory=memory)
            except ModelError:
                bad += 1
            if watched(model):
                writer.wait()
    return bad / passes


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--passes", type=int, default=100)
    asked = parser.parse_args()
    sys.stdout.write("| the writer watches | found |\n|---|---|\n")
    for name, watched in WATCHED.items():
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            share = found(Path(folder), watched, asked.passes)
        sys.stdout.write(f"| {name} | {share:.0%} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
