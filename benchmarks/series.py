"""Figures of growth, as benchmarks write them and plots are drawn from: small JSON files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

FOLDER: Final = Path(__file__).parents[1] / "docs" / "plots"
"""The figures and plots that docs/performance.md shows."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a plot.

    Attributes:
        name: Of what is measured.
        points: Pairs of x and y, in the order of x.
    """

    name: str
    points: tuple[tuple[float, float], ...]


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """A plot: what grows, and with what.

    Attributes:
        title: In a few words.
        x: Label of the axis that grows, with its unit.
        y: Label of the other axis, with its unit.
        lines: At least one.
        logarithmic: Whether both axes are; else both begin at 0.
    """

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    logarithmic: bool = False


def write(name: str, plot: Plot, *, folder: Path = FOLDER) -> None:
    """Write a plot's figures where its picture is drawn from."""
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(plot), indent=1)
    (folder / f"{name}.json").write_bytes(text + b"\n")


def read(path: Path) -> Plot:
    """Return the plot of a file.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return msgspec.json.decode(path.read_bytes(), type=Plot)


def slope(line: Line) -> float:
    """Return what one more of x costs, by the least squares through all points."""
    count = len(line.points)
    mean_x = sum(x for x, _ in line.points) / count
    mean_y = sum(y for _, y in line.points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in line.points)
    return sum((x - mean_x) * (y - mean_y) for x, y in line.points) / spread
