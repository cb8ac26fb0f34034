"""The command line in a process of its own, which may fork as a test's own process may not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.support.signed_model import Site

FILES: Final = {f"{number // 60}/{number}": b"%d" % number for number in range(400)}
"""A model of some hundred small files in some folders."""

HASHING: Final = "hashing.FILES_EACH = 50"
WALKING: Final = "walk.FILES_EACH = 50"
"""So few files are worth a process that hashes, or walks."""

_BEGIN: Final = """
import json, os, signal, sys
from validator import cli
from validator.tree import walk, workers
from validator.tree.digests import batches, hashing
hashing.SLOW_SECONDS = 60  # on a busy machine, it would start threads, and then not fork
forks = []
fork = os.fork
def counted():
    forks.append(1)
    return fork()
os.fork = counted
"""

_RUN: Final = """
code = cli.main(["verify", "key", *sys.argv[1:], "--format=json", "--progress=none"])
sys.stderr.write(f"{len(forks)} forks")
sys.exit(code)
"""


def verified(site: Site, worth: str, *options: str, before: str = "") -> tuple[Any, str]:
    """Verify a model; return the report, and how often the program has forked.

    Args:
        site: The model.
        worth: `HASHING` or `WALKING`.
        options: Of the command line.
        before: What the program does before.
    """
    key = site.model.with_name("key.pub")
    key.write_bytes(site.signer.public_pem)
    arguments = [str(site.model), f"--signature={site.signature}", f"--public-key={key}", *options]
    program = f"{_BEGIN}\n{worth}\n{before}\n{_RUN}"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert done.returncode == {"verified": 0, "refused": 1, "undecided": 3}[report["verdict"]]
    return {**report, "seconds": 0}, done.stderr
