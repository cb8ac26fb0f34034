"""The validator's errors, split by who is at fault: every one that leaves the library.

    ValidatorError
    ├── PolicyError            the policy or the command line is wrong     exit 2
    ├── Refused                the model must not be served                exit 1
    │   ├── BundleError        step 1: the bundle cannot be read as one
    │   ├── MethodError        step 2: signed by another method than the policy's
    │   ├── SignatureError     step 3: the signature or the signer does not hold
    │   ├── StatementError     steps 4 to 6: the signed payload is not an OMS statement
    │   ├── PinError           step 7: another model than the pinned one
    │   └── ModelError         steps 8 and 9: the files are not the signed ones
    └── Undecided              no verdict: unreadable file, missing trust root  exit 3

A bare `Refused` is for a workload that opens files of no verified model: no step of one
model's verification can see that. Each message is one sentence: what is wrong, where, and
what to do about it. The numbers are those of docs/verification.md.
Exit codes belong to the command line; nothing here ends a process.
"""

from __future__ import annotations


class ValidatorError(Exception):
    """Root of the tree; its text is one sentence for a person."""


class PolicyError(ValidatorError):
    """The policy, or the command line that stands for one, is wrong."""


class Refused(ValidatorError):
    """The model must not be served."""


class BundleError(Refused):
    """The signature file is missing, too large, or not a Sigstore bundle."""


class MethodError(Refused):
    """The bundle was signed by another method than the policy asks for."""


class SignatureError(Refused):
    """The signature, its certificate, its log entry or its signer does not hold."""


class StatementError(Refused):
    """The signed payload is not a statement of OpenSSF Model Signing v1.0."""


class PinError(Refused):
    """The signature holds, but for another model than the pinned one."""


class ModelError(Refused):
    """The model's files are not the signed ones.

    `mismatches` holds one sentence per file, all that were found.
    """

    def __init__(self, summary: str, mismatches: tuple[str, ...] = ()) -> None:
        super().__init__(summary)
        self.mismatches = mismatches


class Undecided(ValidatorError):
    """The verdict could not be reached; the caller must treat it as a refusal."""
