"""Terminals, pipes, full disks and poor encodings."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.desk import COMMAND, TIMEOUT_SECONDS, Desk, run
from tests.support.signed_model import (
    FILES,
    statement,
    statement_of,
)


def on_a_terminal(*arguments: object) -> tuple[int, str]:
    """Run the command with standard error on a terminal; return exit code and what it showed."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=theirs
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        done.communicate(timeout=TIMEOUT_SECONDS)
    finally:
        os.close(ours)
    return done.returncode, shown.decode()


@pytest.fixture
def large(desk: Desk) -> Desk:
    """A model that takes a few tenths of a second, although hardly any disk."""
    path = desk.site.model / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(300 * 1024**2)
    desk.site.sign(statement())  # the content is not signed: hashing it is what counts
    listed = statement()["predicate"]["resources"]
    digest = {"name": "sparse.bin", "algorithm": "sha256", "digest": "0" * 64}
    desk.site.sign(statement_of([*listed, digest]))
    return desk


def test_a_terminal_sees_a_bar(large: Desk) -> None:
    """It is drawn in one line, and wiped before the verdict."""
    code, shown = on_a_terminal(
        "verify", "key", large.site.model, "--public-key", large.key, "--jobs=1"
    )
    assert code == 1
    assert "[" in shown
    assert "of 300.0 MiB" in shown
    assert shown.endswith("\r\x1b[K")


def test_a_pipe_sees_no_bar(large: Desk) -> None:
    """A pod's log has lines, and none for what is quickly done."""
    assert "\r" not in large.verify().text
    assert "\r" in large.verify("--progress=bar", "--jobs=1").err
    assert large.verify("--progress=none").err == ""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_leaves_is_no_crash(large: Desk, stream: str) -> None:
    """`| head` may close the pipe: no traceback, and never a zero that is not meant."""
    read, write_ = os.pipe()
    os.close(read)
    with subprocess.Popen(
        [
            *(*COMMAND, "verify", "key", large.site.model, f"--public-key={large.key}"),
            *("--progress=bar", "--jobs=1"),
        ],
        stdout=write_ if stream == "stdout" else subprocess.PIPE,
        stderr=write_ if stream == "stderr" else subprocess.PIPE,
    ) as process:
        os.close(write_)
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == (3 if stream == "stdout" else 1)
    assert b"Traceback" not in (out or b"") + (err or b"")
    assert b"Exception" not in (out or b"") + (err or b"")


def test_a_full_disk_is_no_verdict(desk: Desk) -> None:
    """A report that could not be written ends with three, and says why."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "verify", "key", str(desk.site.model), f"--public-key={desk.key}"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == b"model-validator: cannot go on: No space left on device\n"


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "full", "code", "said"),
    [
        (["--version"], "stdout", 3, b"model-validator: cannot go on: No space left on device\n"),
        (["verify"], "stderr", 2, b""),
    ],
)
def test_a_full_disk_leaves_no_other_exit_code(
    arguments: list[str], full: str, code: int, said: bytes, buffered: str
) -> None:
    """Also not where no subcommand has run: the version or a wrong usage is all that is said."""
    with Path("/dev/full").open("wb") as disk:
        done = subprocess.run(
            [*COMMAND, *arguments],
            stdout=disk if full == "stdout" else subprocess.PIPE,
            stderr=disk if full == "stderr" else subprocess.PIPE,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": buffered},
        )
    assert done.returncode == code
    assert (done.stdout or b"", done.stderr or b"") == (b"", said)


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)])
def test_closed_streams_leave_the_exit_code(desk: Desk, closed: str, code: int) -> None:
    """A caller who needs only the exit code gets it."""
    line = f'"$@" {closed}'
    ended = run(
        *("verify", "key", desk.site.model, f"--public-key={desk.key}"),
        prefix=("sh", "-c", line, "sh", *COMMAND),
    )
    assert ended.code == code
    ended = run(
        *("verify", "key", desk.site.model, "--public-key=absent"),
        prefix=("sh", "-c", line, "sh", *COMMAND),
    )
    assert ended.code == 2


def test_a_poor_encoding_is_no_failure(desk: Desk) -> None:
    """Characters that the terminal cannot show are escaped; the verdict is the same."""
    document = statement(FILES | {"ü": b""})
    document["subject"][0]["name"] = "gränit"
    desk.site.sign(document)
    prefix = (sys.executable, "-m", "validator")
    environment = {"PYTHONIOENCODING": "ascii"}
    ended = run("inspect", desk.site.signature, prefix=prefix, environment=environment)
    assert ended.code == 0
    assert r"model: gr\xe4nit" in ended.out
    ended = desk.verify(prefix=prefix, environment=environment)
    assert ended.code == 1
    assert r"'\xfc' is signed and missing" in ended.out


def test_an_interrupt_is_no_verdict(desk: Desk) -> None:
    """Control-C ends with three and a sentence, and at once, however large the file."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        pytest.skip("whoever started the tests made them ignore interrupts")
    path = desk.site.model / "config.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # hours
    with subprocess.Popen(
        [
            *(*COMMAND, "verify", "key", desk.site.model, f"--public-key={desk.key}"),
            "--progress=json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        finally:
            process.kill()
    assert b'"total": 1099511' in first
    assert (process.returncode, out) == (3, b"")
    assert err.endswith(b"model-validator: interrupted, nothing was verified\n")
    assert b"Traceback" not in err
