"""Whose verdict a process of vLLM believes: that of one that it descends from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from validator.vllm.plugin import inherited_verdicts

ROOT: Final = Path(__file__).parents[4]
POLICY: Final = "abc"
PATHS: Final = ("/models/granite", "/models/granite/adapter")

ASKED: Final = (
    "import os; from validator.vllm.plugin import inherited_verdicts as verdicts; "
    f"print(sorted(verdicts.inherited(os.environ, policy={POLICY!r})))"
)
"""The program of a child: it prints the verdicts that it inherits."""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the system has no /proc: each process verifies"
)


def _left() -> dict[str, str]:
    """Return variables with a verdict of this process."""
    environment = dict(os.environ)
    inherited_verdicts.leave(environment, policy=POLICY, paths=PATHS)
    return environment


def _child(environment: dict[str, str], *before: str) -> list[str]:
    """Return what a child of this process believes; `before` may start it, and be between."""
    ran = subprocess.run(
        [*before, sys.executable, "-c", ASKED],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in PATHS if repr(path) in ran.stdout]


def test_children_and_their_children_believe_it() -> None:
    """The engine is a child of vLLM's server, and the workers are the engine's."""
    environment = _left()
    assert _child(environment) == [*PATHS]
    between = (sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])")
    assert _child(environment, *between) == [*PATHS]


def test_a_process_that_is_no_descendant_does_not_believe_it() -> None:
    """A variable that was copied says nothing: here the verdict is of a child that is a sibling."""
    leave = (
        "import os; from validator.vllm.plugin import inherited_verdicts as verdicts; "
        "environment = {}; "
        f"verdicts.leave(environment, policy={POLICY!r}, paths={PATHS!r}); "
        "print(environment[verdicts.VARIABLE], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", leave],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sibling:
        assert sibling.stdout
        verdict = sibling.stdout.readline()
        assert json.loads(verdict)["process"] == sibling.pid
        assert _child({**os.environ, inherited_verdicts.VARIABLE: verdict}) == []
        sibling.communicate("\n")


@pytest.mark.parametrize(
    "change",
    [
        {"start": "1"},
        {"policy": "other"},
        {"process": 1},
        {"process": str(os.getpid())},
        {"process": None},
    ],
    ids=["another start", "another policy", "another process", "no number", "nothing"],
)
def test_a_verdict_of_another_process_or_policy_is_not_believed(change: dict[str, Any]) -> None:
    """A number is used again: with the start of the process it is one process only."""
    environment = _left()
    environment[inherited_verdicts.VARIABLE] = json.dumps(
        json.loads(environment[inherited_verdicts.VARIABLE]) | change
    )
    assert _child(environment) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "1", '{"process": 1}', "[" * 9999])
def test_what_is_no_verdict_says_nothing(text: str) -> None:
    """A variable may hold anything."""
    assert not inherited_verdicts.inherited({inherited_verdicts.VARIABLE: text}, policy=POLICY)


def test_a_process_does_not_believe_its_own_variable() -> None:
    """The variable is meant for child processes; the process itself does not need it."""
    assert not inherited_verdicts.inherited(_left(), policy=POLICY)
