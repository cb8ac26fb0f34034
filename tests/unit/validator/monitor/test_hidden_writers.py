"""Writers that hide from `stat`, as processes of their own, against real verifications."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.fakes.hidden_writer import hidden_writer
from tests.support.signed_model import FILES, statement, write
from tests.unit.validator.monitor.scene import Scene
from validator.errors import ModelError
from validator.monitor.loop import RETRY_SECONDS, Cause
from validator.monitor.sight import Watched, differences, look
from validator.report import Verdict
from validator.tree import leases
from validator.verification import verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.signed_model import Site

PASSES = 100
"""A writer who hides in every second pass is not found in one of 10^30 runs."""


MEMORY: Final = Path("/dev/shm")  # noqa: S108 — a folder in it is made by tempfile


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory in memory.

    A disk's page is written back now and then, and the next change of it moves the file's times.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name).resolve()


def is_open_for_writing(descriptor: int) -> bool:
    """Ask for a lease."""
    assert leases.are_given(owner=os.fstat(descriptor).st_uid, user=os.geteuid())
    return leases.is_written(descriptor)


def is_written(path: Path) -> bool:
    """Ask for a lease on the file at a path."""
    with path.open("rb") as file:
        return is_open_for_writing(file.fileno())


def test_a_mapping_hides_from_stat_and_from_no_lease(site: Site) -> None:
    """After its first touch it moves no time; the kernel knows that it is there."""
    path = site.model / "weights/a.bin"
    models = [Watched(site.request(jobs=1))]
    assert not is_written(path)
    with hidden_writer(path) as writer:
        verify(models[0].request, memory=models[0].memory)
        seen = look(models)
        writer.show("bad")
        assert path.read_bytes() != FILES["weights/a.bin"]
        assert differences(models, seen, look(models)) == ()
        assert is_written(path)
        with pytest.raises(ModelError, match="is not the signed file"):
            verify(models[0].request, memory=models[0].memory)


def test_a_writer_is_no_reason_for_a_lease_to_stay(site: Site) -> None:
    """Whoever opens the file after the question does not wait."""
    path = site.model / "weights/a.bin"
    with path.open("rb") as file:
        assert not is_open_for_writing(file.fileno())
        with path.open("r+b") as other:
            other.write(b"b")
            assert is_open_for_writing(file.fileno())
        assert not is_open_for_writing(file.fileno())


def test_a_writer_waits_until_a_small_file_is_read(site: Site) -> None:
    """Nobody opens it for writing while its lease is held."""
    path = site.model / "weights/a.bin"
    with path.open("rb") as file:
        assert leases.take(file.fileno()) is leases.Lease.TAKEN
        with pytest.raises(BlockingIOError):
            os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        assert leases.give_back(file.fileno())
        assert not leases.give_back(file.fileno())  # as after 45 seconds, when the kernel takes it
        with path.open("r+b"):
            assert leases.take(file.fileno()) is leases.Lease.REFUSED
    assert not leases.are_given(owner=1000, user=1001)


def test_files_that_are_open_for_writing_are_read_again_soon(site: Site) -> None:
    """The log says so, and who shows other bytes is found within a minute."""
    scene = Scene([site.request(jobs=1)])
    with hidden_writer(site.model / "weights/a.bin") as writer:
        scene.events = [(RETRY_SECONDS - 1, lambda: writer.show("bad"))]
        findings = scene.run()
        first, second = next(findings), next(findings)
    (note,) = first.reports[0].notes
    assert note.startswith("'weights/a.bin' is open for writing on this node: ")
    assert note in first.as_text()
    assert (second.cause, second.verdict) == (Cause.WRITER, Verdict.REFUSED)
    assert scene.verified_at[1] == RETRY_SECONDS


def test_watching_the_signature_tells_nobody_that_files_are_read(site: Site) -> None:
    """A writer who shows the signed bytes from its opening on is found by every second pass."""
    names = [f"{number}.bin" for number in range(4)]
    files = {name: name.encode() * 10_000 for name in names}
    write(site.model, files)
    site.sign(statement(FILES | files))
    model = Watched(site.request(jobs=1))
    verify(model.request, memory=model.memory)
    with hidden_writer(site.model / "0.bin", site.signature) as writer:
        writer.show("bad")
        for _ in range(PASSES):
            try:
                verify(model.request, memory=model.memory)
            except ModelError:
                break
            writer.wait()  # until it shows the other bytes again
        else:
            pytest.fail("it was never found")


def test_another_pass_reads_in_another_order(site: Site) -> None:
    """Nobody can foresee which file comes next, and after how much the signature is read."""
    files = {f"{size}.bin": b"x" * size for size in range(1, 30)}
    write(site.model, files)
    site.sign(statement(FILES | files))
    model = Watched(site.request(jobs=1))
    orders: list[list[int]] = []
    for _ in range(2):
        order: list[int] = []
        orders.append(order)
        verify(model.request, progress=_Noted(order), memory=model.memory)
    assert orders[0] != orders[1]
    assert len(orders[0]) == len(orders[1])


class _Noted:
    """Notes how far a verification is."""

    def __init__(self, order: list[int]) -> None:
        self._order = order

    def __call__(self, done: int, total: int) -> None:
        """Take note of bytes."""
        del total
        self._order.append(done)


def test_a_signature_that_is_replaced_amid_a_pass_counts(site: Site) -> None:
    """Its statement is another one: the files are read again, by that."""
    model = Watched(site.request(jobs=1))
    first = verify(model.request, memory=model.memory)
    write(site.model, {"config.json": b"[]"})
    site.sign(statement(FILES | {"config.json": b"[]"}))
    second = verify(model.request, memory=model.memory)
    assert second.statement_digest != first.statement_digest
    site.signature.write_bytes(b"{}")
    with pytest.raises(Exception, match="signature file"):
        verify(model.request, memory=model.memory)
    assert not model.memory.holds


def test_a_pin_holds_for_a_new_statement_too(site: Site) -> None:
    """It remembers the files that were accepted, and no others."""
    model = Watched(site.request(jobs=1))
    pin = f"sha256:{verify(model.request).digest}"
    model = replace(model, request=model.request._replace(digests=(pin,)))
    verify(model.request, memory=model.memory)
    site.sign(statement(FILES | {"config.json": b"[]"}))
    with pytest.raises(Exception, match="not the pinned one"):
        verify(model.request, memory=model.memory)
