"""Forked processes share out what there is to do, and are gone when their parent is.

A process that has threads does not fork, and a test's process has some: each test's program is one
of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from validator.tree import workers
from validator.tree.workers import Queue, Workers, worth_starting

BEGIN = """
import os, signal, sys, time
from validator.tree.workers import Queue, Workers, worth_starting
signal.signal(signal.SIGINT, signal.default_int_handler)  # who started the tests may ignore it
assert worth_starting(9, each=3, cores=3) == 3
"""


def run(program: str) -> str:
    """Run a program to its end, and return what it has printed."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_each_number_is_taken_once() -> None:
    """By one of them; and all are."""
    out = run("""
with Workers() as workers:
    queue = workers.queue(5000)
    def work(send):
        while (number := queue.take()) is not None:
            send(b"%d" % number)
    for _ in range(3):
        assert workers.start(work)
    taken = []
    while (number := queue.take()) is not None:
        taken.append(number)
        taken += map(int, workers.messages())
    taken += map(int, workers.messages(wait=True))
    assert not len(queue)
print(sorted(taken) == list(range(5000)))
""")
    assert out == "True\n"


def test_there_is_no_queue_where_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error says so, and its pipe is closed."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    before = sorted(Path("/proc/self/fd").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="Cannot allocate memory"):
            Queue(7)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_a_message_arrives_as_it_was_sent() -> None:
    """Also one that is longer than what a pipe holds, and an empty one."""
    out = run("""
with Workers() as workers:
    sent = [b"x" * 1_000_000, b"", b"y"]
    workers.start(lambda send: [send(each) for each in sent])
    print(list(workers.messages(wait=True)) == sent)
""")
    assert out == "True\n"


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "raise ValueError",
        "raise KeyboardInterrupt",
        "1 / 0",
    ],
)
def test_a_worker_that_fails_has_said_what_it_had_said(end: str) -> None:
    """And no more, not even on standard error; its parent goes on."""
    out = run(f"""
def work(send):
    send(b"first")
    {end}
    send(b"second")
with Workers() as workers:
    workers.start(work)
    print(list(workers.messages(wait=True)))
""")
    assert out == "[b'first']\n"


def test_half_a_message_is_none() -> None:
    """Its sender was killed while it wrote."""
    out = run("""
from validator.tree import workers as module
module._LENGTH = module.struct.Struct("=Lxx")
def work(send):
    send(b"whole")
    module._LENGTH = type("", (), {"pack": lambda self, n: b"\\xff\\0\\0\\0\\0\\0"})()
    send(b"half")
with Workers() as workers:
    workers.start(work)
    print(list(workers.messages(wait=True)))
""")
    assert out == "[b'whole']\n"


FOREVER = """
with Workers() as workers:
    def work(send):
        send(b"%d" % os.getpid())
        while True:
            time.sleep(60)
    for _ in range(2):
        workers.start(work)
    heard = []
    while len(heard) < 2:
        heard += workers.messages()
    print(*map(int, heard), flush=True)
    ENDING
"""


def is_alive(process: int) -> bool:
    """Tell whether a process is there, and no more than a zombie that its new parent has left."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        return "State:\tZ" not in status
    return False


def wait_until_gone(processes: list[int]) -> None:
    """Wait for the end of processes of somebody else."""
    end = time.monotonic() + 30
    while any(map(is_alive, processes)):
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(number: signal.Signals) -> None:
    """Whatever it dies of, and in the midst of what they do."""
    program = BEGIN + FOREVER.replace("ENDING", "time.sleep(60)")
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout
        processes = [int(each) for each in parent.stdout.readline().split()]
        assert all(map(is_alive, processes))
        parent.send_signal(number)
        assert parent.wait(30) == -number
    wait_until_gone(processes)


@pytest.mark.parametrize("ending", ["pass", "raise ValueError"])
def test_workers_have_ended_with_the_block(ending: str) -> None:
    """Not one of them is left, and no zombie."""
    out = run(f"""
try:
{FOREVER.replace("ENDING", ending).replace(chr(10), chr(10) + "    ")}
except ValueError:
    pass
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no child")
""")
    *processes, _, _ = out.split()
    assert out.endswith("no child\n")
    assert len(processes) == 2


def test_nothing_is_left_open() -> None:
    """Neither pipes nor the queue."""
    out = run("""
def opened():
    return sorted(os.listdir("/proc/self/fd"))
before = opened()
with Workers() as workers:
    workers.queue(3)
    workers.start(lambda send: send(b"x"))
    list(workers.messages(wait=True))
print(opened() == before)
""")
    assert out == "True\n"


def test_where_no_process_can_be_started_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of processes is no failure, and leaves no descriptor open."""

    def fork() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", fork)
    before = sorted(Path("/proc/self/fd").iterdir())
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with Workers() as none:
        assert not none.start(lambda send: send(b"x"))
        assert not list(none.messages(wait=True))
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked


@pytest.mark.parametrize(
    ("files", "cores", "memory", "count"),
    [
        (30_000, 1, None, 1),
        (30_000, 0, None, 0),
        (30_000, -1, None, 0),
        (30_000, 63, None, 8),
        (1_999, 63, None, 0),
        (4_000, 63, None, 2),
        (30_000, 1, 64 * 1024 * 1024, 1),
        (30_000, 1, 32 * 1024 * 1024, 0),
        (300_000, 7, 256 * 1024 * 1024, 1),
    ],
)
def test_processes_are_as_many_as_pay_and_fit(
    monkeypatch: pytest.MonkeyPatch, files: int, cores: int, memory: int | None, count: int
) -> None:
    """By the number of files, the cores that are left, and the container's memory."""
    monkeypatch.setattr(os, "listdir", lambda _: ["1"])  # this process' threads
    monkeypatch.setattr(workers, "granted_memory", lambda: memory)
    assert worth_starting(files, each=2000, cores=cores) == count


def test_a_process_with_threads_does_not_fork() -> None:
    """Another thread may hold a lock that nobody would ever give back in the fork."""
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        assert not worth_starting(30_000, each=1, cores=1)
    finally:
        ended.set()
        thread.join()


def test_who_cannot_tell_does_not_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is hidden, nothing is known of threads."""
    monkeypatch.setattr(workers, "_THREADS", "/nowhere")
    assert not worth_starting(30_000, each=1, cores=1)


def test_what_a_pipe_does_not_hold_is_for_who_made_the_queue() -> None:
    """And each number is taken once, all the same."""
    out = run("""
with Workers() as workers:
    queue = workers.queue(50_000)
    def work(send):
        while (number := queue.take()) is not None:
            send(b"%d" % number)
    assert workers.start(work)
    given = list(map(int, workers.messages(wait=True)))
    taken = []
    while (number := queue.take()) is not None:
        taken.append(number)
print(given + taken == list(range(50_000)), 0 < len(given) < 50_000)
""")
    assert out == "True True\n"


def test_a_queue_counts_what_is_left() -> None:
    """From its length down to nothing."""
    queue = Queue(2)
    try:
        assert [(len(queue), queue.take()) for _ in range(3)] == [(2, 0), (1, 1), (0, None)]
    finally:
        queue.close()
