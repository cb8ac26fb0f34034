"""Take each refusal out of the code, one at a time, and list those that no test misses.

A refusal is a `raise`, a sentence that a generator yields or that is put on a list, and a
sentence that is returned in place of None. One that can be taken out while all tests pass
is a survivor: write the missing test, or delete the dead code.

    python scripts/remove_steps.py                          # all; ten minutes
    python scripts/remove_steps.py validator/bundle         # those of a file or a folder
    python scripts/remove_steps.py --since origin/main      # those in functions changed since

The tree is copied, and each refusal in the copy gets a condition (`if removal.stands(7):
raise …`). The tests run once with every refusal in place, which records the tests that reach
each refusal. Then each refusal is taken out, and the tests that reach it run: in a fork of a
pytest that has loaded them, since a new pytest would take longer to load them than to run them.

A test that fails with every refusal in place is named, and is not run again. Where it reaches a
refusal that no other test misses, nothing is proven, and that is a failure as a survivor is. A
refusal that no time was left for (all in all, or for its own tests) is listed, and is no failure.

Exit codes: 0 no survivor; 1 survivors, or refusals of which nothing is proven; 2 pytest does not
run with every refusal in place.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from scripts.removal.forks import ENDLESS, KILLED, SECONDS, file_of
from scripts.removal.refusals import functions_at, git, sites_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.removal.refusals import Site

PACKAGES: Final = ("validator", "webhook", "certs")
TESTS: Final = ("tests/unit", "tests/integration")
"""The tests that need neither an API server nor a node."""
MEMORY: Final = 8 << 30
"""Bytes that one process may write to: a reader without its limit may take all there is.

Address space is not limited: Chromium reserves more than that of it, and does not use it.
"""
TIMEOUTS: Final = (124, 137)
"""The exit codes of `timeout`."""
MISSED: Final = "a test misses it"
SURVIVES: Final = "it survives"
PASSED: Final = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
NO_TIME: Final = "no time is left"
TOO_LONG: Final = f"its tests take more than {SECONDS} s"


def copy_tree(tree: Path, sites: Sequence[Site]) -> None:
    """Copy all that Git knows or would add, with a condition before each refusal."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(os.path.lexists, names):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, tree / name, follow_symlinks=False)
    for number, site in enumerate(sites):
        lines = (tree / site.path).read_text().split("\n")
        condition = rf'\1if __import__("removal").stands({number}): '
        lines[site.line - 1] = re.sub(r"^(\s*)", condition, lines[site.line - 1])
        (tree / site.path).write_text("\n".join(lines))
    shutil.copy(Path(__file__).parent / "removal" / "hook.py", tree / "removal.py")
    (tree / "reached").touch()
    (tree / "reached").chmod(0o666)  # tests may run as another user, as the tree's folder may
    tree.chmod(0o755)
    # Programs that tests start by `python -I` are to be the copy's, and not the installed ones.
    venv.create(tree / ".venv", symlinks=True)
    for packages in (tree / ".venv").glob("lib/*/site-packages"):
        # Loaded at the start, so that no test takes it for a module that our code brings.
        (packages / "copy.pth").write_text("\n".join([str(tree), *sys.path[1:], "import removal"]))


class Removals:
    """The refusals of a copied tree, to be taken out one after another."""

    def __init__(self, tree: Path, *, minutes: float) -> None:
        self.tree = tree
        self.end = time.monotonic() + minutes * 60
        self.reaching = defaultdict[int, set[str]](set)
        """The tests that reach each refusal."""
        self.failing: set[str] = set()
        """The tests that fail with every refusal in place."""

    def run_pytest(self, *arguments: str, **environment: str) -> int:
        """Run tests in the copy; return pytest's exit code, or one of `timeout`."""
        left = self.end - time.monotonic()
        if left < 1:
            return TIMEOUTS[0]
        command = ["timeout", "--kill-after=10", f"{left:.0f}", ".venv/bin/python", "-m", "pytest"]
        options = ["-qq", "--tb=line", "--rootdir=.", "-p", "no:randomly"]
        return subprocess.run(  # noqa: S603 — our own arguments
            [*command, *options, *arguments],
            cwd=self.tree,
            env=os.environ | {"CI": "1"} | environment,  # hypothesis draws no new examples
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if "PLAN" in environment else sys.stderr,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode

    def run_whole(self) -> int:
        """Run all tests with every refusal in place; return the exit code."""
        folders = filter(os.path.isdir, TESTS)
        code = self.run_pytest("-n", "auto", *folders, REMOVED="none")
        cache = self.tree / ".pytest_cache/v/cache/lastfailed"
        self.failing = set(json.loads(cache.read_text())) if cache.exists() else set()
        for line in (self.tree / "reached").read_text().splitlines():
            number, _, test = line.partition(" ")
            if test:  # else between two tests, by what one of them left running
                self.reaching[int(number)].add(test)
        return code

    def take_out(self, numbers: Sequence[int]) -> dict[int, str]:
        """Take refusals out, one after another; return what the tests make of each."""
        # First what is quick to run, and is likely to be about this refusal.
        count = Counter(test for tests in self.reaching.values() for test in tests)
        tests = {
            number: sorted(
                self.reaching[number],
                key=lambda test: (not test.startswith(TESTS[0]), count[test], test),
            )
            for number in numbers
        }
        plan = self.tree / f"plan-{numbers[0]}.json"
        plan.write_text(json.dumps({"tests": tests, "end": self.end}))
        plan.with_suffix(".txt").touch()
        # Without files of pytest's for what tests write: all forks would share them.
        options = ["-x", "-s", "--tb=no", "-p", "no:cacheprovider", "-p", "scripts.removal.forks"]
        options += [f"--deselect={test}" for test in self.failing]
        files = sorted({file_of(test) for number in numbers for test in tests[number]})
        code = self.run_pytest(*options, *files, PLAN=str(plan))
        ended = NO_TIME if code in {*PASSED, *TIMEOUTS} else f"pytest ends with exit code {code}"
        written = plan.with_suffix(".txt").read_text()
        codes = {int(number): int(code) for number, code in map(str.split, written.splitlines())}
        return {
            number: self.outcome(number, codes[number]) if number in codes else ended
            for number in numbers
        }

    def outcome(self, number: int, code: int) -> str:
        """Return what it means that the tests of a refusal ended with an exit code."""
        hidden = self.failing & self.reaching[number]
        meanings = {
            pytest.ExitCode.OK: f"{min(hidden)} fails by itself" if hidden else SURVIVES,
            pytest.ExitCode.TESTS_FAILED: MISSED,
            ENDLESS: MISSED,
            KILLED: TOO_LONG,
        }
        return meanings.get(code, f"its tests end with exit code {code}")

    def outcomes(self, count: int) -> list[str]:
        """Take all refusals out, one at a time on each core; return what comes of each."""
        found = dict.fromkeys(range(count), SURVIVES)
        numbers = [number for number in found if self.reaching[number]]
        cores = min(len(os.sched_getaffinity(0)), len(numbers)) or 1
        with ThreadPoolExecutor(cores) as pool:
            parts = [numbers[core::cores] for core in range(cores)]
            for outcomes in pool.map(self.take_out, filter(None, parts)):
                found |= outcomes
        return list(found.values())


def summary(outcomes: Sequence[str]) -> tuple[int, str]:
    """Return the exit code, and what came of all refusals in a sentence."""
    counts = Counter(outcomes)
    missed, survive = counts[MISSED], counts[SURVIVES]
    untried = counts[NO_TIME] + counts[TOO_LONG]
    unproven = len(outcomes) - missed - survive - untried
    return int(survive + unproven > 0), (
        f"{len(outcomes)} refusals: {missed} are missed by a test, {survive} survive, "
        f"of {unproven} nothing is proven, {untried} had no time"
    )


def main() -> int:
    """Take out the refusals that were asked for; return the exit code."""
    parser = argparse.ArgumentParser(description="List the refusals that no test misses.")
    parser.add_argument("paths", nargs="*", type=Path, help="files and folders (all packages)")
    parser.add_argument("--since", metavar="REVISION", help="only in functions changed since then")
    parser.add_argument("--minutes", type=float, default=600, help="stop after (%(default)s)")
    arguments = parser.parse_args()
    paths = [path for at in arguments.paths or map(Path, PACKAGES) for path in (at, *at.rglob("*"))]
    files = sorted(path for path in paths if path.suffix == ".py" and path.is_file())
    sites = [site for file in files for site in sites_in(file, ast.parse(file.read_bytes()))]
    if arguments.since is not None:
        base = git("merge-base", arguments.since, "HEAD").strip()
        before = {file: functions_at(base, file) for file in files}
        sites = [site for site in sites if site.function not in before[site.path]]
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory(prefix="remove-steps-", ignore_cleanup_errors=True) as folder:
        removals = Removals(Path(folder), minutes=arguments.minutes)
        copy_tree(Path(folder), sites)
        code = removals.run_whole() if sites else 0
        if code not in {*PASSED, *TIMEOUTS, pytest.ExitCode.TESTS_FAILED}:
            sys.stderr.write(f"pytest ends with exit code {code} and every refusal in place\n")
            return 2
        untried = [NO_TIME] * len(sites)
        outcomes = untried if code in TIMEOUTS else removals.outcomes(len(sites))
    for test in sorted(removals.failing):
        sys.stdout.write(f"{test} fails with every refusal in place\n")
    for number, (site, outcome) in enumerate(zip(sites, outcomes, strict=True)):
        if outcome != MISSED:
            why = f"{outcome}, {len(removals.reaching[number])} tests reach it"
            sys.stdout.write(f"{site.path}:{site.line}: {why}: {site.text[:100]}\n")
    code, sentence = summary(outcomes)
    sys.stdout.write(f"{sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
