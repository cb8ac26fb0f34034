"""Models that do not hold still while they are read, on the disk and on a FUSE file system.

What moves by itself is no alarm; no change that somebody makes gets through.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes.fuse import mounted
from tests.support.signed_model import FILES, Site, sharded, statement, statement_of, write
from validator.errors import ModelError, Undecided
from validator.limits import DEFAULT
from validator.monitor.sight import Watched, differences, look
from validator.statement.signed_files import Hash
from validator.tree.contents import READS, TICK_NS, read_contents, seconds_until_told
from validator.tree.digests.hashing import hash_ranges
from validator.tree.digests.ranges import Outcome, Range
from validator.tree.tree import Tree
from validator.tree.walk import Scope, list_files
from validator.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from validator.report import Report
    from validator.tree.contents import Contents
    from validator.tree.listing import Listing
    from validator.verification import Request

SECOND = 10**9

pytestmark = pytest.mark.usefixtures("in_order")


def verified(request: Request, *acts: Callable[[], object] | None) -> Report:
    """Verify a model; `acts` happen at its first reads, one at each."""
    pending = list(acts)

    def progress(_done: int, _total: int) -> None:
        if pending and (act := pending.pop(0)):
            act()

    return verify(request._replace(jobs=1), progress=progress)


@pytest.fixture
def site(site: Site) -> Site:
    """A model of two small files: each is one read, `a` before `b`."""
    shutil.rmtree(site.model)
    files = {"a": b"good a", "b": b"good b"}
    write(site.model, files)
    site.sign(statement(files))
    return site


def overwrite(path: Path, content: bytes) -> None:
    """Write into a file, and give it back the time at which it was modified."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def listed(tree: Tree) -> Listing:
    """List the model's files."""
    return list_files(tree, Scope(signature="model.sig"), limits=DEFAULT)


def read_by(
    digests: Callable[[Sequence[Range]], list[Outcome]], tree: Tree, listing: Listing
) -> Contents:
    """Have the listed files read whole by a function."""
    return read_contents(
        tree,
        [Range(entry, 0, entry.identity.size) for entry in listing.files.values()],
        listing=listing,
        list_again=lambda: listed(tree),
        digests=digests,
    )


def exchange(one: Path, other: Path) -> None:
    """Let two paths change places."""
    aside = one.with_name(f".{one.name}.aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def twin(site: Site, name: str, content: bytes) -> Path:
    """Make a file outside of the model that differs from one of it in content and inode only."""
    path, other = site.model / name, site.model.parent / f"twin of {name}"
    other.write_bytes(content)
    status = path.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    return other


class TestNoAlarm:
    """A second pod's start, or the same content copied again, is no change of the model."""

    @pytest.mark.parametrize("read", [0, 1])
    def test_a_new_mode_or_owner(self, site: Site, read: int) -> None:
        """Before the file is opened, or after it was hashed: the content is the signed one."""
        acts = [None] * read
        assert verified(site.request(), *acts, lambda: (site.model / "b").chmod(0o640)).files == 2
        assert verified(site.request(), lambda: (site.model / "a").chmod(0o640)).files == 2

    def test_a_copy_in_its_place(self, site: Site) -> None:
        """Of the same content and time: another inode, that is all."""
        same = twin(site, "b", b"good b")
        assert verified(site.request(), lambda: same.rename(site.model / "b")).files == 2

    def test_a_model_of_shards(self, site: Site) -> None:
        """Each part of a file that moved is read again."""
        files = {"a": b"x" * 3000, "b": b"y" * 10}
        write(site.model, files)
        listed = [part for name, content in files.items() for part in sharded(name, content, 1000)]
        site.sign(statement_of(listed, method="shards", shard_size=1000))
        for read in range(4):
            acts = [None] * read
            touch = partial((site.model / "a").chmod, 0o600 + read)
            report = verified(site.request(), *acts, touch)
            assert report.files == 2

    def test_only_what_moved_is_read_again(self, site: Site) -> None:
        """The bytes that are read tell it."""
        read: list[int] = []
        write(site.model, {"big": b"b" * 10_000})
        site.sign(statement({"a": b"good a", "b": b"good b", "big": b"b" * 10_000}))

        def progress(done: int, total: int) -> None:
            assert done <= total
            if not read:
                (site.model / "a").chmod(0o600)
            read.append(done)

        verify(site.request(jobs=1), progress=progress)
        assert read[-1] == 10_000 + 2 * 6 + 6


class TestNoChangeGetsThrough:
    """Where size and mtime are the old ones, content is what counts, and at the end."""

    def test_a_file_that_is_overwritten_after_it_was_hashed(self, site: Site) -> None:
        """Whoever restores the mtime has moved the ctime."""
        with pytest.raises(ModelError, match="'a' was changed while the model was verified"):
            verified(site.request(), None, lambda: overwrite(site.model / "a", b"evil a"))

    def test_a_file_that_is_overwritten_before_it_is_hashed(self, site: Site) -> None:
        """It is read as it is."""
        with pytest.raises(ModelError, match="'b' is not the signed file: its content differs"):
            verified(site.request(), lambda: overwrite(site.model / "b", b"evil b"))

    def test_a_file_that_is_good_while_it_is_read(self, site: Site) -> None:
        """Both listings see the evil one: it is read again, and found."""
        good = twin(site, "b", b"good b")
        overwrite(site.model / "b", b"evil b")
        swap = (lambda: exchange(site.model / "b", good),) * 2
        with pytest.raises(ModelError, match="'b' was changed while the model was verified"):
            verified(site.request(), *swap)

    def test_a_file_that_is_evil_while_it_is_read(self, site: Site) -> None:
        """It is the signed one before and afterwards."""
        evil = twin(site, "b", b"evil b")
        swap = (lambda: exchange(site.model / "b", evil),) * 2
        with pytest.raises(ModelError, match="'b' was changed while the model was verified"):
            verified(site.request(), *swap)

    def test_a_folder_whose_files_have_all_the_same_times(self, site: Site) -> None:
        """A rename of the folder moves no ctime of its files: their inodes tell."""
        files = {"d/f": b"good", "z": b"z"}
        shutil.rmtree(site.model)
        write(site.model, files)
        site.sign(statement(files))
        evil = write(site.model.parent / "evil", {"f": b"evil"})
        status = (site.model / "d/f").stat()
        os.utime(evil / "f", ns=(status.st_atime_ns, status.st_mtime_ns))
        with pytest.raises(ModelError, match="'d/f' was changed while the model was verified"):
            verified(site.request(), None, lambda: exchange(site.model / "d", evil))

    def test_a_file_that_is_good_whenever_it_is_read(self, site: Site) -> None:
        """And evil at each listing: no state was the same before and after, so no verdict."""
        good = twin(site, "b", b"good b")
        overwrite(site.model / "b", b"evil b")
        with Tree.open(site.model) as tree:
            listing = listed(tree)

            def digests(ranges: Sequence[Range]) -> list[Outcome]:
                exchange(site.model / "b", good)
                try:
                    return hash_ranges(
                        tree, ranges, hash_=Hash.SHA256, jobs=1, progress=lambda _: None
                    )
                finally:
                    exchange(site.model / "b", good)

            contents = read_by(digests, tree, listing)
        assert not contents.changed
        (said,) = contents.restless
        assert said.startswith("'b' does not hold still: ")

    def test_a_model_that_changes_on(self, site: Site) -> None:
        """It is read a bounded number of times, and then there is no verdict."""
        reads = 0

        def touch(_done: int, _total: int) -> None:
            nonlocal reads
            reads += 1
            (site.model / "b").chmod(0o600 + reads)

        said = (
            "the model cannot be verified: 'b' does not hold still: its inode or its ctime was "
            f"another one after each of {READS} reads; find out who renames it or changes its "
            "owner, mode or label"
        )
        with pytest.raises(Undecided) as caught:
            verify(site.request(jobs=1), progress=touch)
        assert str(caught.value) == said
        assert reads == 1 + READS


class TestFuse:
    """A file system that numbers its inodes anew at each look."""

    @pytest.fixture
    def shown(self, site: Site, tmp_path: Path) -> Iterable[Site]:
        """The model, as the file system shows it."""
        shutil.rmtree(site.model)
        write(site.model, FILES)
        site.sign(statement(FILES))
        with mounted(site.model, tmp_path / "fuse") as point:
            first, second = ((point / "config.json").stat().st_ino for _ in range(2))
            assert first != second
            yield replace(site, model=point, signature=point / "model.sig")

    def test_the_model_verifies(self, shown: Site) -> None:
        """No number is taken for a change."""
        assert verified(shown.request()).files == len(FILES)

    def test_a_change_is_found(self, shown: Site, site: Site) -> None:
        """After the file was hashed, with its old mtime."""
        spoil = (None, lambda: overwrite(site.model / "config.json", b"0" * 2))
        with pytest.raises(ModelError, match=r"'config.json' was changed"):
            verified(shown.request(), None, *spoil)

    def test_the_monitor_sees_no_difference(self, shown: Site, site: Site) -> None:
        """Two looks are alike, until somebody writes."""
        models = [Watched(shown.request())]
        verify(models[0].request, memory=models[0].memory)
        before = look(models)
        assert differences(models, before, look(models)) == ()
        overwrite(site.model / "config.json", b"0" * 2)
        after = look(models)
        assert differences(models, before, after) == (f"{shown.model}/config.json",)


def test_a_change_within_the_second_of_the_last_one_is_found(site: Site, tmp_path: Path) -> None:
    """Where times are whole seconds, a verification begins when a further change would show."""
    with mounted(site.model, tmp_path / "fuse", "--whole-seconds") as point:
        (site.model / "a").chmod(0o600)
        shown = replace(site, model=point, signature=point / "model.sig")
        with pytest.raises(ModelError, match="'a' was changed while the model was verified"):
            verified(shown.request(), None, lambda: overwrite(site.model / "a", b"evil a"))


def test_a_file_is_read_again_when_a_further_change_would_show(site: Site) -> None:
    """A new ctime is of just now: content that is written in the same tick would keep it."""
    ages: list[int] = []
    with Tree.open(site.model) as tree:
        listing = listed(tree)

        def digests(ranges: Sequence[Range]) -> list[Outcome]:
            ages.extend(time.time_ns() - part.entry.identity.changed_ns for part in ranges)
            found = hash_ranges(tree, ranges, hash_=Hash.SHA256, jobs=1, progress=lambda _: None)
            if len(ages) == len(listing.files):
                (site.model / "b").chmod(0o640)
            return found

        contents = read_by(digests, tree, listing)
    assert not contents.changed
    assert not contents.restless
    assert len(ages) == len(listing.files) + 1
    assert ages[-1] >= TICK_NS


@pytest.mark.parametrize(
    ("age_ns", "seconds"),
    [(0, 2.0), (SECOND, 1.0), (2 * SECOND, 0.0), (3 * SECOND, 0.0), (-3600 * SECOND, 2.0)],
)
def test_young_times_are_waited_for(age_ns: int, seconds: float) -> None:
    """In whole seconds, and in ticks; also those of a server whose clock is fast, and no longer."""
    now = 1_700_000_000 * SECOND
    times = [now - age_ns, now - 10 * SECOND]
    assert seconds_until_told(times, now_ns=now) == seconds
    assert seconds_until_told([now - 1], now_ns=now) == pytest.approx(TICK_NS / SECOND)
    assert seconds_until_told([now - TICK_NS], now_ns=now) == 0
