"""Take each refusal out of the code, one at a time, and list those that no test misses.

A refusal is a `raise`, a sentence that a generator yields or that is put on a list, and a
sentence that is returned in place of None. One that can be taken out while all tests pass
is a survivor: write the missing test, or delete the dead code.

    python scripts/remove_steps.py                          # all; half an hour
    python scripts/remove_steps.py validator/bundle         # those of a file or a folder
    python scripts/remove_steps.py --since origin/main      # those in functions changed since

The tree is copied, and each refusal in the copy gets a condition (`if removal.stands(7):
raise …`). The tests run once with every refusal in place, which records the tests that reach
each refusal. Then each refusal is taken out, and the tests that reach it run.

What could not be tried is listed, and is no failure: no time was left (all in all, or for one
refusal), or nothing is proven, since a test fails with every refusal in place.

Exit codes: 0 no survivor; 1 survivors; 2 pytest does not run with every refusal in place.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Function = ast.FunctionDef | ast.AsyncFunctionDef
PACKAGES: Final = ("validator", "webhook", "certs")
TESTS: Final = ("tests/unit", "tests/integration")
"""The tests that need neither an API server nor a node."""
MEMORY: Final = 8 << 30
"""Bytes of address space for one process: a reader without its limit may take all there is."""
SECONDS: Final = 60
"""For the tests of one refusal: a loop without its limit may never end."""
TIMEOUTS: Final = (124, 137)
"""The exit codes of `timeout`."""
PASSED: Final = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
MISSED: Final = "a test misses it"
SURVIVES: Final = "it survives"
NO_TIME: Final = "no time is left"
SHOWING: Final = frozenset({"debug", "info", "warning", "error", "exception", "log", "write"})
"""Methods that show a sentence and decide nothing."""
HOOK: Final = '''
"""Tells whether a refusal stands; where none is removed, records which tests reach it."""
import os
from os import environ  # the process' own: tests put others into its place

_FILE = os.open(os.path.join(os.path.dirname(__file__), "reached"), os.O_WRONLY | os.O_APPEND)
_SEEN = set()

def stands(number):
    removed = environ.get("REMOVED")
    line = f"{number} {environ.get('PYTEST_CURRENT_TEST', '').rpartition(' (')[0]}\\n"
    if removed == "none" and line not in _SEEN:
        _SEEN.add(line)
        os.write(_FILE, line.encode())
    return removed != str(number)
'''


class Site(NamedTuple):
    """A refusal in the source, and the function that it stands in."""

    path: Path
    line: int
    text: str
    function: str


def is_sentence(node: ast.AST | None) -> bool:
    """Tell whether an expression holds a text of several words, or an error as a text."""
    return node is not None and any(
        (isinstance(part, ast.Constant) and isinstance(part.value, str) and " " in part.value)
        or (isinstance(part, ast.Call) and ast.unparse(part.func) == "str")
        for part in ast.walk(node)
    )


def is_refusal(node: ast.AST, function: Function) -> bool:
    """Tell whether a statement of a function refuses something."""
    match node:
        case ast.Raise():
            return not re.search(r"\b(AssertionError|NotImplementedError)\b", ast.unparse(node))
        case ast.Expr(value=ast.Yield()):
            yields = (part for part in ast.walk(function) if isinstance(part, ast.Yield))
            return any(is_sentence(part.value) for part in yields)
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name), args=arguments)):
            return name not in SHOWING and any(map(is_sentence, arguments))
        case ast.Return(value=ast.Tuple(elts=[ast.Constant(value=False), sentence])):
            return is_sentence(sentence)
        case ast.Return(value=ast.JoinedStr() | ast.Constant() as sentence) if function.returns:
            return "None" in ast.unparse(function.returns) and is_sentence(sentence)
    return False


def sites_in(path: Path, node: ast.AST, function: Function | None = None) -> Iterator[Site]:
    """Yield the refusals below a node of a source file."""
    for child in ast.iter_child_nodes(node):
        if function and isinstance(child, ast.stmt) and is_refusal(child, function):
            yield Site(path, child.lineno, ast.unparse(child), ast.unparse(function))
        yield from sites_in(path, child, child if isinstance(child, Function) else function)


def git(*arguments: str) -> str:
    """Return what Git says of the tree; nothing, where it fails."""
    return subprocess.run(  # noqa: S603 — our own arguments
        [shutil.which("git") or "git", *arguments], check=False, capture_output=True, text=True
    ).stdout


def functions_at(revision: str, path: Path) -> set[str]:
    """Return the functions that a file had at a revision; none, where it was not there."""
    tree = ast.parse(git("show", f"{revision}:{path}"))
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, Function)}


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
    (tree / "removal.py").write_text(HOOK)
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
        self.reaching = defaultdict[str, set[str]](set)
        """The tests that reach each refusal."""
        self.failing: set[str] = set()
        """The tests that fail with every refusal in place."""

    def run_pytest(self, *arguments: str, removed: str, seconds: float = math.inf) -> int:
        """Run tests in the copy; return pytest's exit code, or one of `timeout`."""
        left = min(seconds, self.end - time.monotonic())
        if left < 1:
            return TIMEOUTS[0]
        command = ["timeout", "--kill-after=10", f"{left:.0f}", ".venv/bin/python", "-m", "pytest"]
        options = ["-qq", "--tb=line", "--rootdir=.", "-p", "no:randomly"]
        return subprocess.run(  # noqa: S603 — our own arguments
            [*command, *options, *arguments],
            cwd=self.tree,
            env=os.environ | {"REMOVED": removed, "CI": "1"},  # hypothesis draws no new examples
            stdout=sys.stderr if removed == "none" else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode

    def run_whole(self) -> int:
        """Run all tests with every refusal in place; return the exit code."""
        folders = filter(os.path.isdir, TESTS)
        code = self.run_pytest("-n", "auto", *folders, removed="none")
        cache = self.tree / ".pytest_cache/v/cache/lastfailed"
        self.failing = set(json.loads(cache.read_text())) if cache.exists() else set()
        for line in (self.tree / "reached").read_text().splitlines():
            number, _, test = line.partition(" ")
            if test:  # else between two tests, by what one of them left running
                self.reaching[number].add(test)
        return code

    def outcome(self, number: str) -> str:
        """Take a refusal out, and return what the tests that reach it make of that."""
        tests = self.reaching[number]
        options = ["-x", "-p", "no:cacheprovider", *(f"--deselect={test}" for test in self.failing)]
        # The rest of their files, too: tests may share a program that the first of them started.
        files = {test.partition("::")[0] for test in tests}
        for some in filter(None, (tests, files)):
            first = sorted(some, key=lambda test: (not test.startswith(TESTS[0]), test))
            code = self.run_pytest(*options, *first, removed=number, seconds=SECONDS)
            if code in TIMEOUTS:
                return NO_TIME
            if code not in PASSED:
                return MISSED
        # A test that fails by itself may be the one that would have missed it.
        return f"{min(self.failing)} fails by itself" if self.failing else SURVIVES


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
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory(prefix="remove-steps-", ignore_cleanup_errors=True) as folder:
        removals = Removals(Path(folder), minutes=arguments.minutes)
        copy_tree(Path(folder), sites)
        code = removals.run_whole() if sites else 0
        if code not in {*PASSED, *TIMEOUTS, pytest.ExitCode.TESTS_FAILED}:
            sys.stderr.write(f"pytest ends with exit code {code} and every refusal in place\n")
            return 2
        outcomes = [NO_TIME] * len(sites)
        if code not in TIMEOUTS:
            with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
                outcomes = list(pool.map(removals.outcome, map(str, range(len(sites)))))
    for number, (site, outcome) in enumerate(zip(sites, outcomes, strict=True)):
        if outcome != MISSED:
            why = f"{outcome}, {len(removals.reaching[str(number)])} tests reach it"
            sys.stdout.write(f"{site.path}:{site.line}: {why}: {site.text[:100]}\n")
    missed, survive = outcomes.count(MISSED), outcomes.count(SURVIVES)
    sys.stdout.write(
        f"{len(sites)} refusals: {missed} are missed by a test, {survive} survive, "
        f"{len(sites) - missed - survive} could not be tried\n"
    )
    return 1 if survive else 0


if __name__ == "__main__":
    sys.exit(main())
