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
    from collections.abc import Mapping

DISTRIBUTION: Final = "signed-model-validation"
USAGE: Final = 2
"""Exit code of a wrong command line."""

HELP_COLUMNS: Final = 80
"""Width of the help. argparse would ask for the terminal's whenever an option is added, by a module
that loads archive libraries."""


class ArgumentParser(argparse.ArgumentParser):
    """A parser whose errors are one line.

    Args:
        settings: As of `argparse.ArgumentParser`.
    """

    def __init__(self, **settings: Any) -> None:
        width = partial(argparse.HelpFormatter, width=HELP_COLUMNS)
        super().__init__(formatter_class=width, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and a sentence; the usage is for those who ask for it."""
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


class Subcommand(ArgumentParser):
    """The parser of a subcommand, which is made when it is the one that runs.

    Args:
        module: Loaded then; its `add_options` gives the parser a description, options and `run`.
        settings: As of `argparse.ArgumentParser`.
    """

    def __init__(self, *, module: str, **settings: Any) -> None:
        self._module = module
        self._settings = settings

    def make(self) -> None:
        """Make the parser what it is to be."""
        super().__init__(**self._settings)
        import_module(self._module).add_options(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse what is known, as argparse does for a subcommand."""
        self.make()
        return super().parse_known_args(args, namespace)


def add_subcommands(
    parser: ArgumentParser, summaries: Mapping[str, str], *, within: str, **shown: Any
) -> None:
    """Add subcommands, of which each is a module.

    Args:
        parser: Of the command.
        summaries: What each does, in a line of the command's help, by its name.
        within: The beginning of the modules' names.
        shown: Title and metavar, as of `argparse.ArgumentParser.add_subparsers`.
    """
    # Without `prog` argparse would format the usage, for which it loads archive libraries.
    subcommands = parser.add_subparsers(
        prog=parser.prog, required=True, parser_class=Subcommand, **shown
    )
    for name, summary in summaries.items():
        subcommands.add_parser(name, help=summary, module=f"{within}{name}")


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
