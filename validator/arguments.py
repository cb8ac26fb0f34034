"""The command lines' parser, the same for all programs of this project.

Imports nothing of ours: every program shares it.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

DISTRIBUTION: Final = "signed-model-validation"
USAGE: Final = 2
"""Exit code of a wrong command line."""

HELP_COLUMNS: Final = 80
"""Width of the help. argparse would ask for the terminal's whenever an option is added, by a module
that loads archive libraries."""


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
        width = partial(argparse.HelpFormatter, width=HELP_COLUMNS)
        super().__init__(formatter_class=width, **settings)
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


def add_subcommand(
    commands: argparse._SubParsersAction[ArgumentParser], name: str, module: str, *, summary: str
) -> None:
    """Add a subcommand whose module is loaded when it is the one that runs.

    Args:
        commands: Those that there are already.
        name: What is typed.
        module: Its `add_options` gives the parser its description, its options and its `run`.
        summary: What it does, in a line of the other commands' help.
    """

    def fill(parser: ArgumentParser) -> None:
        import_module(module).add_options(parser)

    commands.add_parser(name, help=summary, allow_abbrev=False, fill=fill)


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
