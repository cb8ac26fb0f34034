"""The `model-validator` command: the only place that prints, reads the environment and exits.

One module for each subcommand. Importing them loads only the option parser; what
a subcommand needs is imported when it runs, since a gate's start-up counts.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from validator.cli import inspect, verify_certificate, verify_key, verify_policy, verify_sigstore
from validator.contract import ExitCode
from validator.errors import PolicyError, Refused, Undecided, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    root = argparse.ArgumentParser(
        prog="model-validator",
        description="Verify that a model is the one its owner signed (OpenSSF Model Signing).",
        epilog="Exit codes: 0 verified, 1 refused, 2 usage or policy, 3 could not be decided.",
        allow_abbrev=False,
    )
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")
    verify = commands.add_parser(
        "verify", help="verify a model", description="Verify a model.", allow_abbrev=False
    )
    methods = verify.add_subparsers(title="methods", required=True, metavar="METHOD")
    for module in (verify_sigstore, verify_key, verify_certificate, verify_policy):
        module.add_to(methods)
    inspect.add_to(commands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; never a traceback.

    Args:
        argv: Arguments without the program's name; the process's, if absent.
    """
    arguments = parser().parse_args(argv)
    try:
        code = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the report has left; the interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.UNDECIDED
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 — fail closed, and say so
        sentence, code = _judge(error)
        sys.stderr.write(f"model-validator: {sentence}\n")
    return int(code)


def _judge(error: BaseException) -> tuple[str, ExitCode]:
    """Return the sentence and the exit code for what ended a subcommand."""
    match error:
        case PolicyError():
            return str(error), ExitCode.USAGE
        case Refused():
            return str(error), ExitCode.REFUSED
        case Undecided():
            return str(error), ExitCode.UNDECIDED
        case KeyboardInterrupt():
            return "interrupted, nothing was verified", ExitCode.UNDECIDED
        case MemoryError():
            return "out of memory: give the validator more of it", ExitCode.UNDECIDED
    name = type(error).__name__
    return f"unexpected {name}: {quoted(error)}; please report it", ExitCode.UNDECIDED
