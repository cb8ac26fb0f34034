"""The plots of docs/performance.md."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from benchmarks import series
from benchmarks.plots import drawn
from benchmarks.series import Line, Plot

if TYPE_CHECKING:
    from pathlib import Path

FIGURES = sorted(series.FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.stem)
def test_each_picture_shows_the_figures_beside_it(path: Path) -> None:
    """Else `make plots` was not run."""
    assert path.with_suffix(".svg").read_text() == drawn(series.read(path))


def test_the_page_shows_each_plot() -> None:
    """None is left over, and none is missing."""
    page = (series.FOLDER.parent / "performance.md").read_text()
    assert FIGURES
    assert {path.stem for path in FIGURES if f"(plots/{path.stem}.svg)" not in page} == set()


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_picture_is_well_formed_whatever_the_labels_hold(*, logarithmic: bool) -> None:
    """Labels are escaped, and each point is within the picture."""
    line = Line(name="a & b", points=((1, 1), (10, 1000), (1000, 2)))
    plot = Plot(title="<t>", x="x & y", y="y", lines=(line,), logarithmic=logarithmic)
    picture = ET.fromstring(drawn(plot))  # noqa: S314 — our own
    points = picture.findall("{http://www.w3.org/2000/svg}circle")
    assert len(points) == len(line.points)
    for point in points:
        assert 0 <= float(point.attrib["cx"]) <= 640
        assert 0 <= float(point.attrib["cy"]) <= 360


def test_the_slope_is_what_one_more_costs() -> None:
    """By least squares."""
    assert series.slope(Line(name="", points=((0, 1), (1, 3), (2, 5)))) == pytest.approx(2)
