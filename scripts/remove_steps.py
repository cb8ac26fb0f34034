"""Take each check of the verification out, once, and ask that its tests go red.

A check that no test misses is a check that somebody will lose in a refactoring. Each
`Removal` below is an edit of the source that takes one check out; it is applied to a
copy of the tree, the tests named beside it run there, and at least one must fail. An
edit whose text is no longer found is an error, too: it has to follow the code.

    python scripts/remove_steps.py            # all, as a table; exit 1 if any stays green
    python scripts/remove_steps.py 7 8        # those of steps 7 and 8
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
COPIED: Final = ("validator", "webhook", "certs", "manifests", "tests", "pyproject.toml")
TESTS: Final = "tests/unit/validator"
TIMEOUT_SECONDS: Final = 120
"""For the tests of one removal; a check against endless reading may end so, and that is red."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A check, taken out: `old` becomes `new` in `file`, and one of `tests` must fail."""

    step: int
    check: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ("test_verification_steps",)


BUNDLES: Final = ("test_bundles",)
STATEMENTS: Final = ("test_statements",)
WALKING: Final = ("test_walking",)
CERTIFICATES: Final = ("test_certificates",)
KEYLESS: Final = ("test_keyless",)
MONITORING: Final = ("test_monitoring",)
STANDING: Final = ("test_standing",)
GUARD: Final = ("test_vllm_guard",)

REMOVALS: Final = (
    Removal(
        1,
        "the signature file's size is limited",
        "bundle.py",
        "    if len(content) > limit:",
        "    if False:",
        BUNDLES,
    ),
    Removal(
        1,
        "the signature file is a regular one",
        "bundle.py",
        "if not stat.S_ISREG(os.fstat(descriptor).st_mode):",
        "if False:",
        BUNDLES,
    ),
    Removal(1, "a key stands once", "bundle.py", "        if name in result:", "        if False:"),
    Removal(
        1,
        "nesting is limited",
        "bundle.py",
        "    _check_depth(document, what=what, depth=depth)\n",
        "",
        BUNDLES,
    ),
    Removal(1, "one signature", "bundle.py", "if len(signatures) != 1 or", "if", BUNDLES),
    Removal(
        2,
        "the method is an accepted one",
        "verification.py",
        "if verifier.method is bundle.method]",
        "]",
    ),
    Removal(
        2,
        "one kind of material",
        "bundle.py",
        "if len(kinds) != 1:",
        "if not kinds:",
        BUNDLES,
    ),
    Removal(
        3,
        "the signature holds (key)",
        "signatures/ecdsa.py",
        '    raise SignatureError(\n        "the signature does not match',
        '    return False\n    raise SignatureError(\n        "the signature does not match',
        ("test_verification_steps", "test_keys"),
    ),
    Removal(
        3,
        "the older form only when asked for",
        "signatures/ecdsa.py",
        "        if allow_legacy:\n",
        "        if True:\n",
        ("test_keys",),
    ),
    Removal(
        3,
        "a path to an accepted authority",
        "signatures/certificate.py",
        "        self._check_path(leaf, chain[1:], now)\n",
        "",
        CERTIFICATES,
    ),
    Removal(
        3,
        "the certificate has not expired",
        "signatures/certificate.py",
        "if now > leaf.not_valid_after_utc:",
        "if False:",
        CERTIFICATES,
    ),
    Removal(
        3,
        "the certificate is valid already",
        "signatures/certificate.py",
        "if now < leaf.not_valid_before_utc:",
        "if False:",
        CERTIFICATES,
    ),
    Removal(
        3,
        "the path is judged by the time",
        "signatures/certificate.py",
        ".time(now)",
        ".time(leaf.not_valid_before_utc)",
        CERTIFICATES,
    ),
    Removal(
        3,
        "authorities have basic constraints",
        "signatures/certificate.py",
        "ca_policy=authority",
        "ca_policy=ExtensionPolicy.permit_all()",
        CERTIFICATES,
    ),
    Removal(
        3,
        "digitalSignature",
        "signatures/certificate.py",
        "if usage is None or not usage.digital_signature:",
        "if False:",
        CERTIFICATES,
    ),
    Removal(
        3,
        "codeSigning, where purposes are given",
        "signatures/certificate.py",
        "if extended is not None and",
        "if False and",
        CERTIFICATES,
    ),
    Removal(
        3,
        "Sigstore's proof holds",
        "signatures/sigstore.py",
        "payload_type, payload = verifier.verify_dsse(parsed, self._policy)",
        "payload_type, payload = bundle.payload_type, bundle.payload",
        KEYLESS,
    ),
    Removal(
        3,
        "the keyless signer is the expected one",
        "signatures/sigstore.py",
        "verify_dsse(parsed, self._policy)",
        "verify_dsse(parsed, library.UnsafeNoOp())",
        KEYLESS,
    ),
    Removal(
        3,
        "regular expressions match in full",
        "signatures/sigstore.py",
        "self._expression.fullmatch(text)",
        "self._expression.search(text)",
        KEYLESS,
    ),
    Removal(
        3,
        "the issuer counts",
        "signatures/sigstore.py",
        "policies.append(library.OIDCIssuer(expected.issuer))",
        "pass",
        KEYLESS,
    ),
    Removal(
        3,
        "the workflow's claims count",
        "signatures/sigstore.py",
        "    policies.extend(_GITHUB[claim](value) for claim, value in expected.github)\n",
        "",
        KEYLESS,
    ),
    Removal(
        3,
        "whatever the library raises is a refusal",
        "signatures/sigstore.py",
        "except Exception as error:\n            raise SignatureError",
        "except Error as error:\n            raise SignatureError",
        KEYLESS,
    ),
    Removal(
        4,
        "the payload's type",
        "statement.py",
        "if payload_type != PAYLOAD_TYPE:",
        "if False:",
    ),
    Removal(
        4,
        "an in-toto statement",
        "statement.py",
        'or document.get("_type") != STATEMENT_TYPE',
        "",
        STATEMENTS,
    ),
    Removal(
        4,
        "the predicate's type",
        "statement.py",
        "if predicate_type != PREDICATE_TYPE:",
        "if predicate_type == LEGACY_PREDICATE_TYPE:",
    ),
    Removal(
        4,
        "the older predicate only when asked for",
        "statement.py",
        "== LEGACY_PREDICATE_TYPE and allow_legacy:",
        "== LEGACY_PREDICATE_TYPE:",
    ),
    Removal(4, "exactly one subject", "statement.py", "len(subjects) != 1", "False", STATEMENTS),
    Removal(
        5,
        "no name leads out",
        "statement.py",
        'elif ".." in segments:',
        "elif False:",
    ),
    Removal(5, "no absolute name", "statement.py", 'elif name.startswith("/"):', "elif False:"),
    Removal(
        5,
        "no NUL",
        "statement.py",
        'elif "\\0" in name:',
        "elif False:",
        STATEMENTS,
    ),
    Removal(
        5,
        "one spelling",
        "statement.py",
        'elif "" in segments or "." in segments:',
        "elif False:",
        STATEMENTS,
    ),
    Removal(
        5,
        "a name stands once",
        "statement.py",
        "        if key in seen:",
        "        if False:",
        STATEMENTS,
    ),
    Removal(5, "lower-case digests", "statement.py", "[0-9a-f]", "[0-9a-fA-F]", STATEMENTS),
    Removal(
        5,
        "the resources add up to the subject",
        "statement.py",
        "if _root(resources) != root_digest:",
        "if False:",
    ),
    Removal(
        5,
        "an empty model is refused",
        "statement.py",
        "if not isinstance(listed, list) or not listed:",
        "if not isinstance(listed, list):",
        STATEMENTS,
    ),
    Removal(
        5,
        "shards make whole files",
        "statement.py",
        "        if not whole:",
        "        if False:",
        STATEMENTS,
    ),
    Removal(
        6,
        "resources are hashed as the statement says",
        "statement.py",
        'if item.get("algorithm") not in accepted:',
        "if False:",
        STATEMENTS,
    ),
    Removal(
        6,
        "the hash is the signer's",
        "verification.py",
        "_hash(tree, parts, statement.hash,",
        "_hash(tree, parts, Hash.SHA256,",
    ),
    Removal(
        6,
        "links are the signer's to allow",
        "verification.py",
        "follow=statement.allow_symlinks",
        "follow=True",
    ),
    Removal(
        6,
        "an ignored path takes no signed file away",
        "verification.py",
        "signed=expected.keys(),",
        "signed=(),",
    ),
    Removal(
        6,
        "only the given signature is left out",
        "walking.py",
        "if name == self.signature and",
        'if name.endswith(".sig") and',
        ("test_verification_steps", "test_walking"),
    ),
    Removal(
        6,
        "git paths are ignored at the top only",
        "walking.py",
        "                if name in self.ignored:",
        "                if name in self.ignored or item.name in self.ignored:",
    ),
    Removal(
        7,
        "problems of the walk count",
        "verification.py",
        "            *listing.problems,\n",
        "",
    ),
    Removal(
        7,
        "special files are refused",
        "walking.py",
        "                else:\n                    self.listing.problems.append(",
        "                elif False:\n                    self.listing.problems.append(",
    ),
    Removal(
        7,
        "links out of a cache's snapshot stay inside",
        "walking.py",
        "        if not self._allowed(done):",
        "        if False:",
        WALKING,
    ),
    Removal(
        7,
        "links do not climb out",
        "walking.py",
        '                if not done:\n                    raise _Escape("leads out of the model")',
        "                if not done:\n                    continue",
        WALKING,
    ),
    Removal(
        7,
        "absolute links are refused",
        "walking.py",
        '            if target.startswith("/"):',
        "            if False:",
    ),
    Removal(
        7,
        "links end",
        "walking.py",
        "            if links > limits.links:",
        "            if links > 100_000:",
        WALKING,
    ),
    Removal(
        7,
        "of a cache, only blobs/ is inside",
        "walking.py",
        'return len(real) == 2 and real[0] == "blobs"',
        "return bool(self._prefix)",
        WALKING,
    ),
    Removal(
        7,
        "a file's path is opened without following links",
        "walking.py",
        "_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC",
        "_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC",
        WALKING,
    ),
    Removal(7, "circles end", "walking.py", "if here in above:", "if False:"),
    Removal(
        7,
        "depth is limited",
        "walking.py",
        "elif len(above) >= self.limits.depth:",
        "elif False:",
        WALKING,
    ),
    Removal(
        7,
        "the number of entries is limited",
        "walking.py",
        "if self.entries > self.limits.entries:",
        "if False:",
        WALKING,
    ),
    Removal(
        7,
        "what cannot be listed leaves the verdict open",
        "verification.py",
        "[*listing.unreadable, *unreadable]",
        "unreadable",
    ),
    Removal(
        7,
        "lost+found is skipped at a mount's root only",
        "walking.py",
        "            and self.tree.is_mount()\n",
        "",
        WALKING,
    ),
    Removal(
        8,
        "every signed file is there",
        "verification.py",
        "for name in sorted(expected.keys() - listing.files.keys())",
        "for name in ()",
    ),
    Removal(
        8,
        "every file is signed",
        "verification.py",
        "    if request.ignore_unsigned_files:\n        return missing",
        "    return missing",
    ),
    Removal(
        8,
        "a directory is no single file",
        "verification.py",
        "if tree.is_single_file != (SINGLE_FILE in expected):",
        "if False:",
    ),
    Removal(
        8,
        "shards say the size",
        "verification.py",
        "if ends and (signed_size := max(ends)) != size:",
        "if False:",
    ),
    Removal(
        8,
        "contents are the signed ones",
        "verification.py",
        "elif outcome.digest != resource.digest:",
        "elif False:",
    ),
    Removal(
        8,
        "what cannot be read leaves the verdict open",
        "verification.py",
        "        if outcome.unreadable:\n            unreadable[outcome.unreadable] = None",
        "        if outcome.unreadable:\n            pass",
    ),
    Removal(
        8,
        "what changed is no match",
        "verification.py",
        "            mismatches[outcome.changed] = None",
        "            pass",
    ),
    Removal(
        8,
        "the opened file is the listed one",
        "hashing.py",
        "if not stat.S_ISREG(status.st_mode) or Identity.of(status) != entry.identity:",
        "if not stat.S_ISREG(status.st_mode):",
        ("test_hashing",),
    ),
    Removal(
        8,
        "it is the same after reading",
        "hashing.py",
        "    unchanged = Identity.of(os.fstat(descriptor)) == entry.identity",
        "    unchanged = True",
        ("test_hashing",),
    ),
    Removal(
        8,
        "the second walk finds what the first did",
        "verification.py",
        "            *_moved(listing, walk()),\n",
        "",
    ),
    Removal(
        8,
        "the model's path still leads to it",
        "walking.py",
        "        if not self._in_place():",
        "        if False:",
    ),
    Removal(
        8,
        "what the workload opens is signed",
        "verification.py",
        "            *_not_covered(request.must_cover, expected, _ignored(statement, request)),\n",
        "",
    ),
    Removal(
        8,
        "all differences are said",
        "verification.py",
        "tuple([first, *others, *unreadable][: request.limits.mismatches])",
        "(first,)",
    ),
    Removal(
        9,
        "the pinned digest",
        "verification.py",
        'if request.digests and f"sha256:{statement.root_digest}" not in request.digests:',
        "if False:",
    ),
    Removal(
        10,
        "what is not covered is reported",
        "verification.py",
        "ignored=tuple(listing.ignored),",
        "ignored=(),",
    ),
    Removal(
        10,
        "unsigned files are counted",
        "verification.py",
        "unsigned=len(listing.files.keys() - expected.keys()),",
        "unsigned=0,",
    ),
    Removal(
        10,
        "what a reviewer should know is reported",
        "verification.py",
        "notes=signed.signer.notes,",
        "notes=(),",
    ),
    Removal(
        10,
        "a termination message fits",
        "report.py",
        '"reason": reason[:room]',
        '"reason": reason',
        ("test_reports",),
    ),
    # 11 is verifying again, docs/revalidation.md.
    Removal(
        11,
        "a dead monitor's verdict is none",
        "standing.py",
        'if not _is_locked(f"{folder}/{_LOCK}"):',
        "if False:",
        STANDING,
    ),
    Removal(
        11,
        "a verdict grows stale",
        "standing.py",
        "if silent > STALE_SECONDS:",
        "if False:",
        STANDING,
    ),
    Removal(
        11,
        "an earlier monitor's verdict is taken back",
        "standing.py",
        '        self.say("the first verification has not ended", good=False)\n',
        "        self._moved = clock()\n",
        STANDING,
    ),
    Removal(
        11,
        "a touch amid a verification is no alarm",
        "monitoring.py",
        "            if finding.verdict is not Verdict.VERIFIED:",
        "            if False:",
        MONITORING,
    ),
    Removal(
        11,
        "the signature is looked at",
        "monitoring.py",
        "        sight[str(request.signature)] = _state(request.signature)\n",
        "",
        MONITORING,
    ),
    Removal(
        11,
        "what is odd is looked at",
        "monitoring.py",
        "return sight | dict.fromkeys((*listing.problems, *listing.unreadable))",
        "return sight",
        MONITORING,
    ),
    Removal(
        11,
        "what could not be read is tried again",
        "monitoring.py",
        "if finding.verdict is Verdict.UNDECIDED and retry < due:",
        "if False:",
        MONITORING,
    ),
    Removal(
        11,
        "the workload is spared once it runs",
        "monitoring.py",
        "            running = running or finding.verdict is Verdict.VERIFIED\n",
        "",
        MONITORING,
    ),
    Removal(
        11,
        "the rate is kept",
        "pacing.py",
        "            self._sleep(ahead)",
        "            pass",
        ("test_pacing",),
    ),
    Removal(
        11,
        "no burst follows a stall",
        "pacing.py",
        "self._due = max(self._due + max(0, done - self._done) / self._rate, now)",
        "self._due = self._due + max(0, done - self._done) / self._rate",
        ("test_pacing",),
    ),
    # 12 is the check inside vLLM, docs/vllm.md.
    Removal(
        12,
        "the policy is looked at when the plugin is loaded",
        "vllm/plugin.py",
        "    guard.check_start()\n",
        "",
        GUARD,
    ),
    Removal(
        12,
        "without a policy the log says so",
        "vllm/plugin.py",
        "if multiprocessing.parent_process() is None:",
        "if False:",
        GUARD,
    ),
    Removal(
        12,
        "an unknown vLLM is refused",
        "vllm/guarding.py",
        "        if missing:",
        "        if False:",
        GUARD,
    ),
    Removal(
        12,
        "the engine's arguments are judged before each read",
        "vllm/guarding.py",
        "            self.check(arguments, openings.of_engine(arguments))\n",
        "",
        GUARD,
    ),
    Removal(
        12,
        "the server's own files are judged",
        "vllm/guarding.py",
        ", *openings.of_server(command_line)]",
        "]",
        GUARD,
    ),
    Removal(
        12,
        "variables that let others in are refused later, too",
        "vllm/guarding.py",
        "            openings.refuse_variables(self._environment)\n            openings",
        "            openings",
        GUARD,
    ),
    Removal(
        12,
        "arguments that let others in are refused",
        "vllm/guarding.py",
        "            openings.refuse_remote(arguments, environment=self._environment)\n",
        "",
        GUARD,
    ),
    Removal(
        12,
        "Ray is refused",
        "vllm/guarding.py",
        "if parallel is not None:",
        "if False:",
        GUARD,
    ),
    Removal(
        12,
        "a hub id is no path",
        "vllm/guarding.py",
        ' or not opening.value.startswith("/"):',
        ":",
        GUARD,
    ),
    Removal(
        12,
        "no path goes up",
        "vllm/guarding.py",
        'if ".." in opening.value.split("/"):',
        "if False:",
        GUARD,
    ),
    Removal(
        12,
        "a verdict stands for its paths only",
        "vllm/guarding.py",
        "if paths <= self._verified |",
        "if self._verified |",
        GUARD,
    ),
    Removal(
        12,
        "one verdict is enough",
        "vllm/guarding.py",
        "        self._verified |= paths\n",
        "",
        GUARD,
    ),
    Removal(
        12,
        "a verdict is believed of processes above only",
        "vllm/verdicts.py",
        "return paths if given in above else frozenset()",
        "return paths",
        ("test_vllm_verdicts",),
    ),
)


class Trees:
    """Copies of the tree, one for each thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._local = threading.local()
        # Bytecode counts as current by its source's size and second: each edit gets its own.
        self._seconds = count(int(time.time()))

    @property
    def mine(self) -> Path:
        """This thread's copy."""
        if not hasattr(self._local, "tree"):
            tree = Path(tempfile.mkdtemp(dir=self._folder))
            for name in COPIED:
                source = ROOT / name
                if source.is_dir():
                    skipped = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(source, tree / name, ignore=skipped)
                else:
                    shutil.copy(source, tree / name)
            self._local.tree = tree
        found: Path = self._local.tree
        return found

    def write(self, path: Path, text: str) -> None:
        """Write a source file, at a time of its own."""
        path.write_text(text)
        second = next(self._seconds)
        os.utime(path, (second, second))


def run_tests(tree: Path, names: tuple[str, ...]) -> tuple[bool | None, str]:
    """Run test files in a copy of the tree.

    Returns:
        Whether they passed (None where they could not run), and what was said last.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "no:randomly", "--tb=no", *(f"{TESTS}/{name}.py" for name in names)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(  # noqa: S603 — our own tests
            command,
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False, f"no end within {TIMEOUT_SECONDS} s"
    lines = (done.stdout.strip() or done.stderr.strip() or "nothing").splitlines()
    said = next((line for line in lines if line.startswith("FAILED")), lines[-1])
    # 0: all passed; 1: some failed; all else is trouble of pytest's own.
    return {0: True, 1: False}.get(done.returncode), said.removeprefix(f"FAILED {TESTS}/")


def attempt(trees: Trees, removal: Removal) -> tuple[str, str]:
    """Take one check out and return the outcome, "red" or what is wrong, and the details."""
    path = trees.mine / "validator" / removal.file
    source = path.read_text()
    if source.count(removal.old) != 1:
        return "EDIT", f"its text stands {source.count(removal.old)} times in {removal.file}"
    try:
        trees.write(path, source.replace(removal.old, removal.new))
        passed, said = run_tests(trees.mine, removal.tests)
    finally:
        trees.write(path, source)
    return {True: "GREEN", False: "red", None: "BROKEN"}[passed], said


def main(argv: list[str]) -> int:
    """Run all removals, or those of the given steps; return the exit code."""
    steps = {int(step) for step in argv} or {removal.step for removal in REMOVALS}
    chosen = [removal for removal in REMOVALS if removal.step in steps]
    with tempfile.TemporaryDirectory(prefix="remove-steps-") as folder:
        trees = Trees(Path(folder))
        files = tuple(sorted({name for removal in chosen for name in removal.tests}))
        passed, said = run_tests(trees.mine, files)
        if not passed:
            sys.stderr.write(f"the tests fail with every check in place: {said}\n")
            return 1
        with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
            outcomes = list(pool.map(lambda removal: attempt(trees, removal), chosen))
    for removal, (outcome, said) in zip(chosen, outcomes, strict=True):
        sys.stdout.write(f"{removal.step:>2}  {outcome:<6}  {removal.check:<48}  {said}\n")
    bad = sum(outcome != "red" for outcome, _ in outcomes)
    sys.stdout.write(f"{len(chosen)} checks taken out, {len(chosen) - bad} noticed by a test\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
