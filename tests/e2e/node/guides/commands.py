"""The commands of a document, as its reader types them, and what it says that they print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[4] / "docs"
BLOCK: Final = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADING: Final = re.compile(r"^###? ", re.MULTILINE)
CUT: Final = "…"
"""A line, or a part of one, that stands for others."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        line: What is typed.
        printed: What it prints, among others: lines, or parts of them.
    """

    line: str
    printed: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Whether it ends with an error, which is shown."""
        return any(line.startswith(("Error", "command terminated")) for line in self.printed)

    def is_true(self, code: int, output: str) -> bool:
        """Return whether it ended and printed as the document says."""
        shown = [part.strip() for line in self.printed for part in line.split(CUT)]
        return (code != 0) == self.fails and all(part in output for part in shown)


def sections(name: str) -> dict[str, list[Command]]:
    """Return a document's commands by the headings that they stand under, if there are any."""
    heading, *parts = HEADING.split((DOCS / name).read_text())
    found = {"": _commands(heading)}
    found |= {part.partition("\n")[0]: _commands(part) for part in parts}
    return {heading: these for heading, these in found.items() if these}


def commands(name: str) -> list[Command]:
    """Return the commands in a document's `console` blocks, in their order."""
    return [command for these in sections(name).values() for command in these]


def _commands(text: str) -> list[Command]:
    found: list[Command] = []
    for block in BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, *printed = part.strip().splitlines()
            shown = tuple(each for each in printed if each.strip() not in ("", CUT))
            found.append(Command(line.partition("  #")[0].strip(), shown))
    return found
