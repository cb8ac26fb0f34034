"""The statement itself: a payload becomes values without contradictions, or is refused.

Nothing here touches the model.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from validator.errors import BundleError, StatementError
from validator.files import check_values
from validator.statement import plain_run
from validator.statement.json_stream import Listed, entries, outline
from validator.statement.plain_run import Run
from validator.statement.signed_files import (
    SINGLE_FILE,
    GapError,
    Hash,
    RepeatedError,
    Shards,
    SignedFiles,
    whole,
)
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from validator.limits import Limits
    from validator.statement.plain_run import Cut

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
LEGACY_PREDICATE_TYPE: Final = "https://model_signing/Digests/v0.1"

_SHARD: Final = r"(?s:(?P<name>.+)):(?P<start>0|[1-9][0-9]{0,18}):(?P<end>0|[1-9][0-9]{0,18})"

DIGEST_BYTES: Final = {Hash.SHA256: 32, Hash.BLAKE2B: 64, Hash.BLAKE3: 32}


class Resource(NamedTuple):
    """A signed file, or a shard of one.

    Attributes:
        name: Path below the model's root, or `SINGLE_FILE`.
        digest: Hexadecimal, lower-case.
        start: First byte.
        end: The byte after the last one; None for "to the file's end".
    """

    name: str
    digest: str
    start: int = 0
    end: int | None = None


class Statement(NamedTuple):
    """A model as its signer describes it.

    Attributes:
        model_name: The signer's name for it; information only.
        root_digest: SHA-256 over the resources' digests, hexadecimal.
        files: The signed files.
        hash: Of all resources.
        shard_size: Bytes of a shard; None where whole files were hashed.
        allow_symlinks: Whether a link stands for its target's content.
        ignore_paths: Paths that the signer left out, relative to the model.
        legacy: Whether it is of the older predicate, which says less.
    """

    model_name: str
    root_digest: str
    files: SignedFiles
    hash: Hash = Hash.SHA256
    shard_size: int | None = None
    allow_symlinks: bool = False
    ignore_paths: tuple[str, ...] = ()
    legacy: bool = False

    @property
    def is_single_file(self) -> bool:
        """Whether the model is a file and not a directory."""
        return SINGLE_FILE in self.files

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The signed files or shards, file after file; some hundred bytes each are made anew."""
        return tuple(
            Resource(
                self.files.name(number),
                part.digest.hex(),
                part.start,
                part.end if self.shard_size else None,
            )
            for number in range(len(self.files))
            for place in range(self.files.count(number))
            for part in (self.files.part(number, place, size=0),)
        )


_SUBJECTS: Final = ("subject",)
_RESOURCES: Final = ("predicate", "resources")
"""The lists of a statement that have an entry for each file."""


def parse_statement(
    payload: bytes, *, payload_type: str, limits: Limits, allow_legacy: bool
) -> Statement:
    """Return the statement in a signed payload, checked for contradictions.

    Raises:
        StatementError: It is not an in-toto v1 statement of the OMS predicate,
            or contradicts itself, or names what no model may contain.
    """
    # Step 4: the statement.
    if payload_type != PAYLOAD_TYPE:
        raise StatementError(
            f"the signed payload is of type {quoted(payload_type)}, and {PAYLOAD_TYPE} is expected"
        )
    document, cut = _outline(payload, limits)
    if not isinstance(document, dict) or document.get("_type") != STATEMENT_TYPE:
        raise StatementError(f"the signed payload is not an in-toto statement ({STATEMENT_TYPE})")
    subjects = document.get("subject")
    if not isinstance(subjects, Listed):
        raise StatementError("the signed statement has no list of subjects")
    predicate_type = document.get("predicateType")
    if predicate_type == LEGACY_PREDICATE_TYPE and allow_legacy:
        return _legacy(payload, subjects, limits=limits)
    if predicate_type != PREDICATE_TYPE:
        hint = (
            "; it is the predicate of releases before 1.0, which says less: sign again, or "
            "accept it with --allow-legacy"
            if predicate_type == LEGACY_PREDICATE_TYPE
            else ""
        )
        raise StatementError(
            f"the signed statement's predicate is {quoted(predicate_type)}, and "
            f"{PREDICATE_TYPE} is expected{hint}"
        )
    subject = subjects.first
    if subjects.length != 1:
        raise StatementError(
            f"the signed statement has {subjects.length:,} subjects, and exactly one is expected"
        )
    if not isinstance(subject, dict):
        raise StatementError("the signed statement's subject is not an object")
    predicate = document.get("predicate")
    if not isinstance(predicate, dict):
        raise StatementError("the signed statement has no predicate")
    _check_fields(predicate, _PREDICATE_FIELDS, "predicate")

    # Step 5: the serialization of the model.
    hash_, shard_size, allow_symlinks, ignore_paths = _serialization(predicate)

    # Step 6: the resources' names and digests, and the digest over all of them.
    _check_count(predicate.get("resources"), limits)
    run, others = _listed(payload, None if shard_size else cut, hash_, limits)
    files, root = _files(others, hash_, shard_size, limits, run=run)
    root_digest = _subject_digest(subject).hex()
    if root != root_digest:
        raise StatementError(
            "the signed statement contradicts itself: its resources do not add up to its "
            "subject's digest"
        )
    return Statement(
        model_name=str(subject.get("name") or ""),
        root_digest=root_digest,
        files=files,
        hash=hash_,
        shard_size=shard_size,
        allow_symlinks=allow_symlinks,
        ignore_paths=ignore_paths,
    )


_WHAT: Final = "signed statement"


def _outline(payload: bytes, limits: Limits) -> tuple[Any, Cut | None]:
    """Return the document without the entries of its two long lists, and those that are alike."""
    values = limits.bundle_values + len(payload) // limits.bytes_per_value
    try:
        check_values(payload, what=_WHAT, values=values)
    except BundleError as error:
        raise StatementError(str(error)) from error
    if cut := plain_run.cut(payload, name_bytes=limits.name_bytes):
        # Whatever is wrong with the rest is found again, and said, where nothing was cut out.
        with contextlib.suppress(StatementError):
            document = _outlined(cut.rest, limits)
            listed = _resources(document)
            if listed and listed.first == cut.mark:
                length = listed.length - 1 + len(cut.run.names)
                document["predicate"]["resources"] = Listed(length)
                return document, cut
    return _outlined(payload, limits), None


def _outlined(payload: bytes, limits: Limits) -> Any:
    try:
        return outline(
            payload, lists=(_SUBJECTS, _RESOURCES), what=_WHAT, depth=limits.bundle_depth
        )
    except BundleError as error:
        raise StatementError(str(error)) from error


def _resources(document: object) -> Listed | None:
    """Return the list of resources of a document of any form."""
    predicate = document.get("predicate") if isinstance(document, dict) else None
    listed = predicate.get("resources") if isinstance(predicate, dict) else None
    return listed if isinstance(listed, Listed) else None


def _listed(
    payload: bytes, cut: Cut | None, hash_: Hash, limits: Limits
) -> tuple[Run, Iterator[Any]]:
    """Return the resources: the first ones, of which the form is known, and all others."""
    if cut is None or not cut.run.fits(hash_.value, width=DIGEST_BYTES[hash_]):
        run, rest = Run([], b"", hash_.value), payload
    else:
        run, rest = cut.run, cut.rest
    others = entries(rest, _RESOURCES, what=_WHAT, depth=limits.bundle_depth)
    if run.names:
        next(others)  # the mark
    return run, others


def _legacy(payload: bytes, subjects: Listed, *, limits: Limits) -> Statement:
    """Read the predicate of v0.2: its subjects are the files, hashed whole by SHA-256."""
    _check_count(subjects, limits)
    listed = entries(payload, _SUBJECTS, what=_WHAT, depth=limits.bundle_depth)
    items = (_of_subject(item) for item in listed)
    files, root = _files(items, Hash.SHA256, None, limits, run=Run([], b"", "sha256"))
    return Statement(model_name="", root_digest=root, files=files, legacy=True)


def _of_subject(item: object) -> Mapping[str, Any]:
    if not isinstance(item, dict):
        raise StatementError("the signed statement has no list of subjects")
    digest = _subject_digest(item).hex()
    return {"name": item.get("name"), "algorithm": "sha256", "digest": digest}


def _subject_digest(subject: Mapping[str, Any]) -> bytes:
    digest = subject.get("digest")
    value = digest.get("sha256") if isinstance(digest, dict) else None
    return _digest(value, Hash.SHA256, "the signed statement's subject")


def _digest(value: object, hash_: Hash, *where: str) -> bytes:
    try:
        digest = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        digest = b""
    # `fromhex` also takes capital letters, and spaces between the bytes.
    if len(digest) != DIGEST_BYTES[hash_] or digest.hex() != value:
        place = " ".join((where[0], *map(quoted, where[1:])))
        raise StatementError(
            f"{place} has no {hash_} digest of {2 * DIGEST_BYTES[hash_]} lower-case hexadecimal "
            "digits"
        )
    return digest


_PREDICATE_FIELDS: Final = ("resources", "serialization")
_SERIALIZATION_FIELDS: Final = (
    *("method", "hash_type", "shard_size", "allow_symlinks", "ignore_paths"),
)
"""All that the predicate's schema allows; in resources, further fields are ignored (5.2.1)."""

_GLOB: Final = frozenset("*?[")
"""Characters that no ignored path may have (OMS 6.2.1)."""


def _check_fields(document: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for name in document:
        if name not in known:
            raise StatementError(
                f"the signed statement's {place} has a field {quoted(name)} that the "
                "specification does not know"
            )


def _serialization(
    predicate: Mapping[str, Any],
) -> tuple[Hash, int | None, bool, tuple[str, ...]]:
    serialization = predicate.get("serialization")
    if not isinstance(serialization, dict):
        raise StatementError("the signed statement does not say how the model was serialized")
    _check_fields(serialization, _SERIALIZATION_FIELDS, "serialization")
    try:
        hash_ = Hash(str(serialization.get("hash_type")))
    except ValueError as error:
        raise StatementError(
            f"the signed statement uses the hash {quoted(serialization.get('hash_type'))}, and "
            f"{', '.join(Hash)} are known"
        ) from error
    match serialization.get("method"):
        case "files" if "shard_size" in serialization:
            raise StatementError(
                "the signed statement contradicts itself: it says shard_size, and that whole "
                "files were hashed"
            )
        case "files":
            shard_size = None
        case "shards":
            shard_size = _shard_size(serialization.get("shard_size"))
        case other:
            raise StatementError(
                f"the signed statement uses the serialization method {quoted(other)}, and files "
                "and shards are known"
            )
    links = serialization.get("allow_symlinks")
    if not isinstance(links, bool):
        raise StatementError("the signed statement's allow_symlinks is neither true nor false")
    ignored = serialization.get("ignore_paths", [])
    if not isinstance(ignored, list) or not all(isinstance(path, str) for path in ignored):
        raise StatementError("the signed statement's ignore_paths are not a list of paths")
    for path in ignored:
        _check_name(path, limit=None, said="ignores")
        if not _GLOB.isdisjoint(path):
            raise StatementError(
                f"the signed statement ignores {quoted(path)}: an ignored path is exact, and has "
                "no *, ? or ["
            )
    return hash_, shard_size, links, tuple(sorted(set(ignored)))


def _shard_size(value: object) -> int:
    # The reference writes a float (1073741824.0), the specification an integer.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise StatementError(f"the signed statement's shard_size is {quoted(value)}, not a size")
    return value


def _check_count(listed: object, limits: Limits) -> None:
    if not isinstance(listed, Listed) or not listed.length:
        raise StatementError("the signed statement lists no resources: an empty model is refused")
    if listed.length > limits.resources:
        raise StatementError(
            f"the signed statement lists {listed.length:,} resources, and {limits.resources:,} are "
            "accepted"
        )


def _files(
    listed: Iterable[object],
    hash_: Hash,
    shard_size: int | None,
    limits: Limits,
    *,
    run: Run,
) -> tuple[SignedFiles, str]:
    """Return the signed files, and the digest over all digests in the signed order.

    Args:
        listed: The resources after the run.
        hash_: By which all are hashed.
        shard_size: Bytes of a shard; None where whole files were hashed.
        limits: Of names.
        run: The first resources, of which the form is known.
    """
    accepted = [hash_.value]
    if shard_size:  # the reference's own spelling
        accepted.append(f"{hash_}-sharded-{shard_size}")
    digests = bytearray(run.digests)
    names = run.names
    shards = Shards()
    for item in listed:
        name, start, end, digest = _resource(item, hash_, accepted, shard_size, limits)
        digests += digest
        if shard_size:
            shards.add(name, start, end)
        else:
            names.append(name)
    root = hashlib.sha256(digests).hexdigest()
    width = DIGEST_BYTES[hash_]
    try:
        if shard_size:
            files = shards.files(bytes(digests), width=width, shard_size=shard_size)
        else:
            files = whole(names, bytes(digests), width=width)
    except RepeatedError as error:
        raise StatementError(f"the signed statement names {quoted(error)} twice") from error
    except GapError as error:
        raise StatementError(
            f"the signed shards of {quoted(error)} do not add up to a file in shards of "
            f"{shard_size:,} bytes"
        ) from error
    if SINGLE_FILE in files and len(files) > 1:
        raise StatementError("the signed statement names '.' (a single file) beside other files")
    return files, root


def _resource(
    item: object, hash_: Hash, accepted: Sequence[str], shard_size: int | None, limits: Limits
) -> tuple[bytes, int, int, bytes]:
    """Return a resource's name, start and end, and digest."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise StatementError("the signed statement lists a resource without a name")
    name, start, end = item["name"], 0, 0
    if shard_size:
        match = re.fullmatch(_SHARD, name)
        if not match:
            raise StatementError(f"the signed shard {quoted(name)} is not named as path:start:end")
        name, start, end = match["name"], int(match["start"]), int(match["end"])
    if name != SINGLE_FILE:
        _check_name(name, limit=limits.name_bytes)
    if item.get("algorithm") not in accepted:
        raise StatementError(
            f"the signed resource {quoted(name)} is hashed by {quoted(item.get('algorithm'))}, "
            f"and the statement says {hash_}"
        )
    digest = _digest(item.get("digest"), hash_, "the signed resource", name)
    return name.encode(), start, end, digest


def _check_name(name: str, *, limit: int | None, said: str = "names") -> None:
    """Refuse a name that is not a plain relative path in UTF-8.

    Empty and "." segments are refused with "..": one file must have one name.
    """
    reason = None
    segments = name.split("/")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        reason = "it is not valid UTF-8"
    else:
        if limit is not None and size > limit:
            reason = f"it is longer than {limit:,} bytes"
        elif not name:
            reason = "it is empty"
        elif "\0" in name:
            reason = "it contains a NUL"
        elif name.startswith("/"):
            reason = "it is absolute"
        elif ".." in segments:
            reason = "it leads out of the model"
        elif "" in segments or "." in segments:
            reason = "it is not in its shortest form"
    if reason:
        raise StatementError(f"the signed statement {said} {quoted(name)}, and {reason}")
