"""Options: spellings, paths to ignore, pins, the older predicate."""

from __future__ import annotations

import json

import pytest

from tests.support.desk import Desk, run
from tests.support.signed_model import (
    legacy_statement,
    write,
)


def test_underscored_spellings_are_those_of_model_signing(desk: Desk) -> None:
    """Its users type what they know."""
    write(desk.site.model, {".git/x": b"", "extra": b"", "notes/a": b""})
    ended = run(
        *("verify", "key", desk.site.model, "--public_key", desk.key),
        *("--signature", desk.site.signature, "--ignore_unsigned_files", "--no-ignore_git_paths"),
        *("--ignore_paths", desk.site.model / "notes"),
    )
    assert ended.code == 0, ended.text
    assert "unsigned files let pass: 2" in ended.out
    assert "not covered: notes" in ended.out


def test_ignored_paths_are_read_against_the_current_directory(desk: Desk) -> None:
    """As model_signing does; a path that is meant against the model is a usage error."""
    write(desk.site.model, {"notes": b""})
    ended = desk.verify("--ignore-paths", "granite/notes", cwd=desk.folder)
    assert ended.code == 0, ended.text
    ended = desk.verify("--ignore-paths", "notes", cwd=desk.folder)
    assert (ended.code, ended.out) == (2, "")
    assert (
        "--ignore-paths 'notes' is not inside the model: against the current directory it is "
        f"'{desk.folder / 'notes'}'; if it is meant against the model, write "
        f"'{desk.site.model / 'notes'}'"
    ) in ended.err
    assert desk.verify("--ignore-paths", "notes", cwd=desk.site.model).code == 0
    assert desk.verify("--ignore-paths", "./weights/../notes/", cwd=desk.site.model).code == 0


def test_a_model_is_the_same_through_a_link(desk: Desk) -> None:
    """A path in it may be named by the link or by what it leads to."""
    write(desk.site.model, {"notes": b""})
    link = desk.folder / "link"
    link.symlink_to("granite")
    key = ("--public-key", desk.key)
    for model, path in ((link, "granite/notes"), (link, "link/notes"), ("granite", "link/notes")):
        ended = run("verify", "key", model, *key, "--ignore-paths", path, cwd=desk.folder)
        assert ended.code == 0, ended.text
    ended = run("verify", "key", link, *key, "--ignore-paths", "granite", cwd=desk.folder)
    assert ended.code == 2


@pytest.mark.parametrize("path", [".", "..", "/", ""])
def test_the_whole_model_cannot_be_ignored(desk: Desk, path: str) -> None:
    """That would be a verdict on nothing."""
    ended = desk.verify("--ignore-paths", path, cwd=desk.site.model)
    assert ended.code == 2
    assert "is not inside the model" in ended.err
    assert ("if it is meant against the model" in ended.err) == (path in {".", ".."})


def test_a_pin_is_demanded(desk: Desk) -> None:
    """One of the given digests has to be the model's."""
    digest = json.loads(desk.verify("--format=json").out)["digest"]
    zero = "sha256:" + "0" * 64
    assert desk.verify("--digest", zero, "--digest", digest).code == 0
    ended = desk.verify("--digest", zero)
    assert ended.code == 1
    whole = json.loads(desk.verify("--format=json").out)["statementDigest"]
    assert f"its digest is {digest} (or {whole}), and {zero} is demanded" in ended.out
    assert desk.verify("--digest", whole).code == 0
    assert whole in run("inspect", desk.site.signature).out


def test_the_older_predicate_is_an_option(desk: Desk) -> None:
    """Asked for, it verifies."""
    desk.site.sign(legacy_statement())
    assert desk.verify("--allow-legacy").code == 0
    assert desk.verify("--allow_legacy").code == 0
