"""Draw the plots of docs/performance.md from their figures, as SVG.

    python -m benchmarks.plots

Prints for each line what one more of x costs (least squares), and the steepest and the flattest
stretch between two neighbouring points: where they differ much, the line bends.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from benchmarks import series

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.series import Line, Plot

WIDTH: Final = 640
HEIGHT: Final = 360
LEFT, RIGHT, TOP, BOTTOM = 72, 190, 44, 52
"""What is left for labels around the plot's field."""

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which people with any sight tell apart, on light and on dark ground."""

STYLE: Final = """
.ground{fill:#ffffff}.text{fill:#24292f;font:12px sans-serif}.title{font-size:14px}
.grid{stroke:#d0d7de}.axis{stroke:#57606a}
@media(prefers-color-scheme:dark){.ground{fill:#0d1117}.text{fill:#e6edf3}
.grid{stroke:#30363d}.axis{stroke:#8b949e}}
"""

TICKS: Final = 5
"""Lines of a linear axis, about."""


class Axis:
    """One axis: from values to places.

    Args:
        values: All that are drawn.
        start: The place of the least one.
        end: The place of the largest one.
        logarithmic: Whether equal ratios are equally far apart.
    """

    def __init__(
        self, values: Sequence[float], *, start: float, end: float, logarithmic: bool
    ) -> None:
        self._start, self._end, self._logarithmic = start, end, logarithmic
        if logarithmic:
            least, largest = math.log10(min(values)), math.log10(max(values))
            self.ticks = [10.0**n for n in range(math.floor(least), math.ceil(largest) + 1)]
        else:
            step = _step(max(values))
            self.ticks = [step * n for n in range(math.ceil(max(values) / step) + 1)]
        self._low, self._high = self._scaled(self.ticks[0]), self._scaled(self.ticks[-1])

    def place(self, value: float) -> float:
        """Return where a value is drawn."""
        share = (self._scaled(value) - self._low) / (self._high - self._low or 1)
        return round(self._start + share * (self._end - self._start), 1)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._logarithmic else value


def _step(largest: float) -> float:
    """Return a round distance between ticks."""
    rough = largest / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def drawn(plot: Plot) -> str:
    """Return the picture."""
    points = [point for line in plot.lines for point in line.points]
    across = Axis(
        [x for x, _ in points], start=LEFT, end=WIDTH - RIGHT, logarithmic=plot.logarithmic
    )
    up = Axis([y for _, y in points], start=HEIGHT - BOTTOM, end=TOP, logarithmic=plot.logarithmic)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(plot.title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>',
        _text(LEFT, 22, plot.title, of="text title"),
        *_grid(across, up),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, plot.x, anchor="middle"),
        _text(14, TOP - 8, plot.y),
    ]
    for number, line in enumerate(plot.lines):
        parts += _line(line, COLOURS[number % len(COLOURS)], across, up)
        parts += _key(line.name, COLOURS[number % len(COLOURS)], TOP + 8 + 18 * number)
    return "\n".join([*parts, "</svg>", ""])


def _grid(across: Axis, up: Axis) -> Iterator[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for tick in up.ticks:
        y = up.place(tick)
        yield f'<path class="grid" d="M{LEFT} {y}H{right}"/>'
        yield _text(LEFT - 8, y + 4, _number(tick), anchor="end")
    for tick in across.ticks:
        x = across.place(tick)
        yield f'<path class="grid" d="M{x} {TOP}V{bottom}"/>'
        yield _text(x, bottom + 18, _number(tick), anchor="middle")
    yield f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{bottom}H{right}"/>'


def _line(line: Line, colour: str, across: Axis, up: Axis) -> Iterator[str]:
    places = [(across.place(x), up.place(y)) for x, y in line.points]
    path = "L".join(f"{x} {y}" for x, y in places)
    yield f'<path fill="none" stroke="{colour}" stroke-width="2" d="M{path}"/>'
    for x, y in places:
        yield f'<circle fill="{colour}" cx="{x}" cy="{y}" r="3"/>'


def _key(name: str, colour: str, y: float) -> Iterator[str]:
    x = WIDTH - RIGHT + 12
    yield f'<path stroke="{colour}" stroke-width="2" d="M{x} {y - 4}h16"/>'
    yield _text(x + 22, y, name)


def _text(x: float, y: float, text: str, *, anchor: str = "start", of: str = "text") -> str:
    return f'<text class="{of}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    """Return a number as an axis shows it: 2k, 1.5M, 0.1."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def main() -> None:
    """Draw all figures, and print their slopes."""
    sys.stdout.write(
        "| plot | line | one more costs | flattest | steepest |\n|---|---|---|---|---|\n"
    )
    for path in sorted(series.FOLDER.glob("*.json")):
        plot = series.read(path)
        path.with_suffix(".svg").write_text(drawn(plot))
        for line in plot.lines:
            parts = [
                (y - before_y) / (x - before_x)
                for (before_x, before_y), (x, y) in zip(line.points, line.points[1:], strict=False)
            ]
            cells = f"{series.slope(line):.3g} | {min(parts):.3g} | {max(parts):.3g}"
            sys.stdout.write(f"| {path.stem} | {line.name} | {cells} |\n")


if __name__ == "__main__":
    main()
