"""Take each refusal out of the code, one at a time, and list those that no test misses.

A refusal is a `raise`, a sentence that a generator yields or that is put on a list, and a
sentence that is returned in place of None. One that can be taken out while all tests pass
is a survivor: write the missing test, or delete the dead code.

    python scripts/remove_steps.py                          # all; some minutes
    python scripts/remove_steps.py validator/bundle.py      # those of a file or a folder
    python scripts/remove_steps.py --since origin/main      # those in functions changed since

The tree is copied, each refusal in the copy gets a condition (`if removal.stands(7): raise
…`), and pytest collects the tests once. All else runs in forks of that process. First each
test file: it must pass, and records which test reaches which refusal. Then each refusal is
taken out in a fork of its own, which runs the tests that reach it. The test files that name
a module or stand in its room run first; the others only for what survives those.

Exit codes: 0 no survivor; 1 survivors; 2 the tests fail with every refusal in place.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
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
from collections import defaultdict
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Function = ast.FunctionDef | ast.AsyncFunctionDef
PACKAGES: Final = ("validator", "webhook", "certs")
TESTS: Final = ("tests/unit", "tests/integration")
"""The tests that need neither an API server nor a node."""
OPTIONS: Final = ("-qq", "-s", "--tb=no", "-p", "no:randomly", "-p", "no:cacheprovider")
TEST_SECONDS: Final = 120
"""For one test; a test that hangs has missed a refusal, too."""
MEMORY: Final = 8 << 30
"""Bytes of address space for one process: a reader without its limit may take all there is."""
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
        inner = child if isinstance(child, Function) else function
        yield from sites_in(path, child, inner)


def git(*arguments: str, check: bool = True) -> str:
    """Return what Git says of the tree."""
    command = [shutil.which("git") or "git", *arguments]
    # A file that a revision does not have is no error.
    complaints = None if check else subprocess.DEVNULL
    ran = subprocess.run(command, check=check, stdout=subprocess.PIPE, stderr=complaints)  # noqa: S603 — our own arguments
    return ran.stdout.decode()


def functions_at(revision: str, path: Path) -> set[str]:
    """Return the functions that a file had at a revision; none, where it was not there."""
    source = git("show", f"{revision}:{path}", check=False)
    return {ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, Function)}


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
    (tree / "reached").chmod(0o666)  # tests may run as another user
    # Programs that tests start by `python -I` are to be the copy's, and not the installed ones.
    venv.create(tree / ".venv", symlinks=True)
    for packages in (tree / ".venv").glob("lib/*/site-packages"):
        installed = sysconfig.get_path("purelib")
        # Loaded at the start, so that no test takes it for a module that our code brings.
        (packages / "copy.pth").write_text(f"{tree}\n{installed}\nimport removal\n")


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


def in_forks(jobs: Iterator[tuple[str, list[pytest.Item]]]) -> Iterator[tuple[str, str | None]]:
    """Run each job's tests in a fork, as many at once as there are cores.

    Args:
        jobs: The number of the refusal to remove, or "none", and the tests.

    Yields:
        The number, and the test that failed, if one did.
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
            os.killpg(pid, signal.SIGKILL)  # programs that its tests left running
        removed, folder = running.pop(pid)
        yield removed, (folder / "test").read_text() if status else None
        # Tests make folders that are too deep for `shutil.rmtree`.
        subprocess.run([shutil.which("rm") or "rm", "-rf", folder], check=False)  # noqa: S603 — ours


class Removals:
    """The plugin that replaces pytest's loop over the collected tests."""

    def __init__(self, sites: Sequence[Site], *, seconds: float) -> None:
        modules = {".".join(site.path.with_suffix("").parts) for site in sites}
        self.modules = {name.removesuffix(".__init__") for name in modules}
        self.rooms = tuple(f"tests/unit/{site.path.parent}/" for site in sites)
        self.end = time.monotonic() + seconds
        self.survivors = {str(number): 0 for number in range(len(sites))}
        """The refusals that no test has missed, and how many tests reached them."""
        self.untried = set(self.survivors)
        """Those of them for which no time was left."""
        self.failed: list[str] = []
        """The tests that fail with every refusal in place."""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests that name a module or its room, then the others for what survives."""
        if session.testsfailed:
            self.failed.append("some cannot be collected")
        files = defaultdict[str, list[pytest.Item]](list)
        for item in session.items:
            files[item.nodeid.partition("::")[0]].append(item)
        near = {name for name in files if name.startswith(self.rooms) or self.names_one(name)}
        for group in (near, files.keys() - near):
            self.untried = set(self.survivors)
            if self.untried and not self.failed and time.monotonic() < self.end:
                self.run({name: files[name] for name in group})
        return True

    def names_one(self, file: str) -> bool:
        """Tell whether a test file names a module with a refusal."""
        return any(name in Path(file).read_text() for name in self.modules)

    def run(self, files: dict[str, list[pytest.Item]]) -> None:
        """Run test files with all refusals in place, then without one after another."""
        Path("reached").write_text("")
        whole = (("none", tests) for tests in files.values())
        self.failed = [failed for _, failed in in_forks(whole) if failed]
        if self.failed:
            return
        reaching = defaultdict[str, set[str]](set)
        for line in Path("reached").read_text().splitlines():
            number, _, test = line.partition(" ")
            if test:  # else between two tests, by what one of them left running
                reaching[number].add(test)

        def tests_of(number: str) -> list[pytest.Item]:
            """Return those that reach it, then the rest of their files: one may share a program."""
            near = {test.partition("::")[0] for test in reaching[number]}
            tests = [item for file in near for item in files[file]]
            return sorted(tests, key=lambda item: item.nodeid not in reaching[number])

        self.untried &= reaching.keys()
        jobs = ((number, tests_of(number)) for number in sorted(self.untried, key=int))
        for number, failed in in_forks(takewhile(lambda _: time.monotonic() < self.end, jobs)):
            self.untried.discard(number)
            self.survivors[number] += len(reaching[number])
            if failed:
                del self.survivors[number]


def main() -> int:
    """Take out the refusals that were asked for; return the exit code."""
    parser = argparse.ArgumentParser(description="List the refusals that no test misses.")
    parser.add_argument("paths", nargs="*", type=Path, help="files and folders (all packages)")
    parser.add_argument("--since", metavar="REVISION", help="only in functions changed since then")
    parser.add_argument("--minutes", type=float, default=120, help="stop after (%(default)s)")
    arguments = parser.parse_args()
    began = time.monotonic()
    paths = [path for at in arguments.paths or map(Path, PACKAGES) for path in (at, *at.rglob("*"))]
    files = sorted(path for path in paths if path.suffix == ".py" and path.is_file())
    sites = [site for file in files for site in sites_in(file, ast.parse(file.read_bytes()))]
    if arguments.since is not None:
        base = git("merge-base", arguments.since, "HEAD").strip()
        before = {file: functions_at(base, file) for file in files}
        sites = [site for site in sites if site.function not in before[site.path]]
    removals = Removals(sites, seconds=arguments.minutes * 60)
    with tempfile.TemporaryDirectory(prefix="remove-steps-") as folder:
        Path(folder).chmod(0o755)  # tests may run as another user
        copy_tree(Path(folder), sites)
        os.chdir(folder)
        sys.path.insert(0, folder)
        sys.modules.pop("removal", None)  # where this script is tested by itself
        importlib.import_module("removal")  # before a test has put another os.environ there
        sys.executable = f"{folder}/.venv/bin/python"
        os.environ["CI"] = "1"  # so hypothesis draws the same examples each time
        with contextlib.redirect_stdout(sys.stderr):
            folders = filter(os.path.isdir, TESTS)
            code = pytest.main([*OPTIONS, *folders], plugins=[removals]) if sites else 0
        if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            removals.failed.append(f"pytest, with exit code {code}")
    if removals.failed:
        sys.stderr.write(f"these fail with every refusal in place: {', '.join(removals.failed)}\n")
        return 2
    found = sorted(removals.survivors.keys() - removals.untried, key=int)
    for number in found:
        site, tests = sites[int(number)], removals.survivors[number]
        sys.stdout.write(f"{site.path}:{site.line}: {tests} tests reach it: {site.text[:100]}\n")
    sys.stdout.write(
        f"{len(sites)} refusals in {time.monotonic() - began:.0f} s: {len(found)} survive, "
        f"{len(removals.untried)} were not tried for want of time\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
