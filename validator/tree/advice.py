"""How signing differently would speed the verification of a model up, by rates measured here.

One core hashes one range at a time: a large file that was signed whole leaves other cores idle.
Where files are small, opening them takes the time, and no other signature changes that.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from validator.errors import Undecided
from validator.statement.signed_files import Hash
from validator.text import size
from validator.tree.digests.ranges import new_hasher
from validator.tree.digests.reads import SMALL_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

WORTH_BYTES: Final = 1024 * 1024 * 1024
"""Less is hashed in half a second."""

WORTH_FACTOR: Final = 1.2
"""Less is not worth another signature."""

_SAMPLE: Final = bytes(1024 * 1024)
_PASSES: Final = 4
"""Times that the sample is hashed; the quickest counts. All take some milliseconds."""


def for_model(sizes: Sequence[int], *, hash_: Hash, cores: int) -> str | None:
    """Return a sentence, if another signature would speed a model up.

    Args:
        sizes: The length of each range that is hashed, in bytes.
        hash_: By which function.
        cores: As many as are granted here.
    """
    total = sum(sizes)
    if total < WORTH_BYTES or total < SMALL_BYTES * len(sizes):
        return None
    # The largest range takes its time, however many cores there are.
    largest = max(sizes)
    factor = largest / max(total / cores, 1)
    shards = (
        f"in shards, {factor:.1f} times as fast on the {cores} cores that are granted here (one "
        f"core hashes {size(largest)} of {size(total)})"
        if factor >= WORTH_FACTOR
        else None
    )
    return _sentence(shards, _other_hash(hash_))


def for_statement(files: int, *, hash_: Hash, cores: int) -> str | None:
    """Return the same for files that were hashed whole, of which only the number is known."""
    shards = None
    if cores > 1:
        which = "the file, if it is large," if files == 1 else "each large file"
        shards = (
            f"in shards, {which} up to {cores} times as fast, on as many cores as are granted here"
        )
    return _sentence(shards, _other_hash(hash_))


def _sentence(*ways: str | None) -> str | None:
    """Return the ways in one sentence."""
    said = "; ".join(way for way in ways if way)
    return f"signed differently, it would be hashed faster: {said}" if said else None


def _other_hash(hash_: Hash) -> str | None:
    """Return how much faster BLAKE3 is here; nothing, where it is not, or not installed."""
    if hash_ is Hash.BLAKE3:
        return None
    try:
        factor = _seconds(hash_) / _seconds(Hash.BLAKE3)
    except Undecided:
        return None
    if factor < WORTH_FACTOR:
        return None
    return f"by BLAKE3, {factor:.1f} times as fast on each core, where the storage keeps up"


def _seconds(hash_: Hash) -> float:
    """Return the time that one core needs for the sample.

    Raises:
        Undecided: The hash needs a library that is not installed.
    """
    factory = new_hasher(hash_)
    times = []
    for _ in range(_PASSES):
        hasher = factory()
        began = time.perf_counter()
        hasher.update(_SAMPLE)
        hasher.digest()
        times.append(time.perf_counter() - began)
    return max(min(times), 1e-9)
