from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.signed_model import write
from validator.errors import ModelError, Undecided
from validator.limits import DEFAULT, Limits
from validator.tree.tree import Tree
from validator.tree.walk import Scope, list_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from validator.tree.listing import Listing

FILES = {"a": b"1", "deep/er/b": b"22", ".git/config": b"3", "deep/.git/c": b"4"}


BACK = "out of the model and back to"
RELATIVE = "which holds at this place only: make it a relative link that stays within the model"
CIRCLE = "leads in a circle: remove the link to a folder that it lies in"


def walk(path: Path, *, limits: Limits = DEFAULT, **scope: Any) -> Listing:
    """List a model, by default following no links and ignoring nothing."""
    with Tree.open(path) as tree:
        return list_files(tree, Scope(**scope), limits=limits)


def read(path: Path, listing: Listing, name: str) -> bytes:
    """Return the content of a listed file as the hashing sees it."""
    with Tree.open(path) as tree:
        descriptor = tree.open_file(listing.files[name])
        try:
            return os.read(descriptor, 1000)
        finally:
            os.close(descriptor)


def test_all_files_are_listed_by_their_names(tmp_path: Path) -> None:
    """Hidden ones and deep ones, with their sizes."""
    listing = walk(write(tmp_path, FILES))
    assert {name: entry.identity.size for name, entry in listing.files.items()} == {
        name: len(content) for name, content in FILES.items()
    }
    assert not listing.problems
    assert not listing.unreadable


def test_ignored_paths_are_exact_and_take_all_below_with_them(tmp_path: Path) -> None:
    """An ignored name is a path from the root: no other of the same name, no globs."""
    listing = walk(write(tmp_path, FILES), ignored=frozenset({".git", "er", "dee*"}))
    assert listing.files.keys() == FILES.keys() - {".git/config"}
    assert listing.ignored == [".git"]


def test_a_signed_file_below_an_ignored_path_is_listed(tmp_path: Path) -> None:
    """Signed means verified: no ignore takes a signed file away."""
    write(tmp_path, FILES)
    listing = walk(tmp_path, ignored=frozenset({".git", "deep"}), signed=[".git/config", "a"])
    assert listing.files.keys() == {".git/config", "a"}
    listing = walk(tmp_path, ignored=frozenset({"a"}), signed=["a"])
    assert "a" in listing.files


def test_a_signed_name_that_is_not_ignored_is_not_looked_up_again(tmp_path: Path) -> None:
    """A signed file that the walk did not list, and that is not ignored, is missing."""
    os.mkfifo(tmp_path / "a")
    assert "a" not in walk(tmp_path, signed=["a"]).files


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("kind", ["FIFO", "directory", "nothing", "link out", "linked folder out"])
def test_what_is_no_file_below_an_ignored_path_is_missing(
    tmp_path: Path, kind: str, *, follow: bool
) -> None:
    """A signed name below an ignored path has to be a file inside of the model."""
    model = tmp_path / "model"
    write(tmp_path, {"outside/file": b"", "model/ignored/other": b""})
    path = model / "ignored" / "file"
    name = "ignored/file"
    match kind:
        case "FIFO":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "link out":
            path.symlink_to("../../outside/file")
        case "linked folder out":
            (model / "ignored" / "folder").symlink_to("../../outside")
            name = "ignored/folder/file"
    listing = walk(model, ignored=frozenset({"ignored"}), signed=[name], follow=follow)
    assert not listing.files


def test_a_link_below_an_ignored_path_counts_where_links_do(tmp_path: Path) -> None:
    """A signed link's name below an ignored path is followed, or missing."""
    write(tmp_path, {"ignored/file": b""})
    (tmp_path / "ignored" / "link").symlink_to("file")
    asked: dict[str, Any] = {"ignored": frozenset({"ignored"}), "signed": ["ignored/link"]}
    assert not walk(tmp_path, **asked).files
    assert walk(tmp_path, follow=True, **asked).files["ignored/link"].real == ("ignored", "file")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "a FIFO"),
        (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "a socket"),
        (lambda path: os.mknod(path, 0o20600, os.makedev(1, 3)), "a character device"),
        (lambda path: os.mknod(path, 0o60600, os.makedev(7, 0)), "a block device"),
    ],
    ids=["FIFO", "socket", "character device", "block device"],
)
@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_special_files_are_refused_and_never_opened(
    tmp_path: Path, make: Callable[[Path], object], kind: str, *, follow: bool
) -> None:
    """Files that could block or never end are refused by name, also if a link leads to them."""
    write(tmp_path, {"a": b""})
    try:
        make(tmp_path / "odd")
    except PermissionError:
        pytest.skip(f"making {kind} needs root")
    if follow:
        (tmp_path / "link").symlink_to("odd")
    listing = walk(tmp_path, follow=follow)
    names = ["link", "odd"] if follow else ["odd"]
    assert listing.problems == [f"'{name}' is {kind}, and a model has only files" for name in names]
    assert listing.files.keys() == {"a"}


def test_links_are_refused_where_the_signer_had_none(tmp_path: Path) -> None:
    """Without links in the statement, each link is a problem, wherever it leads."""
    write(tmp_path, {"a": b"", "d/b": b""})
    (tmp_path / "to file").symlink_to("a")
    (tmp_path / "to folder").symlink_to("d")
    (tmp_path / "to nothing").symlink_to("x")
    listing = walk(tmp_path)
    assert listing.files.keys() == {"a", "d/b"}
    assert [problem.partition(" is a link")[0] for problem in listing.problems] == [
        "'to file'",
        "'to folder'",
        "'to nothing'",
    ]


def test_links_inside_of_the_model_stand_for_what_they_lead_to(tmp_path: Path) -> None:
    """Linked files and linked directories are covered under the link's name."""
    write(tmp_path, {"d/b": b"content", "e/f/c": b""})
    (tmp_path / "file").symlink_to("d/b")
    (tmp_path / "folder").symlink_to("d")
    (tmp_path / "e" / "up").symlink_to("../d/../file")
    (tmp_path / "chain").symlink_to("e/up")
    listing = walk(tmp_path, follow=True)
    assert not listing.problems
    assert listing.files.keys() == {
        *("d/b", "e/f/c", "file", "folder/b", "e/up", "chain"),
    }
    for name in ("file", "folder/b", "e/up", "chain"):
        assert listing.files[name].real == ("d", "b")
        assert read(tmp_path, listing, name) == b"content"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("../outside", "leads out of the model"),
        ("../outside/secret", "leads out of the model"),
        ("d/../../outside/secret", "leads out of the model"),
        ("../model/a", f"leads {BACK} 'a' in it, {RELATIVE}"),
        ("d/../../model/d/b", f"leads {BACK} 'd/b' in it, {RELATIVE}"),
        ("../model", "leads back to the model itself: remove it"),
        ("..", "leads out of the model"),
        ("/etc/passwd", "is absolute and leads out of the model"),
        ("/", "is absolute and leads out of the model"),
        ("hop", "is absolute and leads out of the model"),
        ("out/secret", "leads out of the model"),
        ("nothing", "leads to nothing"),
        ("a/below", "leads to nothing"),
        ("self", "leads in a circle"),
        ("ping", "leads in a circle"),
        (".", "leads in a circle"),
        ("d/..", "leads in a circle"),
    ],
)
def test_links_that_lead_elsewhere_are_refused(tmp_path: Path, target: str, said: str) -> None:
    """Out of the root by any path, to nothing, or in a circle: named, and not followed."""
    model = write(tmp_path / "model", {"a": b"", "d/b": b""})
    write(tmp_path / "outside", {"secret": b""})
    (model / "self").symlink_to(target)
    others = {"hop": "/etc/passwd", "out": "../outside", "ping": "pong", "pong": "ping"}
    for name, leads in others.items():
        if target.startswith(name):
            (model / name).symlink_to(leads)
    if target == "ping":
        (model / "pong").symlink_to("ping")
    listing = walk(model, follow=True)
    assert f"'self' is a link that {said}" in listing.problems or (
        said == "leads in a circle" and f"'self' {CIRCLE}" in listing.problems
    )
    assert listing.files.keys() == {"a", "d/b"}


def test_a_path_of_many_links_is_a_circle(tmp_path: Path) -> None:
    """As the kernel does, forty links for one name are taken as a circle."""
    write(tmp_path, {"n0": b""})
    for number in range(42):
        (tmp_path / f"n{number + 1}").symlink_to(f"n{number}")
    listing = walk(tmp_path, follow=True)
    assert "n40" in listing.files
    assert listing.problems == [f"'n{n}' is a link that leads in a circle" for n in (41, 42)]


def test_directories_that_link_to_each_other_end(tmp_path: Path) -> None:
    """Two directories that contain each other by links are found as a circle."""
    write(tmp_path, {"x/a": b"", "y/b": b""})
    (tmp_path / "x" / "y").symlink_to("../y")
    (tmp_path / "y" / "x").symlink_to("../x")
    listing = walk(tmp_path, follow=True, limits=Limits(entries=1000))
    assert listing.problems == [f"'{name}' {CIRCLE}" for name in ("x/y/x", "y/x/y")]


@pytest.mark.parametrize("through", ["as it is", "by a link"])
def test_an_absolute_link_into_the_model_is_refused_with_the_remedy(
    tmp_path: Path, through: str
) -> None:
    """It would lead out of any copy; it is told from one that leads elsewhere."""
    model = write(tmp_path / "model", {"a": b"", ".git/b": b""})
    (tmp_path / "current").symlink_to("model")
    given = model if through == "as it is" else tmp_path / "current"
    (model / "to file").symlink_to(given / "a")
    (model / "to ignored").symlink_to(given / ".git" / "b")
    (model / "to itself").symlink_to(given)
    (model / "elsewhere").symlink_to(f"{given}-2/a")
    said = "is absolute and leads"
    listing = walk(given, follow=True, ignored=frozenset({".git"}))
    assert sorted(listing.problems) == [
        f"'elsewhere' is a link that {said} out of the model",
        f"'to file' is a link that {said} {BACK} 'a' in it, {RELATIVE}",
        f"'to ignored' is a link that {said} {BACK} '.git/b' in it, {RELATIVE}",
        f"'to itself' is a link that {said} back to the model itself: remove it",
    ]


def test_a_link_into_an_ignored_path_stands_for_what_it_leads_to(tmp_path: Path) -> None:
    """What is ignored is the path; a name that is not ignored must be signed."""
    write(tmp_path, {".git/b": b"content"})
    (tmp_path / "linked").symlink_to(".git/b")
    listing = walk(tmp_path, follow=True, ignored=frozenset({".git"}))
    assert listing.files.keys() == {"linked"}
    assert read(tmp_path, listing, "linked") == b"content"


def test_the_models_own_path_may_be_a_link(tmp_path: Path) -> None:
    """A link in the policy's path is followed; links on the volume are not trusted."""
    write(tmp_path / "v1", {"a": b""})
    (tmp_path / "current").symlink_to("v1")
    assert walk(tmp_path / "current").files.keys() == {"a"}


def test_depth_is_limited(tmp_path: Path) -> None:
    """Directories deeper than the limit are refused by their name."""
    deepest = "/".join(["d"] * 5)
    write(tmp_path, {f"{deepest}/a": b""})
    assert f"{deepest}/a" in walk(tmp_path, limits=Limits(depth=6)).files
    listing = walk(tmp_path, limits=Limits(depth=5))
    said = "lies deeper than 5 directories, or its path is longer than 4,096 characters"
    assert listing.problems == [f"'{deepest}' {said}"]
    (said,) = walk(tmp_path, limits=Limits(name_bytes=8)).problems
    assert said.startswith(f"'{deepest}' lies deeper than 1,000 directories, or its path is longer")


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A file in each of 1,000 directories within one another.

    Made by descriptors, since the path is longer than a call takes, and removed by `rm`, since
    Python's own way to remove directories calls itself for each.
    """
    model = tmp_path / "deep"
    model.mkdir()
    descriptor = os.open(model, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
        os.close(os.open("a", os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)
    yield model
    subprocess.run(["rm", "-rf", model], check=True)


def test_a_thousand_directories_are_not_too_deep(deep: Path) -> None:
    """All of them are listed, and one more is one too many."""
    listing = walk(deep, limits=Limits(depth=1001))
    assert len(listing.files) == 1000
    assert not listing.problems
    (said,) = walk(deep).problems
    assert said.endswith(
        "lies deeper than 1,000 directories, or its path is longer than 4,096 characters"
    )


def test_the_number_of_entries_is_limited(tmp_path: Path) -> None:
    """Ignored and special ones count, too: looking at them takes time."""
    write(tmp_path, {f"f{number}": b"" for number in range(10)})
    walk(tmp_path, limits=Limits(entries=10))
    with pytest.raises(ModelError, match="more than 9 files"):
        walk(tmp_path, limits=Limits(entries=9))


def test_many_links_to_directories_do_not_explode(tmp_path: Path) -> None:
    """Ten levels of ten links each would be ten thousand million paths."""
    for level in range(10):
        write(tmp_path, {f"d{level}/a": b""})
        for number in range(10):
            (tmp_path / f"d{level}" / f"l{number}").symlink_to(f"../d{level + 1}")
    with pytest.raises(ModelError, match="more than 5,000 files"):
        walk(tmp_path, follow=True, limits=Limits(entries=5000))


def test_names_that_are_not_utf8_are_listed_and_shown_escaped(tmp_path: Path) -> None:
    """A file's name may have any bytes; sentences show them unmistakably."""
    path = os.fsencode(tmp_path) + b"/\xff\nVerification succeeded\x1b[2J"
    os.mkfifo(path)
    (problem,) = walk(tmp_path).problems
    assert problem.startswith(r"'\udcff\nVerification succeeded\x1b[2J' is a FIFO")


def test_the_signature_is_never_part_of_the_tree(tmp_path: Path) -> None:
    """By its path, not by its name: another model.sig is a file like others."""
    write(tmp_path, {"model.sig": b"", "deep/model.sig": b""})
    assert walk(tmp_path, signature="model.sig").files.keys() == {"deep/model.sig"}
    assert walk(tmp_path, signature="deep/model.sig").files.keys() == {"model.sig"}


def test_a_directory_in_the_signatures_place_is_part_of_the_tree(tmp_path: Path) -> None:
    """The signature's name exempts no directory."""
    write(tmp_path, {"model.sig/plugin.py": b""})
    assert walk(tmp_path, signature="model.sig").files.keys() == {"model.sig/plugin.py"}


@pytest.mark.parametrize(
    ("signature", "inside"),
    [
        ("model/model.sig", "model.sig"),
        ("model/sub/model.sig", "sub/model.sig"),
        ("model/sub/../model.sig", "model.sig"),
        ("linked/model.sig", "model.sig"),
        ("model.sig", None),
        ("models/model.sig", None),
        ("model/..sig", "..sig"),
        ("model/out/model.sig", None),
    ],
)
def test_the_signatures_place_is_found_by_its_real_directory(
    tmp_path: Path, signature: str, inside: str | None
) -> None:
    """However its path is written, and whatever links lead there."""
    write(tmp_path, {"model/sub/a": b"", "models/a": b""})
    (tmp_path / "linked").symlink_to("model")
    (tmp_path / "model" / "out").symlink_to("../models")
    with Tree.open(tmp_path / "model") as tree:
        assert tree.relative(tmp_path / signature) == inside


def test_a_single_file_is_a_model(tmp_path: Path) -> None:
    """It is listed as '.', and what lies beside it is not its business."""
    write(tmp_path, {"model.gguf": b"123", "other": b""})
    listing = walk(tmp_path / "model.gguf")
    assert listing.files.keys() == {"."}
    assert read(tmp_path / "model.gguf", listing, ".") == b"123"


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("nothing", ModelError, "there is no model at"),
        ("file/below", ModelError, "there is no model at"),
        ("fifo", ModelError, "is neither a directory nor a file"),
        ("broken", ModelError, "there is no model at"),
        ("loop", ModelError, "is a link that leads to itself"),
        ("a\0b", ModelError, "is not a file's name"),
        ("x" * 300, Undecided, "cannot be read: File name too long"),
    ],
)
def test_what_is_no_model_is_said(
    tmp_path: Path, path: str, error: type[Exception], said: str
) -> None:
    """The model's own path can be wrong in many ways, each with its sentence."""
    write(tmp_path, {"file": b""})
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "broken").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(error, match=said):
        walk(tmp_path / path)


class TestHuggingFaceCache:
    """vLLM opens `snapshots/REV`, whose links lead into `blobs/` of the same cache."""

    @pytest.fixture
    def cache(self, tmp_path: Path) -> Path:
        """A cache of one revision with two files, and another model's cache beside it."""
        cache = write(
            tmp_path / "models--acme--granite",
            {"blobs/11": b"config", "blobs/22": b"weights", "refs/main": b"rev", "secret": b""},
        )
        write(tmp_path / "models--evil", {"blobs/11": b"evil"})
        snapshot = cache / "snapshots" / "rev"
        (snapshot / "sub").mkdir(parents=True)
        (snapshot / "config.json").symlink_to("../../blobs/11")
        (snapshot / "sub" / "weights").symlink_to("../../../blobs/22")
        return cache

    def both_files_are_found(self, cache: Path) -> None:
        """Assert that a cache's revision has its two files, with the blobs' contents."""
        snapshot = cache / "snapshots" / "rev"
        listing = walk(snapshot, follow=True)
        assert not listing.problems
        assert listing.files.keys() == {"config.json", "sub/weights"}
        assert read(snapshot, listing, "sub/weights") == b"weights"

    def test_links_into_blobs_are_followed(self, cache: Path) -> None:
        """The snapshot's names stand for the blobs' contents."""
        self.both_files_are_found(cache)

    @pytest.mark.parametrize(
        "target",
        [
            "../../refs/main",
            "../../secret",
            "../../blobs",
            "../../../models--evil/blobs/11",
            "../other/config.json",
            "../..",
        ],
    )
    def test_links_elsewhere_lead_out(self, cache: Path, target: str) -> None:
        """Neither refs, nor another revision, nor another model's cache is inside."""
        write(cache, {"snapshots/other/config.json": b""})
        (cache / "snapshots" / "rev" / "odd").symlink_to(target)
        listing = walk(cache / "snapshots" / "rev", follow=True)
        assert listing.problems == ["'odd' is a link that leads out of the model"]

    def test_a_blob_that_is_a_link_is_followed_by_the_same_rule(self, cache: Path) -> None:
        """A blob cannot be the stepping stone that leads out."""
        (cache / "blobs" / "33").symlink_to("../secret")
        (cache / "snapshots" / "rev" / "odd").symlink_to("../../blobs/33")
        listing = walk(cache / "snapshots" / "rev", follow=True)
        assert listing.problems == ["'odd' is a link that leads out of the model"]

    def test_links_are_still_the_signers_to_allow(self, cache: Path) -> None:
        """If the statement allows no links, those of a cache are refused, too."""
        assert len(walk(cache / "snapshots" / "rev").problems) == 2

    def test_another_layout_has_no_blobs(self, tmp_path: Path) -> None:
        """Only models--*/snapshots/REV is a cache: elsewhere, blobs/ lies outside."""
        write(tmp_path, {"granite/blobs/11": b"", "granite/snapshots/rev/a": b""})
        snapshot = tmp_path / "granite" / "snapshots" / "rev"
        (snapshot / "b").symlink_to("../../blobs/11")
        assert walk(snapshot, follow=True).problems == ["'b' is a link that leads out of the model"]

    @pytest.fixture
    def shared(self, cache: Path) -> Path:
        """The same cache as huggingface_hub 2 has it: blobs are links to the hub's own."""
        digest = "ab" + "0" * 62
        write(cache.parent, {"blobs/.huggingface-shared-blobs": b"1\n"})
        write(cache.parent, {f"blobs/ab/{digest}": b"weights", "blobs/ab/odd": b"", "secret": b""})
        (cache / "blobs" / "22").unlink()
        (cache / "blobs" / "22").symlink_to(f"../../blobs/ab/{digest}")
        return cache

    def test_blobs_that_all_models_share_are_followed(self, shared: Path) -> None:
        """Through the repository's own blob, which is a link then."""
        self.both_files_are_found(shared)

    @pytest.mark.parametrize(
        "target",
        [
            "../../refs/main",
            "../../../secret",
            "../../../blobs/ab",
            "../../../blobs/ab/odd",
            "../../../blobs/.huggingface-shared-blobs",
            "../../../models--evil/blobs/11",
            "../../../models--evil/snapshots/rev/a",
            "../other/config.json",
        ],
    )
    def test_nothing_else_of_the_hub_is_inside(self, shared: Path, target: str) -> None:
        """Neither another model, nor what only lies where blobs do."""
        write(shared, {"snapshots/other/config.json": b""})
        write(shared.parent, {"models--evil/snapshots/rev/a": b""})
        (shared / "snapshots" / "rev" / "odd").symlink_to(target)
        listing = walk(shared / "snapshots" / "rev", follow=True)
        assert listing.problems == ["'odd' is a link that leads out of the model"]

    def test_the_hubs_blobs_need_its_mark(self, shared: Path) -> None:
        """Without it, the folder beside the repository is anybody's."""
        (shared.parent / "blobs" / ".huggingface-shared-blobs").unlink()
        listing = walk(shared / "snapshots" / "rev", follow=True)
        assert listing.problems == ["'sub/weights' is a link that leads out of the model"]

    def test_other_kinds_of_repositories_are_caches_too(self, cache: Path) -> None:
        """As datasets are."""
        cache = cache.rename(cache.with_name("datasets--acme--granite"))
        assert not walk(cache / "snapshots" / "rev", follow=True).problems

    def test_a_model_signed_as_plain_files_names_the_way_to_get_it(self, cache: Path) -> None:
        """Downloaded into the cache, it has links where files were signed."""
        (said, _) = walk(cache / "snapshots" / "rev").problems
        assert said == (
            "'config.json' is a link, and the model was signed without links, as plain files: a "
            "Hugging Face cache has links; get the model with `hf download --local-dir`"
        )

    def test_blobs_alone_are_no_snapshot(self, cache: Path) -> None:
        """A model at blobs/ is listed by its digests' names, which no workload opens."""
        assert walk(cache / "blobs", follow=True).files.keys() == {"11", "22"}


def test_what_cannot_be_read_is_no_verdict(
    public_path: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    """A closed directory, and links through it, are unreadable and not absent."""
    write(public_path, {"closed/a": b"", "b": b""})
    (public_path / "link").symlink_to("closed/a")
    (public_path / "closed").chmod(0)
    with unprivileged():
        listing, user = walk(public_path, follow=True), os.geteuid()
    (public_path / "closed").chmod(0o700)
    assert listing.unreadable == [
        f"'closed' cannot be read: Permission denied: let user {user} read it",
        f"'link' cannot be read: Permission denied: let user {user} read it",
    ]
    assert listing.files.keys() == {"b"}


def test_a_model_in_a_closed_directory_is_no_verdict(
    public_path: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    """The model's own path cannot be looked at: nothing is said of the model."""
    write(public_path, {"closed/model/a": b""})
    (public_path / "closed").chmod(0)
    with unprivileged(), pytest.raises(Undecided, match="cannot be read: Permission denied"):
        walk(public_path / "closed" / "model")
    (public_path / "closed").chmod(0o700)


def test_lost_and_found_counts_where_it_is_no_file_systems_own(
    public_path: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    """Away from a mount's root, or readable, it is a directory like others."""
    write(public_path, {"lost+found/a": b""})
    assert walk(public_path).files.keys() == {"lost+found/a"}
    (public_path / "lost+found").chmod(0)
    with unprivileged():
        listing = walk(public_path)
    (public_path / "lost+found").chmod(0o700)
    (sentence,) = listing.unreadable
    assert sentence.startswith("'lost+found' cannot be read: Permission denied")


_ON_A_MOUNT = """
import os, subprocess, sys
from pathlib import Path
from tests.unit.validator.tree.test_tree import walk
root = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "none", root], check=True)
root.chmod(0o755)
(root / "lost+found").mkdir(mode=0o700)
(root / "a").touch()
(root / "sub").mkdir(mode=0o755)
(root / "sub" / "lost+found").mkdir(mode=0o700)
print(walk(root).ignored)
os.seteuid(65534)
listing = walk(root)
print(listing.ignored, sorted(listing.closed), sorted(listing.files))
"""


def test_a_file_systems_own_lost_and_found_is_skipped_and_reported(public_path: Path) -> None:
    """At a mount's root, owned by root and closed to others, it is not the model's."""
    namespace = ["unshare", "--mount"]
    if os.geteuid() != 0 or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("mounting a file system needs root and `unshare`")
    done = subprocess.run(
        [*namespace, sys.executable, "-c", _ON_A_MOUNT, str(public_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[4],
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "[]",
        "['lost+found'] ['sub/lost+found'] ['a']",
    ]


def test_a_swapped_component_is_not_followed(tmp_path: Path) -> None:
    """A directory that becomes a link after it was listed leads nowhere."""
    model = write(tmp_path / "model", {"d/a": b"good"})
    write(tmp_path / "outside", {"a": b"evil"})
    with Tree.open(model) as tree:
        listing = list_files(tree, Scope(follow=True), limits=DEFAULT)
        (model / "d").rename(model / "e")
        (model / "d").symlink_to("../outside")
        with pytest.raises(OSError, match="Not a directory"):
            tree.open_file(listing.files["d/a"])


def test_a_model_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    """A second walk says that the path leads elsewhere now, by rename or by link."""
    write(tmp_path, {"v1/a": b"", "v2/a": b""})
    (tmp_path / "current").symlink_to("v1")
    for path in (tmp_path / "v1", tmp_path / "current"):
        with Tree.open(path) as tree:
            assert not list_files(tree, Scope(follow=True), limits=DEFAULT).problems
            if path.is_symlink():
                path.unlink()
                path.symlink_to("v2")
            else:
                path.rename(tmp_path / "v0")
                (tmp_path / "v2").rename(path)
            problems = list_files(tree, Scope(follow=True), limits=DEFAULT).problems
            assert problems == ["the model was replaced while it was verified"]
            write(tmp_path, {"v2/a": b""})


def test_a_single_file_that_is_taken_away_is_said(tmp_path: Path) -> None:
    """After the model was opened, its file may go, or become something else."""
    model = write(tmp_path, {"model.gguf": b"123"}) / "model.gguf"
    with Tree.open(model) as tree:
        model.unlink()
        gone = list_files(tree, Scope(), limits=DEFAULT)
        model.mkdir()
        replaced = list_files(tree, Scope(), limits=DEFAULT)
    assert "the model is gone: No such file or directory" in gone.problems
    assert "the model is no longer a regular file" in replaced.problems
    assert not gone.files
    assert not replaced.files
