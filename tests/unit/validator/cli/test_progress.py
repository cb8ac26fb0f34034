from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest

from validator.cli import progress
from validator.cli.progress import Bar, JsonLines, Lines, Silent


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class Closed(io.StringIO):
    """A stream whose reader has left."""

    written = 0

    def write(self, _: str) -> int:
        """Fail as a closed pipe does."""
        self.written += 1
        raise BrokenPipeError


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is moved."""
    return Clock()


def test_a_bar_fills_in_one_line_and_leaves_none(clock: Clock) -> None:
    """Drawn over itself, and wiped before the verdict."""
    stream = io.StringIO()
    bar = Bar(stream, clock=clock)
    for done in (0, 50, 100):
        clock.now += 1
        bar(done, 100)
    text = stream.getvalue()
    assert "\n" not in text
    assert text.count("\r") == 3
    assert f"[{'#' * 15}{'-' * 15}] 50 B of 100 B, 50 %, 25 B/s, 2 s left" in text
    assert f"[{'#' * 30}] 100 B of 100 B, 100 %" in text
    bar.close()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_bar_that_was_never_drawn_wipes_nothing(clock: Clock) -> None:
    """A small model is done before the first picture."""
    stream = io.StringIO()
    bar = Bar(stream, clock=clock)
    bar(1, 1)
    bar.close()
    assert not stream.getvalue()


@pytest.mark.parametrize(("display", "seconds"), [(Bar, 0.1), (Lines, 10.0), (JsonLines, 1.0)])
def test_displays_keep_their_pace(display: Any, seconds: float, clock: Clock) -> None:
    """Thousands of reads a second are no thousands of lines."""
    stream = io.StringIO()
    shown = display(stream, clock=clock)
    for done in range(1000):
        clock.now += seconds / 100
        shown(done, 1000)
    assert 9 <= max(stream.getvalue().count("\n"), stream.getvalue().count("\r")) <= 10


def test_a_pods_log_gets_lines(clock: Clock) -> None:
    """Each a whole sentence, without control characters."""
    stream = io.StringIO()
    lines = Lines(stream, clock=clock)
    clock.now += 10
    lines(1024, 4096)
    lines.close()
    assert stream.getvalue() == "hashed 1.0 KiB of 4.0 KiB, 25 %, 102 B/s, 30 s left\n"


def test_programs_get_json(clock: Clock) -> None:
    """One object a line."""
    stream = io.StringIO()
    shown = JsonLines(stream, clock=clock)
    clock.now += 2
    shown(1, 3)
    assert json.loads(stream.getvalue()) == {"progress": {"done": 1, "total": 3, "seconds": 2.0}}


@pytest.mark.parametrize("total", [0, 1])
def test_nothing_to_do_divides_by_nothing(total: int, clock: Clock) -> None:
    """An empty model has a progress, too."""
    stream = io.StringIO()
    for display in (Bar, Lines):
        shown = display(stream, clock=clock)
        clock.now += 60
        shown(0, total)
    assert "0 %" in stream.getvalue()


@pytest.mark.parametrize("display", [Bar, Lines, JsonLines])
def test_a_reader_that_has_left_changes_no_verdict(display: Any, clock: Clock) -> None:
    """The display falls silent, once and for all, and closing it does not fail."""
    stream = Closed()
    shown = display(stream, clock=clock)
    for done in range(5):
        clock.now += 60
        shown(done, 5)
    shown.close()
    assert stream.written == 1


def test_a_terminal_that_is_gone_at_the_end_changes_no_verdict(clock: Clock) -> None:
    """Wiping the bar may fail, too."""
    stream = io.StringIO()
    bar = Bar(stream, clock=clock)
    clock.now += 1
    bar(1, 2)
    bar._stream = Closed()
    bar.close()


def test_threads_do_not_write_into_each_other(clock: Clock) -> None:
    """While one shows its state, others go on hashing instead of waiting."""
    inside, leave = threading.Event(), threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            inside.set()
            leave.wait(10)
            return super().write(text)

    stream = Slow()
    shown = Lines(stream, clock=clock)
    clock.now += 60
    first = threading.Thread(target=shown, args=(1, 2))
    first.start()
    assert inside.wait(10)
    clock.now += 60
    shown(2, 2)  # returns at once
    leave.set()
    first.join()
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("name", "stream", "kind"),
    [
        ("auto", Terminal(), Bar),
        ("auto", io.StringIO(), Lines),
        ("bar", io.StringIO(), Bar),
        ("lines", Terminal(), Lines),
        ("json", Terminal(), JsonLines),
        ("none", Terminal(), Silent),
    ],
)
def test_the_display_fits_the_stream(name: str, stream: io.StringIO, kind: type) -> None:
    """A bar where somebody looks, lines where a log is kept."""
    assert type(progress.choose(name, stream)) is kind


def test_silence_shows_nothing() -> None:
    """The library shows nothing unless it is asked to."""
    silent = Silent()
    silent(1, 2)
    silent.close()
