"""A model that several processes list has the files that one of them would find."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.signed_model import Signer, Site, statement, write
from tests.unit.validator.tree.forking import FILES, WALKING, verified
from validator.limits import DEFAULT
from validator.statement.signed_files import whole
from validator.tree.listing import ListedFiles
from validator.tree.tree import Identity

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def many(tmp_path: Path, signer: Signer) -> Site:
    """A model of some hundred small files in folders of a folder."""
    files = {f"weights/{name}": content for name, content in FILES.items()}
    model = write(tmp_path / "granite", files)
    made = Site(model, tmp_path / "model.sig", signer)
    made.sign(statement(files))
    return made


def check_alike(many: Site, *options: str, before: str = "") -> dict[str, Any]:
    """Demand the same report of three processes as of one."""
    together, forks = verified(many, WALKING, "--jobs=3", *options, before=before)
    alone, none = verified(many, WALKING, "--jobs=1", *options)
    assert together == alone
    assert (forks, none) == ("4 forks", "0 forks")  # two for each listing
    return dict(together)


def test_a_good_model_is_found_good(many: Site) -> None:
    """With all its files."""
    report = check_alike(many)
    assert (report["verdict"], report["files"]) == ("verified", len(FILES))


def test_what_is_odd_is_found_wherever_it_is(many: Site) -> None:
    """With the sentences that one process has for it."""
    folder = many.model / "weights"
    (folder / "3/200").unlink()
    (folder / "3/201").unlink()
    (folder / "3/201").mkdir()
    (folder / "1").rename(many.model.parent / "1")
    write(folder, {"4/more": b"", "4/new/more": b"", "6/399": b"longer"})
    os.mkfifo(folder / "5/pipe")
    (folder / "0/link").symlink_to("1")
    report = check_alike(many)
    assert report["verdict"] == "refused"
    assert len(report["mismatches"]) == 2 + 60 + 2 + 1 + 1 + 1


def test_a_change_of_one_file_is_found(many: Site) -> None:
    """As the only one."""
    (many.model / "weights/3/200").write_bytes(b"201")
    assert check_alike(many)["reason"] == (
        "the model is not the signed one: 'weights/3/200' is not the signed file: its content "
        "differs"
    )


def test_what_may_be_ignored_is_ignored(many: Site) -> None:
    """In a folder, too, and named in the report."""
    write(many.model, {"weights/4/cache/a": b"", "weights/5/b": b""})
    ignored = [f"--ignore-paths={many.model}/weights/{name}" for name in ("4/cache", "5/b")]
    report = check_alike(many, *ignored)
    assert report["verdict"] == "verified"
    assert report["ignored"] == ["weights/4/cache", "weights/5/b"]


def test_unsigned_files_are_counted_where_they_may_be(many: Site) -> None:
    """All of them."""
    write(many.model, {f"weights/{number % 7}/more-{number}": b"" for number in range(20)})
    assert check_alike(many, "--ignore-unsigned-files")["unsigned"] == 20


@pytest.mark.parametrize("is_link", [False, True])
def test_of_very_many_odd_things_the_same_are_named_each_time(many: Site, *, is_link: bool) -> None:
    """More than a listing keeps: else two of them would differ, and the sum would be too high."""
    for number in range(2 * DEFAULT.mismatches):
        odd = many.model / f"weights/{number % 7}/odd-{number}"
        odd.symlink_to("1") if is_link else odd.touch()
    report = check_alike(many)
    assert "/0/odd-0' is" in report["reason"]
    assert report["reason"].endswith(" (and 1,999 more)")


def test_links_are_followed_where_they_were_signed(many: Site) -> None:
    """Also those out of what another process lists."""
    files = {f"weights/{name}": content for name, content in FILES.items()}
    (many.model / "weights/1/linked").symlink_to("../2")
    linked = {
        name.replace("weights/2", "weights/1/linked"): content
        for name, content in files.items()
        if name.startswith("weights/2/")
    }
    many.sign(statement(files | linked, allow_symlinks=True))
    report = check_alike(many)
    assert (report["verdict"], report["files"]) == ("verified", len(files | linked))


@pytest.mark.parametrize("work", ["os.kill(os.getpid(), signal.SIGKILL)", "queue.take(); 1 / 0"])
def test_what_a_process_does_not_list_its_parent_does(many: Site, work: str) -> None:
    """It was killed, or has failed, with folders that it had taken."""
    before = f"""
def help_(self, queue, folders, above, send):
    {work}
walk._Walk._help = help_
"""
    assert check_alike(many, before=before)["verdict"] == "verified"


@pytest.mark.parametrize(
    "message",
    [
        "b'no JSON' + end + states",
        "b'[0]' + end + states",
        "b'[0, 1]' + end + states",
        "b'[0, [999]]' + end + states",
        "b'[0, []]' + end + states[1:]",
        "b'[0, []]'",
    ],
)
def test_what_makes_no_sense_decides_nothing(many: Site, message: str) -> None:
    """It is no message, of no folder that is left, or of other files."""
    before = f"""
def help_(self, queue, folders, above, send):
    end, states = walk._HEAD_END, self.listing.like().files.packed
    send({message})
walk._Walk._help = help_
"""
    report, _ = verified(many, WALKING, "--jobs=3", before=before)
    assert report["verdict"] == "undecided"
    assert "makes no sense" in report["reason"]


def test_the_limit_of_files_counts_those_of_all_processes(many: Site) -> None:
    """However few each has listed."""
    before = f"""
take, parent = workers.Queue.take, os.getpid()
workers.Queue.take = lambda queue: None if os.getpid() == parent else take(queue)
from validator import verification
limits = verification.DEFAULT._replace(entries={len(FILES)})
verify = verification.verify
verification.verify = lambda request, **given: verify(request._replace(limits=limits), **given)
"""
    report, _ = verified(many, WALKING, "--jobs=3", before=before)
    assert report["reason"] == f"the model has more than {len(FILES)} files"


def test_states_of_other_files_are_not_merged() -> None:
    """Their numbers would be of other names."""
    one, other = (
        ListedFiles((), whole(names, b"", width=0), others_limit=None)
        for names in ([b"a", b"b"], [b"a", b"b", b"c"])
    )
    with pytest.raises(ValueError, match="80"):
        other.merge(one.packed)


def test_merged_states_are_those_of_both() -> None:
    """Whatever their bytes are."""
    signed = whole([b"%d" % number for number in range(5000)], b"", width=0)
    states = [
        Identity(number + 1, 2**64 - 1 - number, number, -number, 2**63 - 1 - number)
        for number in range(5000)
    ]
    one, other = (ListedFiles((), signed, others_limit=None) for _ in range(2))
    for number, state in enumerate(states):
        if number % 5:
            (one if number % 2 else other).add(str(number), state)
    one.merge(other.packed)
    found = dict(one.states())
    assert found == {number: state for number, state in enumerate(states) if number % 5}
