"""Bad input: each kind is refused with a sentence and exit code 1."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.desk import edited
from tests.support.signed_model import (
    Document,
    Signer,
    legacy_statement,
    sharded,
    statement,
    statement_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.desk import Desk


def replaced(content: bytes) -> Callable[[Desk], object]:
    """Return a change that replaces the signature file's content."""
    return lambda desk: desk.site.signature.write_bytes(content)


def resigned(document: Document | bytes) -> Callable[[Desk], object]:
    """Return a change that signs another statement."""
    return lambda desk: desk.site.sign(document)


def made(make: Callable[[Path], object], name: str) -> Callable[[Desk], object]:
    """Return a change that makes something in the model."""

    def change(desk: Desk) -> None:
        path = desk.site.model / name
        path.unlink(missing_ok=True)
        make(path)

    return change


def bound(path: Path) -> None:
    """Create a socket in the model."""
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path has 108 bytes at most
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)


REFUSED: Final[dict[str, tuple[Callable[[Desk], object], str]]] = {
    "no signature": (lambda desk: desk.site.signature.unlink(), "there is no signature file at"),
    "no model": (lambda desk: shutil.rmtree(desk.site.model), "there is no"),
    "empty bundle": (replaced(b""), "the signature file is not JSON"),
    "truncated bundle": (replaced(edited()[:-10]), "the signature file is not JSON"),
    "bundle that is no JSON": (replaced(b"\x80\x04."), "is not JSON: byte 0 is not UTF-8"),
    "deeply nested bundle": (
        replaced(b"[" * 9_000 + b"]" * 9_000),
        "is nested deeper than 32 levels",
    ),
    "rather nested bundle": (
        replaced(b'{"a":' * 100 + b"1" + b"}" * 100),
        "nested deeper than 32 levels",
    ),
    "huge bundle": (
        lambda desk: os.truncate(desk.site.signature, 2**36),
        "is larger than 67,108,864 bytes",
    ),
    "bundle of other JSON": (replaced(b'{"a": 1}'), "is not a Sigstore bundle"),
    "bundle that is a directory": (made(Path.mkdir, "model.sig"), "is not a regular file"),
    "bundle that is a FIFO": (made(os.mkfifo, "model.sig"), "is not a regular file"),
    "log entries that are a number": (
        replaced(edited(verificationMaterial={"publicKey": {}, "tlogEntries": 5})),
        "tlogEntries are not a list",
    ),
    "unknown predicate": (
        resigned(statement() | {"predicateType": "https://slsa.dev/provenance/v1"}),
        "predicate is 'https://slsa.dev/provenance/v1'",
    ),
    "older predicate": (resigned(legacy_statement()), "accept it with --allow-legacy"),
    "unknown hash": (
        resigned(statement_of([{"name": "a", "digest": "00"}], hash_type="md5")),
        "uses the hash 'md5', and sha256, blake2b, blake3 are known",
    ),
    "unknown method": (resigned(statement(method="tree")), "serialization method 'tree'"),
    "algorithm that is a list": (
        resigned(statement_of([{"name": "a", "algorithm": [], "digest": "00"}])),
        "is hashed by '[]'",
    ),
    "name that leads out": (resigned(statement({"../x": b""})), "and it leads out of the model"),
    "absolute name": (resigned(statement({"/etc/passwd": b""})), "and it is absolute"),
    "name twice": (
        resigned(statement_of(statement()["predicate"]["resources"] * 2)),
        "names 'config.json' twice",
    ),
    "name that is not UTF-8": (
        lambda desk: desk.site.sign(
            json.dumps(statement({"x": b""})).replace('"x"', r'"\udcff"').encode()
        ),
        "and it is not valid UTF-8",
    ),
    "no resources": (resigned(statement_of([])), "an empty model is refused"),
    "shards with a gap": (
        resigned(statement_of(sharded("a", b"x" * 30, 10)[::2], method="shards", shard_size=10)),
        "do not add up to a file",
    ),
    "FIFO in the model": (made(os.mkfifo, "pipe"), "'pipe' is a FIFO"),
    "socket in the model": (made(bound, "socket"), "'socket' is a socket"),
    "FIFO for a file": (made(os.mkfifo, "config.json"), "'config.json' is a FIFO"),
    "link in the model": (
        made(lambda path: path.symlink_to("config.json"), "link"),
        "'link' is a link, and the model was signed without links",
    ),
    "linked directory": (
        made(lambda path: path.symlink_to("weights"), "linked"),
        "'linked' is a link, and the model was signed without links",
    ),
    "file that is not UTF-8": (
        made(Path.touch, "\udcff\n\x1b[2J"),
        r"'\udcff\n\x1b[2J' is not signed",
    ),
    "another key": (
        lambda desk: desk.key.write_bytes(Signer().public_pem),
        "the model was signed by another key",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_a_sentence(desk: Desk, case: str) -> None:
    """Exit code 1, one sentence that says what is wrong, and nothing of our inside."""
    change, said = REFUSED[case]
    change(desk)
    ended = desk.verify()
    assert ended.code == 1
    assert ended.out.startswith("Verification failed: ")
    assert said in ended.out
    assert ended.err == ""


LINKED: Final[dict[str, tuple[str, str]]] = {
    "out of the root": ("../outside", "leads out of the model"),
    "to an absolute path": ("/etc", "is absolute and leads out of the model"),
    "in a circle": ("odd", "leads in a circle"),
    "to the directory above": (".", "leads in a circle"),
    "to nothing": ("nothing", "leads to nothing"),
}


@pytest.mark.parametrize("case", LINKED)
def test_links_that_lead_elsewhere_are_refused(desk: Desk, case: str) -> None:
    """Also where the signer allowed links."""
    target, said = LINKED[case]
    (desk.folder / "outside").mkdir()
    (desk.site.model / "odd").symlink_to(target)
    desk.site.sign(statement(allow_symlinks=True))
    ended = desk.verify()
    assert ended.code == 1
    assert said in ended.out
