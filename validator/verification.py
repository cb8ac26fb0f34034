"""Is this model the one that an accepted signer signed? The function to review.

`verify` is the whole decision. It runs the ten steps of docs/verification.md in their
order; each raises an error of its own class, and no later step checks the same again. It
either returns a report with the verdict "verified", or raises.

Trusted: the `Request`, and the verifiers in it with their trust anchors. Not trusted: the
signature file, and everything below the model's path, which may change while it is read.
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from validator.bundle import Bundle, Method, read_bundle
from validator.errors import MethodError, ModelError, PinError, SignatureError, Undecided
from validator.limits import DEFAULT, Limits
from validator.report import ROOT_PIN, STATEMENT_PIN, Report, Verdict
from validator.signed_files import SINGLE_FILE, Hash
from validator.statement import (
    Resource,
    Statement,
    parse_statement,
)
from validator.text import quoted
from validator.tree import hashing, leftovers, lfs
from validator.tree.contents import read_contents
from validator.tree.tree import Tree, is_missing
from validator.tree.walk import Scope, is_below, list_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from validator.signatures import Signed, Verifier
    from validator.tree.walk import Listing

_POINTER: Final = ": it is a Git LFS pointer in place of the content; run `git lfs pull`"

GIT_PATHS: Final = (".git", ".gitattributes", ".github", ".gitignore")
"""The specification's default ignores; at the model's top level only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A model to verify, and what is accepted.

    Attributes:
        model: Directory or file.
        signature: The bundle's file.
        verifiers: Accepted signers; one suffices.
        ignore_paths: Paths below the model that need not be signed, relative to it.
        ignore_git_paths: Whether `GIT_PATHS` need not be signed.
        ignore_unsigned_files: Whether unsigned files may lie beside the signed ones.
        digests: Pins, of which one suffices: root digests ("sha256:" and hexadecimal) or
            digests of the signed statement (`STATEMENT_PIN` and hexadecimal); empty for any.
        must_cover: Paths below the model that the workload opens; each must be signed.
        allow_legacy: Whether the predicate of v0.2 is accepted.
        jobs: Threads for hashing.
        limits: On everything from outside.
    """

    model: Path
    signature: Path
    verifiers: tuple[Verifier, ...]
    ignore_paths: tuple[str, ...] = ()
    ignore_git_paths: bool = True
    ignore_unsigned_files: bool = False
    digests: tuple[str, ...] = ()
    must_cover: tuple[str, ...] = ()
    allow_legacy: bool = False
    jobs: int = field(default_factory=hashing.default_jobs)
    limits: Limits = DEFAULT


def verify(
    request: Request,
    *,
    now: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Verify one model.

    Args:
        request: The model, and what is accepted.
        now: The time at which certificates must be valid; the clock's, if absent.
        progress: Called with bytes hashed and bytes in all, from several threads.

    Returns:
        A report with the verdict "verified".

    Raises:
        Refused: The model must not be served; the subclass tells the step.
        Undecided: The verdict could not be reached; treat it as a refusal.
    """
    began = time.monotonic()
    now = now or datetime.now(UTC)

    # Before step 1, because it is the more helpful sentence; nothing depends on it.
    if is_missing(request.model):
        raise ModelError(f"there is no model at {quoted(request.model)}")

    # 1. Read the signature file: within limits, unambiguous JSON, and a bundle.
    bundle = read_bundle(request.signature, limits=request.limits)

    # 2. The bundle's signing method is an accepted one.
    fitting = _fitting_verifiers(bundle, request)

    # 3. The signature holds, for an accepted signer.
    signed = _verify_signature(bundle, fitting, request, now)

    # 4., 5. and 6. The payload is an OMS statement without contradictions. From here on,
    # method, hash, shards, links and ignored paths are those that the signer chose.
    statement = parse_statement(
        signed.payload,
        payload_type=signed.payload_type,
        limits=request.limits,
        allow_legacy=request.allow_legacy,
    )

    # 7. It is the pinned model.
    statement_digest = hashlib.sha256(signed.payload).hexdigest()
    pins = (f"{ROOT_PIN}{statement.root_digest}", f"{STATEMENT_PIN}{statement_digest}")
    if request.digests and not set(pins) & set(request.digests):
        raise PinError(
            f"the model is signed, but it is not the pinned one: its digest is {pins[0]} (or "
            f"{pins[1]}), and {' or '.join(request.digests)} is demanded"
        )

    expected = _by_file(statement)
    with Tree.open(request.model) as tree:
        notes = signed.signer.notes
        if tree.single is not None and (name := _only_name(expected)):
            expected = {SINGLE_FILE: expected[name]}
            if name != request.model.name:
                notes = (*notes, f"the file was signed under the name {quoted(name)}")

        # 8. List the model without leaving it.
        scope = Scope(
            ignored=_ignored(statement, request),
            signed=expected.keys(),
            signature=tree.relative(request.signature),
            follow=statement.allow_symlinks,
        )
        listing = list_files(tree, scope, limits=request.limits)

        # 9. The files are the signed ones: names, sizes and contents; nothing has changed
        # meanwhile; and the files that the workload opens are among them. All differences
        # are collected.
        pointers = {
            entry.name
            for entry in lfs.pointers(
                tree, [listing.files[name] for name in expected if name in listing.files]
            )
        }
        parts, sizes = _parts(expected, listing, pointers)
        signed_files = [listing.files[name] for name in expected if name in listing.files]
        pointers = {entry.name for entry in lfs.pointers(tree, signed_files)}
        contents = read_contents(
            tree,
            [part for _, part in parts],
            listing=listing,
            list_again=lambda: list_files(tree, scope, limits=request.limits),
            digests=_digests(tree, parts, statement.hash, request.jobs, progress),
        )
        differing, unreadable = _compared(parts, contents.outcomes, pointers)
        mismatches = [
            *listing.problems,
            *_differing_names(tree, expected, listing, request),
            *sizes,
            *differing,
            *contents.changed,
            *_not_covered(request.must_cover, expected, _ignored(statement, request)),
        ]
        _raise_for(mismatches, [*listing.unreadable, *unreadable, *contents.restless], request)

    # 10. Report what was verified, and what the signature does not cover.
    return Report(
        verdict=Verdict.VERIFIED,
        model=str(request.model),
        signer=signed.signer,
        digest=statement.root_digest,
        statement_digest=statement_digest,
        files=len(expected),
        bytes=sum(part.size for _, part in parts),
        hash=str(statement.hash),
        ignored=tuple(listing.ignored),
        unsigned=len(listing.files.keys() - expected.keys()),
        notes=(*notes, *_pointer_notes(pointers)),
        seconds=time.monotonic() - began,
    )


_BY: Final = {
    Method.KEY: "with a key",
    Method.CERTIFICATE: "with a certificate",
    Method.SIGSTORE: "keylessly (sigstore)",
}
"""Each signing method, for a sentence."""


def _fitting_verifiers(bundle: Bundle, request: Request) -> list[Verifier]:
    """Step 2: the accepted signers that sign by the bundle's method."""
    fitting = [verifier for verifier in request.verifiers if verifier.method is bundle.method]
    if not fitting:
        accepted = sorted({_BY[verifier.method] for verifier in request.verifiers})
        raise MethodError(
            f"the model was signed {_BY[bundle.method]}, and only signatures "
            f"{' or '.join(accepted) or 'of nobody'} are accepted"
        )
    return fitting


def _verify_signature(
    bundle: Bundle, fitting: list[Verifier], request: Request, now: datetime
) -> Signed:
    """Step 3: one accepted signer suffices."""
    refusals: list[SignatureError] = []
    for verifier in fitting:
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
    git = GIT_PATHS if request.ignore_git_paths else ()
    return frozenset((*statement.ignore_paths, *request.ignore_paths, *git))


def _by_file(statement: Statement) -> dict[str, list[Resource]]:
    files: dict[str, list[Resource]] = {}
    for resource in statement.resources:
        files.setdefault(resource.name, []).append(resource)
    return files


def _only_name(expected: Mapping[str, list[Resource]]) -> str | None:
    """Step 6: the file name of a model that is one file (OMS 6.1.2 (5)), if it can be one.

    The reference says `SINGLE_FILE` instead. Which file is meant, the request says by its
    path, so a copy of another name is the same model.
    """
    names = [name for name in expected if "/" not in name and name != SINGLE_FILE]
    return names[0] if len(expected) == 1 and names else None


def _differing_names(
    tree: Tree, expected: Mapping[str, list[Resource]], listing: Listing, request: Request
) -> list[str]:
    """Step 9: every signed file is there, and every file is signed."""
    if (tree.single is not None) != (SINGLE_FILE in expected):
        kinds = ("a directory", "a single file")
        found, signed = kinds[tree.single is not None], kinds[SINGLE_FILE in expected]
        return [f"the model is {found}, and {signed} was signed"]
    missing = [
        f"{quoted(name)} is signed and missing"
        for name in sorted(expected.keys() - listing.files.keys())
        if not listing.is_closed(name)
    ]
    if request.ignore_unsigned_files:
        return missing
    extra = sorted(listing.files.keys() - expected.keys())
    return missing + [f"{quoted(name)} is not signed{leftovers.explained(name)}" for name in extra]


def _parts(
    expected: Mapping[str, list[Resource]], listing: Listing, pointers: Collection[str]
) -> tuple[list[tuple[Resource, hashing.Range]], list[str]]:
    """Step 9: the ranges to hash, and the files whose size is not the signed shards' size."""
    parts: list[tuple[Resource, hashing.Range]] = []
    mismatches = []
    for name, resources in expected.items():
        entry = listing.files.get(name)
        if entry is None:
            continue
        size = entry.identity.size
        ends = [part.end for part in resources if part.end is not None]
        if ends and (signed_size := max(ends)) != size:
            # Without this, bytes appended after the last shard would go unnoticed.
            mismatches.append(
                f"{quoted(name)} has {size:,} bytes, and {signed_size:,} were signed"
                + (_POINTER if name in pointers else "")
            )
            continue
        for part in resources:
            end = size if part.end is None else part.end
            parts.append((part, hashing.Range(entry, part.start, end)))
    return parts, mismatches


def _digests(
    tree: Tree,
    parts: list[tuple[Resource, hashing.Range]],
    hash_: Hash,
    jobs: int,
    progress: Callable[[int, int], None] | None,
) -> Callable[[Sequence[hashing.Range]], list[hashing.Outcome]]:
    """Step 9: return what hashes some ranges and says how far it is in all."""
    total = sum(part.size for _, part in parts)
    done = 0
    lock = threading.Lock()

    def advance(count: int) -> None:
        nonlocal done
        if progress:
            with lock:
                done += count
            progress(done, max(total, done))  # more than all, where files are read again

    return partial(hashing.hash_ranges, tree, hash_=hash_, jobs=jobs, progress=advance)


def _compared(
    parts: list[tuple[Resource, hashing.Range]],
    outcomes: list[hashing.Outcome],
    pointers: Collection[str],
) -> tuple[list[str], list[str]]:
    """Step 9: return sentences on differing files, and on unreadable ones."""
    # Dictionaries, since a file of many shards is one mismatch.
    mismatches: dict[str, None] = {}
    unreadable: dict[str, None] = {}
    for (resource, _), outcome in zip(parts, outcomes, strict=True):
        if outcome.unreadable:
            unreadable[outcome.unreadable] = None
        elif outcome.changed:
            mismatches[outcome.changed] = None
        elif outcome.digest != resource.digest:
            more = _POINTER if resource.name in pointers else ""
            name = quoted(resource.name)
            mismatches[f"{name} is not the signed file: its content differs{more}"] = None
    return list(mismatches), list(unreadable)


def _pointer_notes(pointers: Collection[str]) -> Iterator[str]:
    """Step 10: the signer may have signed pointers by mistake."""
    if pointers:
        more = f" and {len(pointers) - 1:,} more signed files" if len(pointers) > 1 else ""
        are, they = (
            ("are Git LFS pointers", "they stand")
            if more
            else ("is a Git LFS pointer", "it stands")
        )
        yield f"{quoted(min(pointers))}{more} {are}: what {they} for was not signed"


def _not_covered(
    paths: Iterable[str], expected: Mapping[str, list[Resource]], ignored: frozenset[str]
) -> list[str]:
    """Step 9: every path that the workload opens is signed, a directory by the files in it.

    An ignored directory is not covered: unsigned files may lie beside the signed ones in it.
    """
    return [
        f"the workload opens {quoted(path)}, which the signature does not cover"
        for path in paths
        if path not in expected
        and path != SINGLE_FILE
        and (is_below(path, ignored) or not any(name.startswith(f"{path}/") for name in expected))
    ]


def _raise_for(mismatches: list[str], unreadable: list[str], request: Request) -> None:
    if mismatches:
        first, *others = dict.fromkeys(mismatches)
        more = f" (and {len(others):,} more)" if others else ""
        raise ModelError(
            f"the model is not the signed one: {first}{more}",
            tuple([first, *others, *unreadable][: request.limits.mismatches]),
        )
    if unreadable:
        first, *others = unreadable
        more = f" (and {len(others):,} more)" if others else ""
        raise Undecided(f"the model cannot be verified: {first}{more}")
