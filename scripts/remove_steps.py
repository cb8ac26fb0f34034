"""Take each refusal out of the code, one at a time, and list those that no test misses.

A refusal is a `raise`, a sentence that a generator yields or that is put on a list, and a
sentence that is returned in place of None. One that can be taken out while all tests pass
is a survivor: write the missing test, or delete the dead code.

    python scripts/remove_steps.py                          # all; some minutes
    python scripts/remove_steps.py validator/bundle.py      # those of a file or a folder
    python scripts/remove_steps.py --since origin/main      # those in functions changed since

The tree is copied, each refusal in the copy gets a condition (`if removal.stands(7): raise
…`), and pytest collects the tests once. All else runs in forks of that process. First each
test file: it must pass, and records which test reaches which refusal. Then the refusals:
each is taken out in a fork of its own, which runs the tests that reach it, the most specific
first, then the rest of their files, and ends at the first that fails. The test files that
import a module run first; the others only for what survives those.

Exit codes: 0 no survivor; 1 survivors; 2 the tests fail with every refusal in place.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gc
import importlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKAGES: Final = ("validator", "webhook", "certs")
TESTS: Final = ("tests/unit", "tests/integration")
"""The tests that need neither an API server nor a node."""
OPTIONS: Final = ("-qq", "-s", "--tb=no", "-p", "no:randomly", "-p", "no:cacheprovider")
TEST_SECONDS: Final = 120
"""For one test; a test that hangs has missed a refusal, too."""
MEMORY: Final = 8 << 30
"""Bytes of address space for one process: a reader without its limit may take all there is."""
SHOWN: Final = 100
"""Characters of a survivor."""
IMPOSSIBLE: Final = frozenset({"AssertionError", "NotImplementedError"})
SHOWING: Final = frozenset({"debug", "info", "warning", "error", "exception", "log", "write"})
"""Methods that show a sentence and decide nothing."""
HOOK: Final = '''
"""Tells whether a refusal stands; where none is removed, records which tests reach it."""
import os
from os import environ  # the process' own: tests put others into its place

_SEEN = set()
_FILE = os.open(os.path.join(os.path.dirname(__file__), "reached"), os.O_WRONLY | os.O_APPEND)

def stands(number):
    removed = environ.get("REMOVED")
    line = f"{number} {environ.get('PYTEST_CURRENT_TEST', '').rpartition(' (')[0]}\\n"
    if removed and not removed.isdigit() and line not in _SEEN:
        _SEEN.add(line)
        os.write(_FILE, line.encode())
    return removed != str(number)
'''
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Site:
    """A refusal in the source, with the lines of its function."""

    path: Path
    line: int
    text: str
    function: range


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
            names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            return not names & IMPOSSIBLE
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


def sites_in(path: Path) -> Iterator[Site]:
    """Find the refusals of a source file."""

    def search(node: ast.AST, function: Function | None) -> Iterator[Site]:
        for child in ast.iter_child_nodes(node):
            if function and isinstance(child, ast.stmt) and is_refusal(child, function):
                lines = range(function.lineno, (function.end_lineno or 0) + 1)
                yield Site(path, child.lineno, ast.unparse(child), lines)
            yield from search(child, child if isinstance(child, Function) else function)

    return search(ast.parse(path.read_bytes()), None)


def git(*arguments: str) -> str:
    """Return what Git says of the tree."""
    command = [shutil.which("git") or "git", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 — our own arguments


def changed_since(base: str) -> dict[Path, set[int]]:
    """Return the numbers of the lines that differ from a revision, by file."""
    lines = defaultdict[Path, set[int]](set)
    path = Path()
    for line in git("diff", "--merge-base", "--unified=0", base, "--", *PACKAGES).splitlines():
        if line.startswith("+++ "):
            path = Path(line.removeprefix("+++ b/"))
        elif hunk := re.match(r"@@ -\S+ \+(\d+),?(\d*) @@", line):
            start, count = int(hunk[1]), int(hunk[2] or 1)
            lines[path].update(range(start, start + max(count, 1)))
    return lines


def copy_tree(tree: Path, sites: Sequence[Site]) -> None:
    """Copy all that Git knows or would add, with a condition before each refusal."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(os.path.lexists, names):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, tree / name, follow_symlinks=False)
    for number, site in enumerate(sites):
        lines = (tree / site.path).read_text().split("\n")
        statement = lines[site.line - 1].lstrip()
        condition = f'if __import__("removal").stands({number}): '
        lines[site.line - 1] = lines[site.line - 1].removesuffix(statement) + condition + statement
        (tree / site.path).write_text("\n".join(lines))
    (tree / "removal.py").write_text(HOOK)
    (tree / "reached").touch()
    (tree / "reached").chmod(0o666)  # tests may run as another user
    # What tests start by `python -I` is to be the copy, too, and not the installed project.
    venv.create(tree / ".venv", symlinks=True)
    for packages in (tree / ".venv").glob("lib/*/site-packages"):
        (packages / "copy.pth").write_text(f"{tree}\n{sysconfig.get_path('purelib')}\n")


def imports(path: Path) -> set[str]:
    """Return the names that a test file imports, itself or through other files of the tests."""
    names, files = set[str](), [path]
    while files:
        found = set[str]()
        for node in ast.walk(ast.parse(files.pop().read_bytes())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        support = (Path(name.replace(".", "/") + ".py") for name in found - names)
        files += [file for file in support if file.parts[0] == "tests" and file.is_file()]
        names |= found
    return names


def run_tests(tests: Sequence[pytest.Item], *, removed: str, folder: Path) -> NoReturn:
    """Run tests in a fork until one fails, and end it: 0 if none did."""
    status = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        os.environ |= {"REMOVED": removed, "PYTEST_DEBUG_TEMPROOT": str(folder)}
        session = tests[0].session
        for test, following in zip(tests, (*tests[1:], None), strict=True):
            (folder / "test").write_text(test.nodeid)
            signal.alarm(TEST_SECONDS)
            test.ihook.pytest_runtest_protocol(item=test, nextitem=following)
            if session.testsfailed:
                break
        session.config.hook.pytest_sessionfinish(session=session, exitstatus=0)
        status = min(session.testsfailed, 1)
    finally:
        os._exit(status)


def in_forks(jobs: Iterator[tuple[str, Sequence[pytest.Item]]]) -> Iterator[tuple[str, str | None]]:
    """Run tests in forks, as many at once as there are cores.

    Args:
        jobs: The number of the refusal to remove, or a test file's name, and the tests.

    Yields:
        The number or the name, and the test that failed, if one did.
    """
    running: dict[int, tuple[str, Path]] = {}
    while True:
        for removed, tests in islice(jobs, len(os.sched_getaffinity(0)) - len(running)):
            folder = Path(tempfile.mkdtemp())
            pid = os.fork()
            if not pid:
                run_tests(tests, removed=removed, folder=folder)
            running[pid] = removed, folder
        if not running:
            return
        pid, status = os.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what its tests left running
        removed, folder = running.pop(pid)
        failed = (folder / "test").read_text() if status else None
        # Tests make folders that are too deep for `shutil.rmtree`.
        subprocess.run([shutil.which("rm") or "rm", "-rf", folder], check=False)  # noqa: S603 — ours
        yield removed, failed


class Removals:
    """The plugin that replaces pytest's loop over the collected tests."""

    def __init__(self, sites: Sequence[Site], *, seconds: float) -> None:
        names = {".".join(site.path.with_suffix("").parts) for site in sites}
        self.modules = {name.removesuffix(".__init__") for name in names}
        self.end = time.monotonic() + seconds
        self.left = {str(number): 0 for number in range(len(sites))}
        """The refusals that no test has missed, and how many tests reached them."""
        self.untried = set(self.left)
        """Those of them for which no time was left."""
        self.failed: list[str] = []
        """The tests that fail with every refusal in place."""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests that import a module, then the others for what survives."""
        if session.testsfailed:
            self.failed.append("some cannot be collected")
        paths = {item.path for item in session.items}
        near = {path for path in paths if self.modules & imports(path.relative_to(Path.cwd()))}
        gc.freeze()
        for group in (near, paths - near):
            self.untried = set(self.left)
            if self.left and not self.failed and time.monotonic() < self.end:
                self.run([item for item in session.items if item.path in group])
        return True

    def run(self, items: Sequence[pytest.Item]) -> None:
        """Run each test file with all refusals in place, then without one after another."""
        sys.stderr.write(f"{len(items)} tests, {len(self.left)} refusals\n")
        files = defaultdict[str, list[pytest.Item]](list)
        for item in items:
            files[item.nodeid.partition("::")[0]].append(item)
        Path("reached").write_text("")
        self.failed = [failed for _, failed in in_forks(iter(files.items())) if failed]
        if self.failed:
            return
        reaching = defaultdict[str, set[str]](set)
        for line in Path("reached").read_text().splitlines():
            number, _, test = line.partition(" ")
            reaching[number].add(test)
        reach = Counter(chain.from_iterable(reaching.values()))

        def tests_of(number: str) -> list[pytest.Item]:
            names = reaching[number]
            near = chain.from_iterable(
                files[file] for file in {n.partition("::")[0] for n in names}
            )
            return sorted(near, key=lambda item: (item.nodeid not in names, reach[item.nodeid]))

        self.untried &= reaching.keys()
        jobs = ((number, tests_of(number)) for number in sorted(self.untried, key=int))
        for number, failed in in_forks(takewhile(lambda _: time.monotonic() < self.end, jobs)):
            self.untried.discard(number)
            self.left[number] += len(reaching[number])
            if failed:
                del self.left[number]


def sites_of(paths: Sequence[Path], since: str | None) -> list[Site]:
    """Find the refusals of files and folders, or of those functions that changed."""
    folders = paths or [Path(name) for name in PACKAGES if Path(name).is_dir()]
    files = chain.from_iterable([at] if at.is_file() else at.rglob("*.py") for at in folders)
    sites = [site for file in sorted(files) for site in sites_in(file)]
    if since is None:
        return sites
    lines = changed_since(since)
    return [site for site in sites if not lines[site.path].isdisjoint(site.function)]


def main() -> int:
    """Take out the refusals that were asked for; return the exit code."""
    parser = argparse.ArgumentParser(description="List the refusals that no test misses.")
    parser.add_argument("paths", nargs="*", type=Path, help="files and folders (all packages)")
    parser.add_argument("--since", metavar="REVISION", help="only in functions changed since then")
    parser.add_argument("--minutes", type=float, default=120, help="stop after (%(default)s)")
    arguments = parser.parse_args()
    sites = sites_of(arguments.paths, arguments.since)
    removals = Removals(sites, seconds=arguments.minutes * 60)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="remove-steps-") as folder:
        Path(folder).chmod(0o755)  # tests may run as another user
        copy_tree(Path(folder), sites)
        os.chdir(folder)
        sys.path.insert(0, folder)
        importlib.import_module("removal")  # before a test has put another os.environ there
        sys.executable = f"{folder}/.venv/bin/python"
        os.environ["CI"] = "1"  # so hypothesis draws the same examples each time
        if sites:
            with contextlib.redirect_stdout(sys.stderr):
                code = pytest.main([*OPTIONS, *filter(os.path.isdir, TESTS)], plugins=[removals])
            if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
                removals.failed.append(f"pytest, with exit code {code}")
    if removals.failed:
        sys.stderr.write(f"these fail with every refusal in place: {', '.join(removals.failed)}\n")
        return 2
    survivors = sorted(removals.left.keys() - removals.untried, key=int)
    for number in survivors:
        site, tests = sites[int(number)], removals.left[number]
        sys.stdout.write(f"{site.path}:{site.line}: {tests} tests reach it: {site.text[:SHOWN]}\n")
    sys.stdout.write(
        f"{len(sites)} refusals in {time.monotonic() - began:.0f} s: {len(survivors)} survive, "
        f"{len(removals.untried)} were not tried for want of time\n"
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
