"""Small files that several processes hash have the outcomes that one of them would find.

A process that has threads does not fork, and a test's process has some: most of these programs are
processes of their own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.support.signed_model import Signer, Site, statement, write
from tests.unit.validator.tree.forking import FILES, HASHING, verified
from validator.errors import Undecided
from validator.limits import DEFAULT
from validator.statement.signed_files import Hash, whole
from validator.tree.digests import hashing
from validator.tree.digests.batches import Shared
from validator.tree.digests.hashing import hash_ranges
from validator.tree.digests.ranges import AS_SIGNED, Work
from validator.tree.digests.signed_ranges import SignedRanges
from validator.tree.tree import Tree
from validator.tree.walk import Scope, list_files
from validator.tree.workers import Queue, Workers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@pytest.fixture
def many(tmp_path: Path, signer: Signer) -> Site:
    """A model of some hundred small files."""
    model = write(tmp_path / "granite", FILES)
    made = Site(model, tmp_path / "model.sig", signer)
    made.sign(statement(FILES))
    return made


def test_a_verdict_is_the_same_by_several_processes(many: Site) -> None:
    """Good, and by the same files and bytes."""
    together, forks = verified(many, HASHING, "--jobs=3")
    alone, none = verified(many, HASHING, "--jobs=1")
    assert together == alone
    assert together["verdict"] == "verified"
    assert (forks, none) == ("2 forks", "0 forks")


def test_every_difference_is_found_by_several_processes(many: Site) -> None:
    """Wherever it is, and with the same sentences: most files are changed."""
    for number, (name, content) in enumerate(FILES.items()):
        if number % 7:
            (many.model / name).write_bytes(content[::-1] + b"!")
    together, forks = verified(many, HASHING, "--jobs=2")
    alone, _ = verified(many, HASHING, "--jobs=1")
    assert forks == "1 forks"
    assert together == alone
    assert together["verdict"] == "refused"
    assert len(together["mismatches"]) == sum(bool(number % 7) for number in range(400))


@pytest.mark.parametrize(
    "work",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "self._queue.take(); raise MemoryError",
        "send(json.dumps((self._queue.take(), [])).encode()); self._queue.take(); sys.exit(0)",
    ],
)
def test_what_a_worker_leaves_is_done_by_its_parent(many: Site, work: str) -> None:
    """It was killed, or has failed, with batches that it had taken."""
    if "send" not in work:  # what a worker says is believed: that its first batch is good
        (many.model / "3/200").write_bytes(b"changed")
    before = f"""
def work_off(self, send):
    {work}
batches.Shared.work_off = work_off
among = batches.Shared.among.__func__
def after_the_worker(*given):
    shared = among(*given)
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    return shared
batches.Shared.among = classmethod(after_the_worker)
"""
    alone, _ = verified(many, HASHING, "--jobs=1")
    together, forks = verified(many, HASHING, "--jobs=2", before=before)
    assert forks == "1 forks"
    assert together == alone


def test_where_no_process_may_be_started_one_is_enough(many: Site) -> None:
    """A limit of processes is no reason for a refusal."""
    before = """
def refused():
    forks.append(1)
    raise BlockingIOError
os.fork = refused
"""
    together, forks = verified(many, HASHING, "--jobs=4", before=before)
    assert (together["verdict"], forks) == ("verified", "1 forks")


def test_where_no_pipe_can_be_made_one_process_is_enough(many: Site) -> None:
    """A limit of open files is none, either."""
    before = """
def refused():
    raise OSError(24, "Too many open files")
os.pipe = refused
"""
    together, forks = verified(many, HASHING, "--jobs=4", before=before)
    assert (together["verdict"], forks) == ("verified", "0 forks")


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """The same model, open."""
    with Tree.open(write(tmp_path, FILES)) as tree:
        yield tree


def ranges(tree: Tree, files: Mapping[str, bytes] = FILES) -> SignedRanges:
    """Return the ranges of a model, as they were signed."""
    digests = b"".join(hashlib.sha256(content).digest() for content in files.values())
    signed = whole([name.encode() for name in files], digests, width=32)
    return SignedRanges(signed, list_files(tree, Scope(files=signed), limits=DEFAULT).files)


def test_a_process_with_threads_hashes_alone(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """As this one has some, it does not fork, whatever it is granted."""
    monkeypatch.setattr(hashing, "FILES_EACH", 1)
    monkeypatch.setattr("os.fork", lambda: pytest.fail("forked"))
    monkeypatch.setattr("validator.tree.workers._THREADS", "/proc/self")  # more than one thread
    outcomes = hash_ranges(
        tree, ranges(tree), hash_=Hash.SHA256, jobs=4, progress=lambda _: None, forks=True
    )
    assert outcomes == [AS_SIGNED] * len(FILES)


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b"[", b"7", b"[]", b"[9, []]", b"[0, 7]"),
        *(b"[0, [[5, [1, 2]]]]", b"[0, [[5, []]]]", b"[0, [[399, [null, null]]]]"),
    ],
)
def test_an_answer_that_makes_no_sense_is_no_verdict(tree: Tree, message: bytes) -> None:
    """Of a batch that does not exist, of a range that is not in it, or of another form."""
    work = Work(tree, hashlib.sha256, lambda _: None, 0)
    among = ranges(tree)
    shared = Shared(
        [range(100), range(100, 200)],
        hashing._Hashing(work, among, among.sizes, 2),
        Queue(2),
        Workers(),
    )
    with pytest.raises(Undecided, match="has sent what makes no sense"):
        shared.hear(message)
    assert shared.left() == [range(100), range(100, 200)]


def test_a_batch_that_two_have_hashed_is_no_verdict(tree: Tree) -> None:
    """The second outcome would stand for the first one."""
    work = Work(tree, hashlib.sha256, lambda _: None, 0)
    among = ranges(tree)
    hashing_ = hashing._Hashing(work, among, among.sizes, 2)
    shared = Shared([range(100)], hashing_, Queue(1), Workers())
    assert shared.take() == range(100)
    with pytest.raises(Undecided, match="has sent what makes no sense"):
        shared.hear(b"[0, []]")
