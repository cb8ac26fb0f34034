"""The `model-validator` command: the only place that prints, reads the environment and exits.

One module for each subcommand, which is imported when it is the one that runs, and imports what
it needs only then, since a gate's start-up counts.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from typing import TYPE_CHECKING, Final, TextIO

from validator.arguments import ArgumentParser, add_subcommands, add_version
from validator.contract import ExitCode
from validator.errors import PolicyError, Refused, Undecided, ValidatorError
from validator.text import quoted

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


_COMMANDS: Final = {
    "verify": "verify a model",
    "monitor": "verify again and again while the model is served",
    "inspect": "show what a signature claims",
}


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    root = ArgumentParser(
        prog="model-validator",
        description="Verify that a model is the one its owner signed (OpenSSF Model Signing).",
        epilog="Exit codes: 0 verified, 1 refused, 2 usage or policy, 3 could not be decided.",
    )
    add_version(root)
    add_subcommands(root, _COMMANDS, within=f"{__name__}.", title="commands", metavar="COMMAND")
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; never a traceback.

    Args:
        argv: Arguments without the program's name; the process's, if absent.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this; the exit code counts
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 — until the end
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' remarks on a bundle are no verdict
    try:
        code = _run(_parsed(argv))
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 — fail closed, and say so
        sentence, code = _explained(error)
        if not isinstance(error, BrokenPipeError):  # else whoever read the report has left
            with contextlib.suppress(OSError):
                sys.stderr.write(f"model-validator: {sentence}\n")
    finally:
        _let_go(sys.stdout)
        _let_go(sys.stderr)
    return int(code)


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    try:
        return parser().parse_args(argv)
    except SystemExit:  # after the help or the version, which must have been written
        sys.stdout.flush()
        raise


def _run(arguments: argparse.Namespace) -> ExitCode:
    """Run the subcommand; where it ends without a verdict, programs get to know why."""
    try:
        code: ExitCode = arguments.run(arguments)
    except ValidatorError as error:
        if unjudged := getattr(arguments, "unjudged", None):
            unjudged(error, arguments)
        raise
    return code


def _let_go(stream: TextIO) -> None:
    """Flush a stream, or give up what is left in it.

    Else the interpreter would fail to flush it at exit, and end with a code of its own.
    """
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _explained(error: BaseException) -> tuple[str, ExitCode]:
    """Return the sentence and the exit code for what ended a subcommand."""
    match error:
        case PolicyError():
            return str(error), ExitCode.USAGE
        case Refused():
            return str(error), ExitCode.REFUSED
        case Undecided():
            return str(error), ExitCode.UNDECIDED
    return _trouble(error), ExitCode.UNDECIDED


def _trouble(error: BaseException) -> str:
    match error:
        case OSError():
            return f"cannot go on: {error.strerror}"
        case KeyboardInterrupt():
            return "interrupted, nothing was verified"
        case ModuleNotFoundError(name=str(library)):
            return (
                f"the library {library} is not installed: install this project with what the "
                "validator needs, `pip install '.[validator]'`"
            )
        case MemoryError():
            return "out of memory: give the validator more of it"
    return f"unexpected {type(error).__name__}: {quoted(error)}; please report it"
