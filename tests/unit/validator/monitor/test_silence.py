"""A hang is said once, and the next one again."""

from __future__ import annotations

from itertools import islice

from validator.monitor.silence import CHECK_SECONDS, hangs_of
from validator.monitor.status_file import STALE_SECONDS


def test_each_hang_is_said_once() -> None:
    """However long it lasts; what moves again may hang again."""
    slept: list[float] = []
    silences = iter([0.0, STALE_SECONDS, STALE_SECONDS + 1, STALE_SECONDS + 31, 5.0, 400.0, 0.0])
    said = list(islice(hangs_of(lambda: next(silences), sleep=slept.append), 2))
    assert said == [
        "the monitor has not moved for 301 s: the model's volume may hang",
        "the monitor has not moved for 400 s: the model's volume may hang",
    ]
    assert slept == [CHECK_SECONDS] * 6
