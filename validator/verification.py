"""Is this model the one that an accepted signer signed? The function to review.

`verify` is the whole decision. It runs the ten steps of docs/verification.md in their
order; each raises an error of its own class, and no later step checks the same again. It
either returns a report with the verdict "verified", or raises.

Trusted: the `Request`, and the verifiers in it with their trust anchors. Not trusted: the
signature file, and everything below the model's path, which may change while it is read.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from validator.bundle import Bundle, Method, read_bundle
from validator.errors import MethodError, ModelError, PinError, RuleError, SignatureError
from validator.files import digest_file
from validator.limits import DEFAULT, Limits
from validator.report import ROOT_PIN, STATEMENT_PIN, Report, Verdict
from validator.statement import Statement, parse_statement
from validator.statement.signed_files import SINGLE_FILE, SignedFiles
from validator.text import quoted
from validator.tree import advice, comparison
from validator.tree.contents import read_contents
from validator.tree.digests import hashing
from validator.tree.digests.signed_ranges import SignedRanges
from validator.tree.tree import Tree, is_missing
from validator.tree.walk import Scope, list_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from validator.paths import StrPath
    from validator.signatures import ProvenSigner, Signed, Verifier
    from validator.tree.listing import Listing

GIT_PATHS: Final = (".git", ".gitattributes", ".github", ".gitignore")
"""The specification's default ignores; at the model's top level only."""


class Demand(NamedTuple):
    """What a rule of the cluster demands of the signature, beside the policy.

    Attributes:
        name: The rule's, for sentences.
        verifiers: Its accepted signers; one suffices.
        digests: Its pins, as in a `Request`.
    """

    name: str
    verifiers: tuple[Verifier, ...]
    digests: tuple[str, ...] = ()


class Request(NamedTuple):
    """A model to verify, and what is accepted.

    Attributes:
        model: Directory or file: its path, as text or as a `Path`.
        signature: The bundle's file, likewise.
        verifiers: Accepted signers; one suffices.
        ignore_paths: Paths below the model that need not be signed, relative to it.
        ignore_git_paths: Whether `GIT_PATHS` need not be signed.
        ignore_unsigned_files: Whether unsigned files may lie beside the signed ones.
        digests: Pins, of which one suffices: root digests ("sha256:" and hexadecimal) or
            digests of the signed statement (`STATEMENT_PIN` and hexadecimal); empty for any.
        also: Further demands, all of which must be met by the same signature.
        must_cover: Paths below the model that the workload opens; each must be signed.
        allow_legacy: Whether the predicate of v0.2 is accepted.
        jobs: Threads for hashing, and processes where they may be forked; as many as cores are
            granted, if absent.
        forks: Whether processes may be forked for many small files: by a program that is alone in
            its process.
        limits: On everything from outside.
    """

    model: StrPath
    signature: StrPath
    verifiers: tuple[Verifier, ...]
    ignore_paths: tuple[str, ...] = ()
    ignore_git_paths: bool = True
    ignore_unsigned_files: bool = False
    digests: tuple[str, ...] = ()
    also: tuple[Demand, ...] = ()
    must_cover: tuple[str, ...] = ()
    allow_legacy: bool = False
    jobs: int | None = None
    forks: bool = False
    limits: Limits = DEFAULT

    @property
    def ignored(self) -> frozenset[str]:
        """Paths below the model that need not be signed, Git's included."""
        return frozenset((*self.ignore_paths, *(GIT_PATHS if self.ignore_git_paths else ())))


class Accepted(NamedTuple):
    """A signed statement that an accepted signer's signature holds for: steps 1 to 7.

    Attributes:
        statement: What was signed.
        digest: SHA-256 of the signed payload, hexadecimal.
        source: SHA-256 of the signature file, hexadecimal.
        signer: Who signed.
        single: The signed file of a model that is one, under the name `SINGLE_FILE`; else None.
        hidden: Names of signed files at or below ignored paths.
    """

    statement: Statement
    digest: str
    source: str
    signer: ProvenSigner
    single: SignedFiles | None
    hidden: tuple[str, ...]

    def files(self, tree: Tree) -> SignedFiles:
        """Return the signed files, by the names that they have in a tree."""
        return self.single if tree.single is not None and self.single else self.statement.files


class Memory:
    """The findings that a verification leaves for the next one of the same request: the monitor's.

    With it, the next one does not begin with the signature, whose opening would tell others that
    the files will be read. It reads the files by the statement that it knows, and the signature
    somewhere in between.

    Attributes:
        accepted: The last statement that was accepted.
        holds: Whether that was so at the end of the last verification.
        listing: The model as it was when it was found good, or when a verification that did not
            find it good began to read; None where there was nothing to read.
    """

    def __init__(self) -> None:
        self.accepted: Accepted | None = None
        self.holds = False
        self.listing: Listing | None = None


def verify(
    request: Request,
    *,
    now: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
    memory: Memory | None = None,
) -> Report:
    """Verify one model.

    Args:
        request: The model, and what is accepted.
        now: The time at which certificates must be valid; the clock's, if absent.
        progress: Called with bytes hashed and bytes in all, from several threads.
        memory: What the last verification of the same request has left; it is brought up to date.

    Returns:
        A report with the verdict "verified".

    Raises:
        Refused: The model must not be served; the subclass tells the step.
        Undecided: The verdict could not be reached; treat it as a refusal.
    """
    now = now or datetime.now(UTC)
    memory = memory or Memory()
    try:
        return _verify(request, memory, now=now, progress=progress)
    except _SignedAnewError:
        return _verify(request, memory, now=now, progress=progress)


class _SignedAnewError(Exception):
    """The signature that was read amid the files is of another statement than the known one."""


def _verify(
    request: Request,
    memory: Memory,
    *,
    now: datetime,
    progress: Callable[[int, int], None] | None,
) -> Report:
    began = time.monotonic()
    jobs = request.jobs or hashing.default_jobs()

    # Before step 1, because it is the more helpful sentence; nothing depends on it.
    if is_missing(request.model):
        raise ModelError(f"there is no model at {quoted(request.model)}")

    # 1. to 7. The signature holds, for an accepted signer, over a statement that is accepted.
    known = memory.accepted if memory.holds else None
    memory.holds, memory.listing = False, None
    accepted = memory.accepted = known or accept(request, now=now)
    statement = accepted.statement

    with Tree.open(request.model) as tree:
        expected = accepted.files(tree)

        # 8. List the model without leaving it.
        scope = scope_of(tree, request, accepted)
        list_again = partial(
            list_files,
            tree,
            scope,
            limits=request.limits,
            cores=jobs if request.forks else 1,
        )
        listing = memory.listing = list_again()

        # 9. The files are the signed ones: names, sizes and contents; nothing has changed
        # meanwhile; and the files that the workload opens are among them. All differences
        # are collected.
        ranges = SignedRanges(expected, listing.files)
        reading = _Reading(
            ranges.bytes,
            progress=progress,
            amid=partial(_check_again, request, known, now=now) if known else None,
        )
        contents = read_contents(
            tree,
            ranges,
            listing=listing,
            list_again=list_again,
            digests=partial(
                hashing.hash_ranges,
                tree,
                hash_=statement.hash,
                jobs=jobs,
                forks=request.forks,
                progress=reading.advance,
            ),
        )
        reading.end()
        memory.holds = True
        found = comparison.compared(ranges, contents.outcomes)
        mismatches = [
            *listing.problems,
            *comparison.differing_names(
                tree, expected, listing, ignore_unsigned=request.ignore_unsigned_files
            ),
            *comparison.misfits(tree, ranges, expected, listing),
            *found.differing,
            *comparison.not_covered(request.must_cover, expected, _ignored(statement, request)),
        ]
        flaws = comparison.Flaws(
            certain=mismatches,
            unsettled=[*found.changed, *contents.changed],
            unreadable=[*listing.unreadable, *found.unreadable, *contents.restless],
        )
        flaws.raise_for_worst(
            beyond=listing.beyond + (0 if request.ignore_unsigned_files else listing.files.beyond),
            limit=request.limits.mismatches,
        )

    # 10. Report what was verified, and what the signature does not cover.
    memory.listing = contents.listing
    return Report(
        verdict=Verdict.VERIFIED,
        model=str(request.model),
        signer=accepted.signer,
        digest=statement.root_digest,
        statement_digest=accepted.digest,
        files=len(expected),
        bytes=ranges.bytes,
        hash=str(statement.hash),
        ignored=tuple(listing.ignored),
        unsigned=listing.files.others_count,
        written=len(found.written),
        notes=(
            *accepted.signer.notes,
            *_name_note(accepted, request, expected),
            *found.notes(),
        ),
        advice=advice.for_model(ranges.sizes, hash_=statement.hash, cores=jobs),
        seconds=time.monotonic() - began,
    )


def accept(request: Request, *, now: datetime) -> Accepted:
    """Return the signed statement of a model, of which no file is read for it.

    Raises:
        Refused: Steps 1 to 7 refuse it.
        Undecided: The signature file or a trust anchor cannot be read.
    """
    # 1. Read the signature file: within limits, unambiguous JSON, and a bundle.
    # 2. The bundle's signing method is an accepted one.
    # 3. The signature holds, for an accepted signer; and for one of each rule beside the policy.
    signed, source = _signed(request, now=now)
    digest = hashlib.sha256(signed.payload).hexdigest()

    # 4., 5. and 6. The payload is an OMS statement without contradictions. From here on,
    # method, hash, shards, links and ignored paths are those that the signer chose.
    statement = parse_statement(
        signed.payload,
        payload_type=signed.payload_type,
        limits=request.limits,
        allow_legacy=request.allow_legacy,
    )

    # 7. It is the pinned model; and one that each rule beside the policy pins.
    pins = (f"{ROOT_PIN}{statement.root_digest}", f"{STATEMENT_PIN}{digest}")
    _check_pins(pins, request.digests)
    for demand in request.also:
        with _of_the_rule(demand):
            _check_pins(pins, demand.digests)
    return Accepted(
        statement=statement,
        digest=digest,
        source=source,
        signer=signed.signer,
        single=statement.files.called(SINGLE_FILE) if _only_name(statement.files) else None,
        hidden=tuple(statement.files.below(_ignored(statement, request))),
    )


def scope_of(tree: Tree, request: Request, accepted: Accepted) -> Scope:
    """Return the names below a model that count.

    Args:
        tree: The open model.
        request: The policy's side.
        accepted: The signer's side.
    """
    return Scope(
        ignored=_ignored(accepted.statement, request),
        files=accepted.files(tree),
        signed=accepted.hidden,
        signature=tree.relative(request.signature),
        follow=accepted.statement.allow_symlinks,
        others_limit=0 if request.ignore_unsigned_files else request.limits.mismatches,
    )


def _signed(request: Request, *, now: datetime) -> tuple[Signed, str]:
    """Steps 1 to 3: the signed payload, and the signature file's digest."""
    bundle = read_bundle(request.signature, limits=request.limits)
    signed = _verify_signature(bundle, request.verifiers, request, now)
    for demand in request.also:
        with _of_the_rule(demand):
            _verify_signature(bundle, demand.verifiers, request, now)
    return signed, bundle.source


@contextmanager
def _of_the_rule(demand: Demand) -> Iterator[None]:
    """Say of a refusal by which rule it is."""
    try:
        yield
    except (MethodError, SignatureError, PinError) as error:
        raise RuleError(
            f"the policy accepts the signature, and the {demand.name} does not: {error}"
        ) from error


def _check_pins(pins: tuple[str, str], demanded: tuple[str, ...]) -> None:
    """Step 7: one of both digests is demanded, if any are."""
    if demanded and not set(pins) & set(demanded):
        raise PinError(
            f"the model is signed, but it is not the pinned one: its digest is {pins[0]} (or "
            f"{pins[1]}), and {' or '.join(demanded)} is demanded"
        )


def _check_again(request: Request, known: Accepted, *, now: datetime) -> None:
    """Steps 1 to 3, amid the files: the signature still holds, and over the known statement."""
    limit = request.limits.bundle_bytes
    # Certificates are judged by today's date; nothing else of the same file can have changed.
    if known.signer.method is not Method.CERTIFICATE and known.source == digest_file(
        request.signature, limit=limit
    ):
        return
    signed, _ = _signed(request, now=now)
    if hashlib.sha256(signed.payload).hexdigest() != known.digest:
        raise _SignedAnewError


_BY: Final = {
    Method.KEY: "with a key",
    Method.CERTIFICATE: "with a certificate",
    Method.SIGSTORE: "keylessly (sigstore)",
}
"""Each signing method, for a sentence."""


def _fitting_verifiers(bundle: Bundle, verifiers: tuple[Verifier, ...]) -> list[Verifier]:
    """Step 2: the accepted signers that sign by the bundle's method."""
    fitting = [verifier for verifier in verifiers if verifier.method is bundle.method]
    if not fitting:
        methods = " or ".join(sorted({_BY[verifier.method] for verifier in verifiers}))
        accepted = f"the accepted signers sign {methods}" if methods else "no signer is accepted"
        raise MethodError(f"the model was signed {_BY[bundle.method]}, and {accepted}")
    return fitting


def _verify_signature(
    bundle: Bundle, verifiers: tuple[Verifier, ...], request: Request, now: datetime
) -> Signed:
    """Steps 2 and 3: one accepted signer suffices."""
    refusals: list[SignatureError] = []
    for verifier in _fitting_verifiers(bundle, verifiers):
        try:
            return verifier.verify(bundle, now=now, allow_legacy=request.allow_legacy)
        except SignatureError as error:
            refusals.append(error)
    if len(refusals) == 1:
        raise refusals[0]
    raise SignatureError(
        f"none of the {len(refusals)} accepted signers signed this model: "
        f"{'; '.join(map(str, refusals))}"
    )


def _ignored(statement: Statement, request: Request) -> frozenset[str]:
    """Step 5: the signer's ignored paths, and those that the policy adds."""
    return request.ignored.union(statement.ignore_paths)


def _only_name(files: SignedFiles) -> str | None:
    """Step 6: the file name of a model that is one file (OMS 6.1.2 (5)), if it can be one.

    The reference says `SINGLE_FILE` instead. Which file is meant, the request says by its
    path, so a copy of another name is the same model.
    """
    name = files.name(0)
    return name if len(files) == 1 and "/" not in name and name != SINGLE_FILE else None


def _name_note(accepted: Accepted, request: Request, expected: SignedFiles) -> Iterator[str]:
    """Step 10: a single file may have been signed under another name."""
    if expected is accepted.single:
        name = accepted.statement.files.name(0)
        if name != os.path.basename(request.model):  # noqa: PTH119 — it may be text
            yield f"the file was signed under the name {quoted(name)}"


class _Reading:
    """Step 9: how far reading is, and what is done somewhere amid it.

    Args:
        total: Bytes to read.
        progress: Called with bytes read and bytes in all.
        amid: Called once, after a number of bytes that nobody can foresee.
    """

    def __init__(
        self,
        total: int,
        *,
        progress: Callable[[int, int], None] | None,
        amid: Callable[[], None] | None,
    ) -> None:
        self._total = total
        self._progress = progress
        self._amid = amid
        self._place = int.from_bytes(os.urandom(8)) % (total + 1)
        self._done = 0
        self._lock = threading.Lock()

    def advance(self, count: int) -> None:
        """Take note of bytes that were read, in any thread."""
        with self._lock:
            self._done += count
            amid = self._take() if self._done >= self._place else None
        if amid:
            amid()
        if self._progress:  # more than all, where files are read again
            self._progress(self._done, max(self._total, self._done))

    def end(self) -> None:
        """Do now what was not done yet: there was less to read than it seemed."""
        if amid := self._take():
            amid()

    def _take(self) -> Callable[[], None] | None:
        amid, self._amid = self._amid, None
        return amid
