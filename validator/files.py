"""Files and JSON from outside, read within limits and in one way only.

Belongs here: what is read whole into memory (bundles, trust anchors, policies). A model's
files are `validator.tree`'s.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from typing import TYPE_CHECKING, Any, Final

from validator.errors import BundleError, PolicyError, Undecided
from validator.limits import DEFAULT
from validator.text import quoted, unreadable

if TYPE_CHECKING:
    from validator.paths import StrPath


_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Not blocking: a FIFO without a writer would hold the gate for ever."""

_BLOCK_BYTES: Final = 1024 * 1024

_SHOWN: Final = 20
"""Characters that a sentence repeats of what is no JSON."""


def read_file(path: StrPath, *, limit: int, what: str) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    Raises:
        BundleError: There is no such file, it is not a regular one, or too large.
        Undecided: It cannot be read.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.ELOOP}:
            raise BundleError(
                f"there is no {what} at {quoted(path)}: {os.strerror(error.errno).lower()}"
            ) from error
        raise Undecided(unreadable(f"the {what} {quoted(path)}", error)) from error
    except ValueError as error:
        raise BundleError(f"{quoted(path)} is not a file's name") from error
    try:
        # Asked before `open`, which takes no directory's descriptor.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BundleError(f"the {what} {quoted(path)} is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content: bytes | None = file.read(limit + 1)
        if content is None:  # a file of the kernel's whose content is not there yet
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    except OSError as error:
        raise Undecided(unreadable(f"the {what} {quoted(path)}", error)) from error
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise BundleError(f"the {what} {quoted(path)} is larger than {limit:,} bytes")
    return content


def digest_file(path: StrPath, *, limit: int) -> str | None:
    """Return the SHA-256 of a regular file of at most `limit` bytes, hexadecimal; None, if none."""
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
                return None
            digest = hashlib.sha256()
            while content := os.read(descriptor, _BLOCK_BYTES):
                digest.update(content)
            return digest.hexdigest()
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return None


def read_anchor(path: StrPath, *, what: str) -> bytes:
    """Return the content of a file that the person who asks has named: a trust anchor, a policy.

    Raises:
        PolicyError: There is none, it is too large, or no regular file.
        Undecided: It cannot be read.
    """
    try:
        return read_file(path, limit=DEFAULT.anchor_bytes, what=what)
    except BundleError as error:
        raise PolicyError(str(error)) from error


_OTHER_FORMS: Final = {
    b"\x1f\x8b": "it is compressed by gzip: unpack it",
    b"\xef\xbb\xbf": "it begins with a byte order mark: save it without one",
    b"version https://git-lfs.": "it is a Git LFS pointer, not the content: run `git lfs pull`",
    b"<": "it looks like a web page: fetch it again",
}
"""The first bytes of what stands in the place of JSON now and then, and what to do about it."""


def load_json(text: bytes, *, what: str, depth: int, values: int) -> Any:
    """Decode JSON as a verifier must: one reading only.

    Duplicate keys, NaN, and text that is not UTF-8 are refused, since two
    readers could read them differently.

    Raises:
        BundleError: It is not such JSON, nested deeper than `depth`, or has more than `values`
            values. Each takes memory: 63 MiB of empty lists would become 1.8 GiB.
    """
    for start, flaw in _OTHER_FORMS.items():
        if text.startswith(start):
            raise BundleError(f"the {what} is not JSON: {flaw}")
    check_values(text, what=what, values=values)
    try:
        document = json.loads(text.decode(), object_pairs_hook=unique, parse_constant=no_constant)
    except UnicodeDecodeError as error:
        raise BundleError(f"the {what} is not JSON: byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise broken(what, error.doc[error.pos :]) from error
    except RecursionError as error:
        raise too_deep(what, depth) from error  # Python's own limit differs by its version
    except AmbiguousError as ambiguous:
        raise BundleError(f"the {what} is not JSON that is accepted: {ambiguous}") from ambiguous
    except ValueError as error:
        raise BundleError(
            f"the {what} is not JSON that is accepted: a number in it has too many digits"
        ) from error
    check_depth(document, what=what, depth=depth)
    return document


def broken(what: str, rest: str) -> BundleError:
    """Return the refusal of text that is no longer JSON where `rest` begins."""
    flaw = f"it goes wrong at {quoted(rest[:_SHOWN])}" if rest else "it ends too early"
    return BundleError(f"the {what} is not JSON: {flaw}")


def check_values(text: bytes, *, what: str, values: int) -> None:
    """Refuse JSON of too many values, before any of them is made.

    Raises:
        BundleError: It has more than `values`. Some may be in strings, which is fine.
    """
    # Each value but the first stands after one of these.
    if sum(text.count(sign) for sign in (b",", b"[", b"{")) > values:
        raise BundleError(f"the {what} has more than {values:,} values")


class AmbiguousError(ValueError):
    """Two readers could read it differently; its text is a part of our sentence."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's fields, of which each stands once."""
    result = dict(pairs)
    if len(result) < len(pairs):
        seen = set()
        for name, _ in pairs:
            if name in seen:
                raise AmbiguousError(f"the key {quoted(name)} stands twice")
            seen.add(name)
    return result


def no_constant(name: str) -> None:
    """Refuse NaN and the infinities."""
    raise AmbiguousError(f"{name} is not a JSON number")


def check_depth(*documents: object, what: str, depth: int) -> None:
    """Refuse JSON that is nested too deeply.

    Raises:
        BundleError: One of the documents is nested deeper than `depth` levels.
    """
    level = [*documents]
    for _ in range(depth):
        level = [
            child
            for parent in level
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise too_deep(what, depth)


def too_deep(what: str, depth: int) -> BundleError:
    """Return the refusal of JSON that is nested deeper than some levels."""
    return BundleError(f"the {what} is nested deeper than {depth} levels")
