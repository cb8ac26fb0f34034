"""The commands of a document, as its reader types them, and what it says that they print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs"
BLOCK: Final = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
CUT: Final = "…"
"""A line that stands for others."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        line: What is typed.
        printed: Lines that it prints, among others.
    """

    line: str
    printed: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Whether it ends with an error, which is shown."""
        return any(line.startswith("Error") for line in self.printed)


def commands(name: str) -> list[Command]:
    """Return the commands in a document's `console` blocks, in their order."""
    found: list[Command] = []
    for block in BLOCK.findall((DOCS / name).read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, *printed = part.strip().splitlines()
            shown = tuple(each for each in printed if each.strip() not in ("", CUT))
            found.append(Command(line.partition("  #")[0].strip(), shown))
    return found
