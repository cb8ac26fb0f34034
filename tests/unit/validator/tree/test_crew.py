"""Threads that work together end together, whatever one of them meets."""

from __future__ import annotations

import threading

import pytest

from validator.tree.crew import Crew


def test_all_have_ended_with_the_block() -> None:
    """Those, too, that were asked for by others of them."""
    done: list[str] = []

    def work(crew: Crew, left: int) -> None:
        if left:
            crew.start(lambda: work(crew, left - 1))
        done.append(threading.current_thread().name)

    with Crew() as crew:
        crew.start(lambda: work(crew, 20))
    assert sorted(done) == sorted(f"hashing-{number}" for number in range(21))
    assert not crew.stop.is_set()


def test_the_first_error_is_raised_and_stops_the_others() -> None:
    """In the thread that waits."""

    def fail() -> None:
        raise LookupError("first")

    def wait(crew: Crew) -> None:
        assert crew.stop.wait(60)
        raise ValueError("given up")

    crew = Crew()

    def run() -> None:
        with crew:
            crew.start(lambda: wait(crew))
            crew.start(fail)

    with pytest.raises(LookupError, match="first"):
        run()
    assert crew.stop.is_set()


def test_no_more_start_than_may() -> None:
    """However many ask at once."""
    done: list[str] = []

    def ask(crew: Crew) -> None:
        done.append(threading.current_thread().name)
        for _ in range(5):
            crew.start(lambda: ask(crew), most=7)

    with Crew() as crew:
        crew.start(lambda: ask(crew))
    assert len(done) == 7


def test_an_error_of_the_block_counts_and_stops_them() -> None:
    """As when a further thread cannot be started."""
    ended: list[bool] = []

    def run() -> None:
        with Crew() as crew:
            crew.start(lambda: ended.append(crew.stop.wait(60)))
            raise KeyError("block")

    with pytest.raises(KeyError, match="block"):
        run()
    assert ended == [True]


@pytest.mark.parametrize("given", [0, 1, 3])
def test_a_crew_is_as_large_as_the_system_lets_it_be(
    monkeypatch: pytest.MonkeyPatch, given: int
) -> None:
    """A container's limit of processes counts threads; there may be none."""
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if len(started) == given:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    done: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", limited)
    with Crew() as crew:
        for _ in range(5):
            crew.start(lambda: done.append(threading.current_thread().name), most=10)
    assert len(crew) == given
    assert sorted(done) == [f"hashing-{number}" for number in range(given)]
