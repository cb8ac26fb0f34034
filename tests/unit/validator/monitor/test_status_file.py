from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.unit.validator.cli.test_progress import Clock
from validator.monitor import status_file
from validator.monitor.status_file import BEAT_SECONDS, SENTENCE_LIMIT, STALE_SECONDS, StatusFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is moved."""
    return Clock()


def test_what_is_said_is_read(tmp_path: Path, clock: Clock) -> None:
    """Good or bad, with its sentence, whatever is in it; the last word counts."""
    found = StatusFile(str(tmp_path), clock=clock)
    for good, sentence in [(True, "all is well"), (False, "'ü\n…' is not signed"), (True, "")]:
        found.say(sentence, good=good)
        assert status_file.read(str(tmp_path), now=clock()) == (good, sentence)


def test_nothing_is_good_before_the_first_verdict(tmp_path: Path, clock: Clock) -> None:
    """Neither without a monitor, nor with one that has just begun."""
    good, sentence = status_file.read(str(tmp_path), now=clock())
    assert not good
    assert sentence.startswith("the monitor has not begun: ")
    found = StatusFile(str(tmp_path), clock=clock)
    good, sentence = status_file.read(str(tmp_path), now=clock())
    assert (good, sentence) == (False, "the first verification has not ended")
    del found


def test_a_verdict_grows_stale(tmp_path: Path, clock: Clock) -> None:
    """A monitor that hangs in a dead volume says nothing any more, and then nothing is good."""
    found = StatusFile(str(tmp_path), clock=clock)
    found.say("all is well", good=True)
    said = clock()
    assert status_file.read(str(tmp_path), now=said + STALE_SECONDS) == (True, "all is well")
    good, sentence = status_file.read(str(tmp_path), now=said + STALE_SECONDS + 1)
    assert not good
    assert sentence.startswith("the monitor has not moved for 301 s")
    clock.now += STALE_SECONDS
    found.beat()
    assert status_file.read(str(tmp_path), now=said + STALE_SECONDS + 1) == (True, "all is well")


def test_a_good_verdict_is_remembered(tmp_path: Path, clock: Clock) -> None:
    """The workload may run from then on, and the next monitor spares it."""
    for said, remembered in ((False, False), (True, False), (False, True)):
        folder = tmp_path / f"{said} {remembered}"  # a lock of its own
        folder.mkdir()
        for path in tmp_path.glob("*/monitor.good"):
            path.rename(folder / path.name)
        found = StatusFile(str(folder), clock=clock)
        assert found.was_good is remembered
        found.say("", good=said)


def test_a_dead_monitors_verdict_is_none(tmp_path: Path) -> None:
    """However it died: the kernel takes its lock back. The next one starts from nothing."""
    program = (
        "import os, sys\nfrom validator.monitor.status_file import StatusFile\n"
        "StatusFile(sys.argv[1]).say('all is well', good=True)\nprint(flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        # The clock is the same in every process.
        assert status_file.read(str(tmp_path), now=time.monotonic()) == (True, "all is well")
        process.kill()
    good, sentence = status_file.read(str(tmp_path), now=time.monotonic())
    assert not good
    assert sentence.startswith("the monitor does not run")
    again = StatusFile(str(tmp_path))
    good, sentence = status_file.read(str(tmp_path), now=time.monotonic())
    assert (good, sentence) == (False, "the first verification has not ended")
    del again


def test_a_beat_is_cheap_and_changes_nothing(tmp_path: Path, clock: Clock) -> None:
    """It is called for every read, and writes only now and then."""
    found = StatusFile(str(tmp_path), clock=clock)
    found.say("all is well", good=True)
    files = set(tmp_path.iterdir())
    before = (tmp_path / "monitor").stat().st_ino
    for _ in range(1000):
        found.beat()
    assert (tmp_path / "monitor").stat().st_ino == before
    clock.now += BEAT_SECONDS
    found.beat()
    assert (tmp_path / "monitor").stat().st_ino != before
    assert set(tmp_path.iterdir()) == files
    assert status_file.read(str(tmp_path), now=clock()) == (True, "all is well")


def test_threads_beat_while_a_probe_reads(tmp_path: Path) -> None:
    """No probe ever finds half a file, and no thread trips over another."""
    moments = iter(range(10**9))
    found = StatusFile(str(tmp_path), clock=lambda: BEAT_SECONDS * next(moments))
    found.say("all is well", good=True)
    failures: list[BaseException] = []

    def beat() -> None:
        try:
            for _ in range(300):
                found.beat()
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=beat) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert status_file.read(str(tmp_path), now=0) == (True, "all is well")
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_long_sentence_is_cut(tmp_path: Path, clock: Clock) -> None:
    """The kubelet keeps a bounded part of a probe's output, and the volume is bounded too."""
    found = StatusFile(str(tmp_path), clock=clock)
    found.say("\U0001f600" * 10 * SENTENCE_LIMIT, good=False)
    assert status_file.read(str(tmp_path), now=clock()) == (False, "\U0001f600" * SENTENCE_LIMIT)


@pytest.mark.parametrize("content", [b"", b"1.0\ngood", b"soon\ngood\nx", b"\xff\ngood\nx"])
def test_what_no_monitor_wrote_is_not_good(tmp_path: Path, clock: Clock, content: bytes) -> None:
    """A file that cannot be read as a verdict is none."""
    found = StatusFile(str(tmp_path), clock=clock)
    (tmp_path / "monitor").write_bytes(content)
    good, sentence = status_file.read(str(tmp_path), now=clock())
    assert not good
    assert sentence.startswith("the monitor has not begun: ")
    del found


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A monitor that cannot write its verdicts does not start."""
    with pytest.raises(FileNotFoundError):
        StatusFile(str(tmp_path / "absent"))
