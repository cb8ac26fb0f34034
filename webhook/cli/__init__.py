"""The webhook's command line: one file per subcommand, exit codes only here.

A subcommand's file is loaded when it is the one that runs.

0: done, or the pods would be admitted · 1: refused, failed, or something is left to do ·
2: usage or setup.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from validator.arguments import USAGE, ArgumentParser, add_subcommands, add_version
from validator.errors import PolicyError
from webhook.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

UNREAD: Final = 1

_SUBCOMMANDS: Final = {
    "serve": "answer the API server's reviews",
    "mutate": "show what the webhook would do to a manifest",
    "convert": "turn the Go operator's manifests into ours",
    "doctor": "say what is wrong with the installation in a cluster",
    "observe": "show which models were verified and refused",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; return the exit code."""
    root = parser()
    options = root.parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except (SetupError, PolicyError) as error:
        print(f"{root.prog}: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # the reader has left, as `head` does
        # Else the interpreter would fail to flush the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    return code


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    root = ArgumentParser(
        prog="python -m webhook",
        description="Give pods a gate that keeps an unsigned model from being served.",
    )
    add_version(root)
    add_subcommands(root, _SUBCOMMANDS, within=f"{__name__}.", metavar="SUBCOMMAND")
    return root
