from __future__ import annotations

import gc
import hashlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.signed_model import write
from validator.errors import Undecided
from validator.limits import DEFAULT
from validator.statement.signed_files import Hash
from validator.tree.digests import hashing, ranges
from validator.tree.digests.hashing import READERS, hash_ranges
from validator.tree.digests.ranges import Outcome, Range
from validator.tree.digests.reads import AHEAD_BYTES, BUFFER_BYTES, SMALL_BYTES
from validator.tree.tree import Entry, Tree
from validator.tree.walk import Scope, list_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024
SIZES = (0, 1, SMALL_BYTES - 1, SMALL_BYTES, BUFFER_BYTES, BUFFER_BYTES + 1, 3 * BUFFER_BYTES + 7)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """An open model with a file of each size that is a border."""
    write(tmp_path, {f"f{size}": os.urandom(size) for size in SIZES})
    with Tree.open(tmp_path) as tree:
        yield tree


def entries(tree: Tree) -> list[Entry]:
    """Return the files of a tree, by size."""
    listing = list_files(tree, Scope(), limits=DEFAULT)
    return sorted(listing.files.values(), key=lambda entry: entry.identity.size)


def whole(tree: Tree) -> list[Range]:
    """Return each file as one range."""
    return [Range(entry, 0, entry.identity.size) for entry in entries(tree)]


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("hash_", list(Hash))
def test_digests_are_the_hash_functions_own(
    tree: Tree, tmp_path: Path, hash_: Hash, jobs: int
) -> None:
    """Whatever the size, order and number of threads, a digest is that of the bytes."""
    if hash_ is Hash.BLAKE3:
        new: Any = pytest.importorskip("blake3", reason="the extra [blake3] is missing").blake3
    else:
        new = getattr(hashlib, hash_)
    ranges = whole(tree)[::-1]
    outcomes = hash_ranges(tree, ranges, hash_=hash_, jobs=jobs, progress=lambda _: None)
    for part, outcome in zip(ranges, outcomes, strict=True):
        digest = new((tmp_path / part.entry.name).read_bytes()).digest()
        assert outcome == Outcome(digest, part.entry.identity)


def test_a_range_is_hashed_without_what_lies_around_it(tree: Tree, tmp_path: Path) -> None:
    """A shard's digest covers its start and not its end."""
    entry = entries(tree)[-1]
    content = (tmp_path / entry.name).read_bytes()
    ranges = [Range(entry, 5, 5 + SMALL_BYTES), Range(entry, 5, 6), Range(entry, 0, 0)]
    outcomes = hash_ranges(tree, ranges, hash_=Hash.SHA256, jobs=2, progress=lambda _: None)
    expected = [content[5 : 5 + SMALL_BYTES], content[5:6], b""]
    assert [outcome.digest for outcome in outcomes] == [
        hashlib.sha256(part).digest() for part in expected
    ]


def test_progress_counts_every_byte(tree: Tree) -> None:
    """The progress display gets the number of hashed bytes."""
    counts: list[int] = []
    ranges = whole(tree)
    hash_ranges(tree, ranges, hash_=Hash.SHA256, jobs=2, progress=counts.append)
    assert sum(counts) == sum(SIZES)
    assert max(counts) <= BUFFER_BYTES


def test_a_large_file_in_shards_uses_several_threads(tree: Tree) -> None:
    """One big file is no reason to leave cores idle, where shards allow it."""
    entry = entries(tree)[-1]
    meeting = threading.Barrier(2, timeout=10)
    ranges = [Range(entry, 0, SMALL_BYTES), Range(entry, SMALL_BYTES, 2 * SMALL_BYTES)]

    def meet(_: int) -> None:
        meeting.wait()

    hash_ranges(tree, ranges, hash_=Hash.SHA256, jobs=2, progress=meet)
    assert not meeting.broken


@pytest.mark.parametrize("change", ["removed", "replaced", "grown", "shrunk", "FIFO", "link"])
def test_a_file_that_is_not_the_listed_one_is_not_hashed(
    tree: Tree, tmp_path: Path, change: str
) -> None:
    """A file that changed after it was listed has an outcome of its own, and nothing blocks."""
    ranges = whole(tree)
    path = tmp_path / ranges[-1].entry.name
    content = path.read_bytes()
    match change:
        case "grown":
            path.write_bytes(content + b"x")
        case "shrunk":
            path.write_bytes(content[:-1])
        case _:
            path.rename(tmp_path / "elsewhere")
    if change == "replaced":
        path.write_bytes(content)
    elif change == "FIFO":
        os.mkfifo(path)
    elif change == "link":
        path.symlink_to("elsewhere")
    counts: list[int] = []
    outcomes = hash_ranges(tree, ranges, hash_=Hash.SHA256, jobs=2, progress=counts.append)
    assert sum(counts) == sum(SIZES[:-1])  # not a byte of it was read
    assert outcomes[-1].digest is None
    assert outcomes[-1].changed == f"'{path.name}' was changed while the model was verified"
    assert all(outcome.digest for outcome in outcomes[:-1])


@pytest.mark.parametrize("change", ["appended", "shrunk", "rewritten in place", "touched"])
def test_a_file_that_changes_while_it_is_read_is_not_trusted(
    tree: Tree, tmp_path: Path, change: str
) -> None:
    """After the last byte the file must still be in the state in which it was listed."""
    part = whole(tree)[-1]
    path = tmp_path / part.entry.name

    def mutate(_: int) -> None:
        match change:
            case "appended":
                with path.open("ab") as file:
                    file.write(b"x")
            case "shrunk":
                os.truncate(path, BUFFER_BYTES)
            case "rewritten in place":
                with path.open("r+b") as file:
                    file.write(b"x")
            case _:
                os.utime(path)

    (outcome,) = hash_ranges(tree, [part], hash_=Hash.SHA256, jobs=1, progress=mutate)
    assert outcome.digest is None
    assert outcome.changed


def test_a_progress_display_that_fails_stops_the_hashing(tree: Tree) -> None:
    """No verdict comes of a verification that did not run to its end."""

    def fail(_: int) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        hash_ranges(tree, whole(tree), hash_=Hash.SHA256, jobs=2, progress=fail)


def test_a_missing_hash_function_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, BLAKE3 leaves the verdict open and says what to install."""
    monkeypatch.setitem(sys.modules, "blake3", None)
    with pytest.raises(Undecided, match=r"pip install .\.\[blake3\]"):
        ranges.new_hasher(Hash.BLAKE3)


@pytest.mark.parametrize(
    ("quota", "memory", "jobs"),
    [
        ("max 100000", "max", 64),
        ("200000 100000", "max", 2),
        ("50000 100000", str(128 * MIB), 1),
        ("max 100000", str(128 * MIB), 8),
        ("max 100000", str(MIB), 1),
    ],
)
def test_jobs_are_those_that_the_container_is_granted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, memory: str, jobs: int
) -> None:
    """A quota counts, not the node's cores; and buffers do not fill a small container's memory."""
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    (tmp_path / "memory.max").write_text(f"{memory}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(128)))
    monkeypatch.setattr("validator.limits.cgroup._MOUNT", tmp_path)
    assert hashing.default_jobs() == jobs


def test_an_interrupt_waits_for_no_file(tmp_path: Path) -> None:
    """Ctrl-C reaches the thread that waits, and the others stop at their next buffer."""
    buffers = 256
    for name in ("a", "b"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(buffers * BUFFER_BYTES)
    counts: list[int] = []
    here = threading.get_ident()

    def interrupt(count: int) -> None:
        counts.append(count)
        if len(counts) == 1:
            signal.pthread_kill(here, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # Hypothesis is called by the garbage collector; an interrupt that arrives in there is lost.
    gc.disable()
    try:
        with Tree.open(tmp_path) as tree, pytest.raises(KeyboardInterrupt):
            hash_ranges(tree, whole(tree), hash_=Hash.SHA256, jobs=2, progress=interrupt)
    finally:
        gc.enable()
        signal.signal(signal.SIGINT, before)
    assert len(counts) < buffers / 4


class SlowDisk:
    """Storage whose answers take some milliseconds each, as the kernel's calls show it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: set[str] = set()
        self.reads: list[tuple[int, int]] = []  # place and length
        self.advice: list[tuple[int, int, int]] = []  # reads before it, place and length
        self._pread = os.pread
        monkeypatch.setattr(os, "pread", self.pread)
        monkeypatch.setattr(os, "posix_fadvise", self.advise)

    def pread(self, descriptor: int, count: int, place: int) -> bytes:
        """Read, after a while."""
        time.sleep(0.003)
        self.threads.add(threading.current_thread().name)
        self.reads.append((place, count))
        return self._pread(descriptor, count, place)

    def advise(self, _: int, place: int, count: int, advice: int) -> None:
        """Take note of what is to be fetched."""
        assert advice == os.POSIX_FADV_WILLNEED
        self.advice.append((len(self.reads), place, count))


@pytest.mark.parametrize(("jobs", "most"), [(1, 1), (2, 2 + READERS)])
def test_small_files_are_read_by_several_threads_where_storage_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int, most: int
) -> None:
    """More than there are cores, since they wait; but one only, where one was asked for."""
    files = {f"{number:03}": b"%d" % number for number in range(64 * 6)}
    write(tmp_path, files)
    disk = SlowDisk(monkeypatch)
    with Tree.open(tmp_path) as tree:
        ranges = whole(tree)
        outcomes = hash_ranges(tree, ranges, hash_=Hash.SHA256, jobs=jobs, progress=lambda _: None)
    assert [outcome.digest for outcome in outcomes] == [
        hashlib.sha256(files[part.entry.name]).digest() for part in ranges
    ]
    assert min(most, 2) <= len(disk.threads) <= most


def test_where_no_thread_can_be_started_this_one_hashes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large files and small ones, however slow the storage is: a container may have one process."""

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    files = {f"{number:03}": b"%d" % number for number in range(64 * 3)}
    write(tmp_path, files | {f"large{number}": bytes(SMALL_BYTES) for number in range(2)})
    monkeypatch.setattr(threading.Thread, "start", refused)
    disk = SlowDisk(monkeypatch)
    with Tree.open(tmp_path) as tree:
        among = whole(tree)
        outcomes = hash_ranges(tree, among, hash_=Hash.SHA256, jobs=3, progress=lambda _: None)
    assert [outcome.digest for outcome in outcomes] == [
        hashlib.sha256((tmp_path / part.entry.name).read_bytes()).digest() for part in among
    ]
    assert disk.threads == {threading.current_thread().name}


def test_a_slow_disk_is_asked_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first read that waited, what comes next is under way, and no more than that."""
    size = 3 * AHEAD_BYTES
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    disk = SlowDisk(monkeypatch)
    with Tree.open(tmp_path) as tree:
        (part,) = whole(tree)
        (outcome,) = hash_ranges(tree, [part], hash_=Hash.SHA256, jobs=2, progress=lambda _: None)
    assert outcome.digest == hashlib.sha256(bytes(size)).digest()
    asked = [place for _, place, _ in disk.advice]
    assert asked == list(range(BUFFER_BYTES, size, disk.advice[0][2]))
    for reads, place, _ in disk.advice:
        assert reads * BUFFER_BYTES <= place < reads * BUFFER_BYTES + AHEAD_BYTES
