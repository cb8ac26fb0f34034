"""The program of the monitor's probes: `python -m validator monitor --status`.

A probe starts every few seconds in every pod, so this imports next to nothing: the whole command
line would take three times as long to load.
"""

from __future__ import annotations

import sys
import time

from validator import contract
from validator.monitor import status_file


def main(folder: str = contract.SERVICE_ACCOUNT_PATH) -> int:
    """Print what the running monitor has found; return 0 if that is good, else 1."""
    good, sentence = status_file.read(folder, now=time.monotonic())
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()
    return int(not good)
