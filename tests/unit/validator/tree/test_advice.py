"""Advice on signing: said where another signature would be verified faster, and nowhere else."""

from __future__ import annotations

import sys

import pytest

from validator.statement.signed_files import Hash
from validator.tree import advice

GIB = 1024**3
FASTER = "signed differently, it would be hashed faster: "


def test_one_large_file_would_be_hashed_by_all_cores_in_shards() -> None:
    """With the factor that the cores give."""
    said = advice.for_model([4 * GIB], hash_=Hash.SHA256, cores=4)
    assert said is not None
    assert said.startswith(
        f"{FASTER}in shards, 4.0 times as fast on the 4 cores that are granted here "
        "(one core hashes 4.0 GiB of 4.0 GiB)"
    )


@pytest.mark.parametrize(
    ("sizes", "cores"),
    [
        ([4 * GIB], 1),
        ([GIB] * 8, 4),
        ([GIB, GIB], 2),
        ([2 * GIB, GIB, GIB], 2),
    ],
    ids=["one core", "shards", "as many files as cores", "a half each"],
)
def test_shards_are_no_advice_where_all_cores_are_busy(sizes: list[int], cores: int) -> None:
    """They would change nothing."""
    assert "shards" not in (advice.for_model(sizes, hash_=Hash.SHA256, cores=cores) or "")
    assert advice.for_model(sizes, hash_=Hash.BLAKE3, cores=cores) is None


@pytest.mark.parametrize(
    "sizes",
    [[], [0], [GIB - 1], [4096] * 300_000],
    ids=["nothing", "an empty file", "half a second", "many small files"],
)
def test_a_model_that_no_signature_makes_faster_has_none(sizes: list[int]) -> None:
    """Where files are small, opening them takes the time."""
    assert advice.for_model(sizes, hash_=Hash.SHA256, cores=16) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3.0, f"{FASTER}by BLAKE3, 3.0 times as fast on each core, where the storage keeps up"),
        (1.1, None),
    ],
)
def test_blake3_is_advice_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, seconds: float, said: str | None
) -> None:
    """By a clock on which each sample takes a second by BLAKE3, and longer by SHA-256."""
    reads = iter([0, seconds] * 4 + [0, 1] * 4)
    with monkeypatch.context() as patch:
        patch.setattr("time.perf_counter", lambda: next(reads))
        found = advice.for_model([4 * GIB], hash_=Hash.SHA256, cores=1)
    assert found == said


def test_blake3_is_no_advice_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be verified here."""
    monkeypatch.setitem(sys.modules, "blake3", None)
    assert advice.for_model([4 * GIB], hash_=Hash.SHA256, cores=1) is None


def test_of_a_statement_without_sizes_no_more_is_said_than_is_known() -> None:
    """Whether a file is large, only the model says."""
    said = advice.for_statement(1, hash_=Hash.BLAKE3, cores=8)
    assert said is not None
    assert "the file, if it is large, up to 8 times as fast" in said
    assert "each large file up to 8" in (advice.for_statement(2, hash_=Hash.BLAKE3, cores=8) or "")
    assert advice.for_statement(2, hash_=Hash.BLAKE3, cores=1) is None
