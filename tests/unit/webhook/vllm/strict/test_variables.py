"""The variables that `Strict` allows were read in each release of vLLM that is known."""

from __future__ import annotations

import pytest

from validator.vllm import variable_kinds
from validator.vllm.options import RELEASES, TABLE
from validator.vllm.variable_kinds import Variable
from webhook.vllm.strict.variables import HARMLESS

OF_VLLM = sorted(name for name in HARMLESS if name.startswith("VLLM_"))


@pytest.mark.parametrize("name", OF_VLLM)
def test_each_release_reads_it_in_the_same_way(name: str) -> None:
    """One that a release lacks, or reads otherwise, has to be read again before it is allowed."""
    readings = {release.environment[name] for release in RELEASES}
    assert len(readings) == 1


def test_it_decides_nothing_of_what_is_served() -> None:
    """`Check` warns of none of them, and a variable of a new release is on no list."""
    kinds = {name: TABLE.environment.get(name, Variable.SAFE) for name in HARMLESS}
    assert set(kinds.values()) == {Variable.SAFE}
    assert not HARMLESS.keys() & variable_kinds.IGNORED
    assert len(OF_VLLM) < len(RELEASES[-1].environment) // 10
