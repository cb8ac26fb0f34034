"""Refusals that no test misses are found, in a small project of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from scripts.remove_steps import MISSED, Removals

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT: Final = Path(__file__).parents[3] / "scripts" / "remove_steps.py"
PLAIN: Final = {
    "PYTEST_XDIST_AUTO_NUM_WORKERS": "0",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "xdist.plugin",
}
"""A pytest that starts soon."""
GATE: Final = """
def check(number):
    if number < 0:
        raise ValueError("the number is negative")
    if number > 9:
        raise ValueError(
            "the number is too large"
        )


def check_again(number):
    if number > 99:
        raise ValueError("the number is far too large")


if __name__ == "__main__":
    check_again(100)
"""
NEGATIVE: Final = """
import pytest
from validator.gate import check

def test_negative():
    with pytest.raises(ValueError, match="negative"):
        check(-1)
"""
LARGE: Final = """
def test_large():
    with pytest.raises(ValueError, match="large"):
        check(10)
"""
REACHING: Final = """
def test_reaching():
    check(1)
    try:
        check(10)
    except ValueError:
        pass
"""
FAILING: Final = """
def test_failing():
    with pytest.raises(ValueError, match="small"):
        check(10)
"""
"""It fails with every refusal in place, and may be the one that is about what it reaches."""
PROCESS: Final = """
import subprocess, sys

def test_a_process():
    assert subprocess.run([sys.executable, "-I", "-m", "validator.gate"]).returncode == 1
"""
FORMS: Final = """
import logging


def sentences(number):
    yield "a sentence of a generator"
    yield number


def words():
    yield "word"


def judge(number, refusals) -> str | None:
    refusals.append(f"{number} is wrong")
    refusals.append(number)
    logging.getLogger().warning("this is only shown")
    try:
        return f"{number} is returned"
    except ValueError:
        raise
    return None


def ready() -> tuple[bool, str]:
    if judge(0, []):
        return False, "it is not ready"
    return True, "it is ready"


def impossible():
    raise AssertionError("never")
"""


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes files, and a repository of them."""

    def made(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(text)
        who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        for command in (["init", "--quiet"], ["add", "."], [*who, "commit", "-qm", "Add"]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True)
        return tmp_path

    return made


def remove(project: Path, *arguments: str) -> tuple[int, list[str], str]:
    """Run the script; return its exit code, the survivors, and the summary or complaint."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=project,
        env=os.environ | PLAIN,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    *survivors, summary = done.stdout.splitlines() or done.stderr.splitlines()[-1:]
    return done.returncode, survivors, summary


def test_a_refusal_without_a_test_survives(project: Callable[..., Path]) -> None:
    """It is named, with the number of tests that reach it and pass; a tested one is not."""
    folder = project(validator__gate=GATE, tests__unit__test_gate=NEGATIVE + REACHING)
    code, survivors, summary = remove(folder)
    assert code == 1
    start = "validator/gate.py:{}: it survives, {} tests reach it: raise ValueError('the number is"
    assert survivors == [
        f"{start.format(6, 1)} too large')",
        f"{start.format(13, 0)} far too large')",
    ]
    assert summary == (
        "3 refusals: 1 are missed by a test, 2 survive, of 0 nothing is proven, 0 had no time"
    )


def test_tests_of_other_modules_and_of_processes_count(project: Callable[..., Path]) -> None:
    """A test counts that imports the module, or starts a program, isolated or not."""
    folder = project(
        validator__gate=GATE,
        tests__unit__test_gate=NEGATIVE + LARGE,
        tests__integration__test_processes=PROCESS,
    )
    assert remove(folder)[:2] == (0, [])


def test_each_form_of_a_refusal_is_found(project: Callable[..., Path]) -> None:
    """Raised, yielded, put on a list or returned; what is only shown or never happens is not."""
    folder = project(webhook__forms=FORMS, tests__unit__test_nothing="def test_nothing(): pass")
    found = [line.split(": it survives, 0 tests reach it: ") for line in remove(folder)[1]]
    assert found == [
        ["webhook/forms.py:6", "yield 'a sentence of a generator'"],
        ["webhook/forms.py:7", "yield number"],
        ["webhook/forms.py:15", "refusals.append(f'{number} is wrong')"],
        ["webhook/forms.py:19", "return f'{number} is returned'"],
        ["webhook/forms.py:21", "raise"],
        ["webhook/forms.py:27", "return (False, 'it is not ready')"],
    ]


def test_only_changed_functions_are_tried(project: Callable[..., Path]) -> None:
    """A change of a condition counts, and the functions beside it do not."""
    folder = project(validator__gate=GATE, tests__unit__test_gate=NEGATIVE)
    (folder / "validator/gate.py").write_text(GATE.replace("number > 99", "number > 98"))
    survivors = remove(folder, "--since", "HEAD")[1]
    assert [line.split(": ")[0] for line in survivors] == ["validator/gate.py:13"]


def test_what_no_time_was_left_for_is_listed(project: Callable[..., Path]) -> None:
    """A refusal that was not tried is no survivor, and no failure."""
    folder = project(validator__gate=GATE, tests__unit__test_gate=NEGATIVE)
    code, untried, summary = remove(folder, "--minutes", "0")
    assert code == 0
    assert {line.split(": ")[1] for line in untried} == {"no time is left, 0 tests reach it"}
    assert summary.endswith(
        ": 0 are missed by a test, 0 survive, of 0 nothing is proven, 3 had no time"
    )


def test_a_test_that_fails_by_itself_hides_what_it_reaches(project: Callable[..., Path]) -> None:
    """That is a failure; what it does not reach survives, as it does without that test."""
    folder = project(validator__gate=GATE, tests__unit__test_gate=NEGATIVE + FAILING)
    test = "tests/unit/test_gate.py::test_failing"
    code, (named, *found), summary = remove(folder)
    assert code == 1
    assert named == f"{test} fails with every refusal in place"
    assert [line.split(": raise ")[0] for line in found] == [
        f"validator/gate.py:6: {test} fails by itself, 1 tests reach it",
        "validator/gate.py:13: it survives, 0 tests reach it",
    ]
    assert "1 survive, of 1 nothing is proven, 0 had no time" in summary
    hidden = GATE.partition("def check_again")[0]
    (folder / "validator/gate.py").write_text(hidden)
    assert remove(folder)[0] == 1


def test_a_test_that_fails_by_itself_hides_nothing_from_others(
    project: Callable[..., Path],
) -> None:
    """Another test misses the refusal: the one that fails is named, and that is all."""
    project(validator__gate=GATE.partition("def check_again")[0])
    folder = project(tests__unit__test_gate=NEGATIVE + LARGE + FAILING)
    code, found, _ = remove(folder)
    named = "tests/unit/test_gate.py::test_failing fails with every refusal in place"
    assert (code, found) == (0, [named])


def test_a_test_that_never_ends_misses_a_refusal(tmp_path: Path) -> None:
    """Its process is ended after a while of computing, and not of waiting for a busy machine."""
    endless = "forks.TEST_SECONDS = 0.01; forks.pytest_runtest_setup()\nwhile True: pass"
    program = f"from scripts.removal import forks; {endless}"
    code = subprocess.run([sys.executable, "-c", program], check=False).returncode
    assert Removals(tmp_path, minutes=1).outcome(0, code) == MISSED


def test_tests_that_do_not_even_start_prove_nothing(project: Callable[..., Path]) -> None:
    """Where pytest itself ends early, nothing was tried, and that is no success."""
    folder = project(
        validator__gate=GATE, tests__unit__test_gate=NEGATIVE, tests__unit__conftest="raise OSError"
    )
    code, survivors, complaint = remove(folder)
    assert (code, survivors) == (2, [])
    assert complaint.startswith("pytest ends with exit code ")
