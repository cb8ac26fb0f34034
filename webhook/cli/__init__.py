"""The webhook's command line: one file per subcommand, exit codes only here.

0: done, or the pods would be admitted · 1: refused, failed, or something is left to do ·
2: usage or setup.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from validator.arguments import USAGE, ArgumentParser, add_version
from validator.errors import PolicyError
from webhook.cli import convert, doctor, mutate, observe, serve
from webhook.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

UNREAD: Final = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; return the exit code."""
    parser = ArgumentParser(
        prog="python -m webhook",
        description="Give pods a gate that keeps an unsigned model from being served.",
        allow_abbrev=False,
    )
    add_version(parser)
    subcommands = parser.add_subparsers(required=True, metavar="SUBCOMMAND")
    serve.add_to(subcommands)
    mutate.add_to(subcommands)
    convert.add_to(subcommands)
    doctor.add_to(subcommands)
    observe.add_to(subcommands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except (SetupError, PolicyError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # the reader has left, as `head` does
        # Else the interpreter would fail to flush the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    return code
