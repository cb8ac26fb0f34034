"""Files that nobody signed because nobody put them there, and pointers in place of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.signed_model import FILES, Site, sharded, statement, statement_of, write
from validator.errors import ModelError
from validator.limits import DEFAULT
from validator.tree.tools.leftovers import explained
from validator.tree.tree import Tree
from validator.tree.walk import Scope, list_files
from validator.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 4000000000\n"
)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".nfs000000000001a2b300000001", "a client of NFS keeps it"),
        ("weights/.nfs00000000e40ca5b500000004", "a client of NFS keeps it"),
        (".fuse_hidden0000000200000001", "FUSE keeps it"),
        ("._config.json", "macOS left it there: delete it"),
        ("weights/.DS_Store", "macOS left it there: delete it"),
        ("Thumbs.db", "Windows left it there: delete it"),
        (".snapshot/hourly.0/config.json", "the storage shows its snapshots there"),
        ("lost+found/#12", "the file system has it at the root of a volume"),
        (".cache/huggingface/download/config.json.metadata", "`hf download --local-dir` left it"),
        (".huggingface/download/a.lock", "`hf download --local-dir` left it"),
        (".ipynb_checkpoints/a.ipynb", "Jupyter left it"),
    ],
)
def test_what_left_an_unsigned_file_is_said(site: Site, name: str, said: str) -> None:
    """It is refused as any unsigned file is, with the way out."""
    write(site.model, {name: b""})
    with pytest.raises(ModelError) as caught:
        verify(site.request())
    assert f"'{name}' is not signed: {said}" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["extra", ".nfsroot", "a._b", ".cache/other", "snapshot/a", "x/.cache/huggingface/a"]
)
def test_other_names_are_as_they_are(name: str) -> None:
    """Nothing is claimed of a file that only looks alike."""
    assert not explained(name)


def test_an_unreadable_lost_and_found_is_explained(
    public_path: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    """Where it is not at the root of a mounted volume, and so is not skipped."""
    (public_path / "lost+found").mkdir(mode=0)
    with unprivileged(), Tree.open(public_path) as tree:
        (said,) = list_files(tree, Scope(), limits=DEFAULT).unreadable
    assert said.startswith("'lost+found' cannot be read: Permission denied: ")
    assert ": the file system has it at the root of a volume: give the model a folder" in said


@pytest.mark.parametrize("shard_size", [None, 1000])
def test_a_pointer_in_place_of_the_weights_is_named(site: Site, shard_size: int | None) -> None:
    """Git had no LFS when the model was cloned."""
    if shard_size:
        parts = [
            part for name, content in FILES.items() for part in sharded(name, content, shard_size)
        ]
        site.sign(statement_of(parts, method="shards", shard_size=shard_size))
    else:
        site.sign(statement())
    write(site.model, {"weights/b.bin": POINTER})
    with pytest.raises(ModelError) as caught:
        verify(site.request())
    (said,) = caught.value.mismatches
    assert said.startswith("'weights/b.bin' ")
    assert said.endswith(": it is a Git LFS pointer in place of the content; run `git lfs pull`")


def test_pointers_that_were_signed_are_noted(site: Site) -> None:
    """The signer signed a clone without its weights: it verifies, with a remark."""
    files = FILES | {"weights/b.bin": POINTER}
    write(site.model, files)
    site.sign(statement(files))
    said = "'weights/b.bin' is a Git LFS pointer: what they stand for was not signed"
    (note,) = [note for note in verify(site.request()).notes if "LFS" in note]
    assert note == said.replace("they stand", "it stands")
    write(site.model, {"weights/a.bin": POINTER})
    files["weights/a.bin"] = POINTER
    site.sign(statement(files))
    (note,) = [note for note in verify(site.request()).notes if "LFS" in note]
    assert note == (
        "'weights/a.bin' and 1 more signed files are Git LFS pointers: what they stand for was "
        "not signed"
    )
