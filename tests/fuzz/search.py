"""One target under atheris: `python -m tests.fuzz.search TARGET LIBFUZZER_ARGUMENTS…`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["validator", "webhook"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
