"""The command lines' parser, the same for all programs of this project.

Imports nothing of ours: every program shares it.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

DISTRIBUTION: Final = "signed-model-validation"
USAGE: Final = 2
"""Exit code of a wrong command line."""


class ArgumentParser(argparse.ArgumentParser):
    """A parser that knows `--help` and `--version`, and whose errors are one line.

    Args:
        fill: Adds the options when the parser is used: those of the other commands would take
            time at each start.
        settings: As of `argparse.ArgumentParser`.
    """

    def __init__(
        self, *, fill: Callable[[ArgumentParser], None] | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._fill = fill

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse what is known, as argparse does for each command."""
        fill, self._fill = self._fill, None
        if fill:
            fill(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and a sentence; the usage is for those who ask for it."""
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add the option that prints the distribution's version."""
    parser.add_argument(
        "--version", action=_Version, nargs=0, dest=argparse.SUPPRESS, help="print the version"
    )


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415 — no other command needs it

        sys.stdout.write(f"{version(DISTRIBUTION)}\n")
        parser.exit()
