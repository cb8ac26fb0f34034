"""The validator's errors, split by who is at fault.

    ValidatorError
    ├── PolicyError            the policy or the command line is wrong     exit 2
    ├── Refused                the model must not be served                exit 1
    │   ├── BundleError        step 1: the bundle cannot be read as one
    │   ├── MethodError        step 2: signed by another method than the policy's
    │   ├── SignatureError     step 3: the signature or the signer does not hold
    │   ├── StatementError     steps 4 to 6: what was signed is not an OMS statement
    │   ├── ModelError         steps 7 and 8: the files are not the signed ones
    │   └── PinError           step 9: another model than the pinned one
    └── Undecided              no verdict: unreadable file, missing trust root  exit 3

Each message is one sentence: what is wrong, where, and what to do about it.
Exit codes belong to the command line; nothing here ends a process.
"""

from __future__ import annotations

import errno
import os
import re
from typing import Final

# What is left out: controls, soft hyphen, zero-width and bidirectional marks, line
# separators, surrogates, private use, byte order marks, and all beyond the first plane.
_UNPRINTABLE: Final = re.compile(
    r"[^\x20-\x7e\xa1-\xac\xae-\u061b\u061d-\u200a\u2010-\u2027\u202f-\u205f\u2070-\ud7ff"
    r"\uf900-\ufefe\uff00-\ufff8\ufffc\ufffd]"
)

QUOTE_LIMIT: Final = 200
"""Characters of foreign text that a sentence repeats."""


def quoted(text: object, *, limit: int = QUOTE_LIMIT) -> str:
    """Return foreign text fit for a sentence: quoted, printable, bounded."""
    whole = str(text)
    return f"'{printable(whole[:limit])}{'…' if len(whole) > limit else ''}'"


def printable(text: str) -> str:
    """Return text in one line that shows what it holds; twice is the same as once.

    Control, invisible, bidirectional and private-use characters, and what stands
    for bytes that are not UTF-8, are escaped, so that a file's name cannot write
    a log line of its own.
    """
    return _UNPRINTABLE.sub(lambda match: ascii(match.group())[1:-1], text)


def unreadable(what: str, error: OSError) -> str:
    """Return the sentence that something cannot be read, with what to do if it is forbidden."""
    sentence = f"{what} cannot be read: {error.strerror}"
    if error.errno not in {errno.EACCES, errno.EPERM}:
        return sentence
    # Root of a container whose capabilities are dropped reads no more than others do.
    who = f"user {os.geteuid()}" if os.geteuid() else "user 0, also without capabilities,"
    return f"{sentence}: let {who} read it"


class ValidatorError(Exception):
    """Root of the tree; its text is one sentence for a person."""


class PolicyError(ValidatorError):
    """The policy, or the command line that stands for one, is wrong."""


class Refused(ValidatorError):  # noqa: N818 — a verdict, not a malfunction
    """The model must not be served."""


class BundleError(Refused):
    """The signature file is missing, too large, or not a Sigstore bundle."""


class MethodError(Refused):
    """The bundle was signed by another method than the policy asks for."""


class SignatureError(Refused):
    """The signature, its certificate, its log entry or its signer does not hold."""


class StatementError(Refused):
    """What was signed is not a statement of OpenSSF Model Signing v1.0."""


class ModelError(Refused):
    """The model's files are not the signed ones.

    `mismatches` holds one sentence per file, all that were found.
    """

    def __init__(self, summary: str, mismatches: tuple[str, ...] = ()) -> None:
        super().__init__(summary)
        self.mismatches = mismatches


class PinError(Refused):
    """The signature holds, but for another model than the pinned one."""


class Undecided(ValidatorError):  # noqa: N818 — as Refused
    """The verdict could not be reached; whoever asked must treat it as a refusal."""
