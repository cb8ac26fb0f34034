"""`model-validator` and `python -m validator`: the program around the command line."""

import gc
import os
import sys
from importlib import import_module
from typing import Final, NoReturn

GARBAGE: Final = 50_000
"""New objects after which Python looks for garbage. After 700, as by default, that takes 4 ms of a
start, which makes some ten thousand objects and no garbage."""


def main() -> NoReturn:
    """Run the command, and end the process with its exit code.

    The process ends at once: all threads have ended, all files are closed and all streams are
    flushed, and the interpreter would take another 11 ms to free its objects one by one.
    """
    gc.set_threshold(GARBAGE)
    is_probe = sys.argv[1:] == ["monitor", "--status"]
    os._exit(import_module("validator.monitor.probe" if is_probe else "validator.cli").main())


if __name__ == "__main__":
    main()
