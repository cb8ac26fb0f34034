"""`python -m tests.support.differential`: the differential tests beside rh-model-signing.

That is Red Hat's edition of `model_signing`, newer than 1.1.1, and imported by the same name: it
lies in a folder of its own in the cache, which is put before the environment's. Arguments go to
pytest.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.support.caching import cache, exclusive, say

LOCK: Final = Path(__file__).parents[3] / "requirements" / "rh-model-signing.txt"
TESTS: Final = "tests/integration/reference"
INSTALL_SECONDS: Final = 600
TEST_SECONDS: Final = 900


def installed() -> Path:
    """Return the folder with what the lock names; install it first, if need be.

    Raises:
        subprocess.CalledProcessError: pip cannot; it has said why.
    """
    built_by = f"{sys.version_info.major}.{sys.version_info.minor}".encode()
    key = hashlib.sha256(LOCK.read_bytes() + built_by).hexdigest()[:16]
    folder = cache("references") / key
    with exclusive(cache("references")):
        if not folder.is_dir():
            say("rh-model-signing: installing ...")
            partial = folder.with_name(f".{key}.{os.getpid()}")
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            what = ["--no-deps", "--require-hashes", "-r", str(LOCK), "--target", str(partial)]
            subprocess.run([*pip, *what], check=True, timeout=INSTALL_SECONDS)
            partial.replace(folder)
    return folder


def main(arguments: list[str]) -> int:
    """Run the tests; return the exit code."""
    try:
        environment = {**os.environ, "PYTHONPATH": str(installed())}
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        say("rh-model-signing could not be installed: is the package index reachable?")
        return 1
    pytest = [sys.executable, "-m", "pytest", "-n", "auto", TESTS, *arguments]
    return subprocess.run(pytest, env=environment, check=False, timeout=TEST_SECONDS).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
