from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.signed_model import write
from validator.limits import DEFAULT
from validator.monitor.throttle import SHORTEST_SECONDS, Throttle
from validator.statement.signed_files import Hash
from validator.tree.digests.hashing import hash_ranges
from validator.tree.digests.ranges import Range
from validator.tree.digests.reads import BUFFER_BYTES
from validator.tree.tree import Tree
from validator.tree.walk import Scope, list_files

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20


class Time:
    """A clock that only sleeping moves, and what a test adds."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds


def throttle(time: Time, rate: float) -> Throttle:
    """Return a throttle of that clock."""
    return Throttle(rate, clock=time.clock, sleep=time.sleep)


@pytest.mark.parametrize("step", [4096, 64 * 1024, MIB])
def test_keeps_to_the_rate_whatever_the_size_of_a_read(step: int) -> None:
    """Many small reads and few large ones take the time that the rate says."""
    time = Time()
    paced = throttle(time, 10 * MIB)
    for done in range(step, 50 * MIB + 1, step):
        paced(done, 50 * MIB)
    assert sum(time.slept) == pytest.approx(5.0, abs=2 * SHORTEST_SECONDS)
    assert min(time.slept) >= SHORTEST_SECONDS


def test_time_that_reading_takes_is_not_waited_for_again() -> None:
    """A disk as slow as the rate needs no holding back."""
    time = Time()
    paced = throttle(time, MIB)
    for number in range(1, 11):
        time.now += 1.0
        paced(number * MIB, 10 * MIB)
    assert time.slept == []


def test_no_burst_follows_a_stall() -> None:
    """After a disk hung, the monitor does not read faster to make up for the pause."""
    time = Time()
    paced = throttle(time, MIB)
    paced(MIB, 100 * MIB)
    time.now += 60.0
    began = time.now
    for number in range(2, 12):
        paced(number * MIB, 100 * MIB)
    assert time.now - began >= 9.0


def test_threads_share_the_rate() -> None:
    """Two threads together are not faster than one."""
    began = time.monotonic()
    paced = Throttle(20 * MIB, clock=time.monotonic, sleep=time.sleep)
    done, lock = 0, threading.Lock()

    def read() -> None:
        nonlocal done
        for _ in range(5):
            with lock:
                done += MIB
                here = done
            paced(here, 10 * MIB)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.4


def test_hashing_is_held_back_where_it_reads(tmp_path: Path) -> None:
    """As a progress display of a real hashing: its bytes arrive at the rate."""
    write(tmp_path, {"a": os.urandom(3 * BUFFER_BYTES), "b": os.urandom(BUFFER_BYTES), "c": b"x"})
    paced_time = Time()
    paced = throttle(paced_time, BUFFER_BYTES)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        paced(done, 0)

    with Tree.open(tmp_path) as tree:
        listing = list_files(tree, Scope(), limits=DEFAULT)
        ranges = [Range(entry, 0, entry.identity.size) for entry in listing.files.values()]
        outcomes = hash_ranges(tree, ranges, hash_=Hash.SHA256, jobs=1, progress=advance)
    assert all(outcome.digest for outcome in outcomes)
    assert sum(paced_time.slept) == pytest.approx(4.0, abs=2 * SHORTEST_SECONDS)
