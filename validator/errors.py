"""The validator's errors, split by who is at fault: every one that leaves the library.

    ValidatorError
    ├── PolicyError            the policy or the command line is wrong,    exit 2
    │                          or names a file that is not there
    ├── Refused                the model must not be served                exit 1
    │   ├── BundleError        step 1: the bundle cannot be read as one
    │   ├── MethodError        step 2: signed by another method than the policy's
    │   ├── SignatureError     step 3: the signature or the signer does not hold
    │   │   ├── SignerError           somebody else than the accepted signer
    │   │   └── UnknownToRootError    a log or authority that the root of trust does not know
    │   ├── StatementError     steps 4 to 6: the signed payload is not an OMS statement
    │   ├── PinError           step 7: another model than the pinned one
    │   ├── ModelError         steps 8 and 9: the files are not the signed ones
    │   └── RuleError          a rule of the cluster, beside the policy, does not accept it
    └── Undecided              no verdict: unreadable file, no trust root      exit 3

A bare `Refused` is for a workload that opens files of no verified model: no step of one
model's verification can see that. Each message is one sentence: what is wrong, where, and
what to do about it. The numbers are those of docs/verification.md.
Exit codes belong to the command line; nothing here ends a process.
"""

from __future__ import annotations

from typing import ClassVar


class ValidatorError(Exception):
    """Root of the tree; its text is one sentence for a person."""

    code: ClassVar[str]
    """The stable name of the kind, for programs (docs/codes.md)."""


class PolicyError(ValidatorError):
    """The policy, or the command line that stands for one, is wrong."""

    code: ClassVar[str] = "InvalidPolicy"


class Refused(ValidatorError):
    """The model must not be served."""

    code: ClassVar[str] = "OutsideModel"


class BundleError(Refused):
    """The signature file is missing, too large, or not a Sigstore bundle."""

    code: ClassVar[str] = "InvalidBundle"


class MethodError(Refused):
    """The bundle was signed by another method than the policy asks for."""

    code: ClassVar[str] = "OtherMethod"


class SignatureError(Refused):
    """The signature, its certificate, its log entry or its signer does not hold."""

    code: ClassVar[str] = "InvalidSignature"


class SignerError(SignatureError):
    """The signature holds, but another signer than the accepted ones made it."""

    code: ClassVar[str] = "OtherSigner"


class UnknownToRootError(SignatureError):
    """The root of trust does not know a log or authority of the signature; it may be outdated."""

    code: ClassVar[str] = "UnknownToRoot"


class StatementError(Refused):
    """The signed payload is not a statement of OpenSSF Model Signing v1.0."""

    code: ClassVar[str] = "InvalidStatement"


class PinError(Refused):
    """The signature holds, but for another model than the pinned one."""

    code: ClassVar[str] = "NotPinned"


class ModelError(Refused):
    """The model's files are not the signed ones.

    `mismatches` holds one sentence per file, all that were found. `is_unsettled` tells that no
    more was seen than that files did not hold still.
    """

    code: ClassVar[str] = "ModelDiffers"

    def __init__(
        self, summary: str, mismatches: tuple[str, ...] = (), *, is_unsettled: bool = False
    ) -> None:
        super().__init__(summary)
        self.mismatches = mismatches
        self.is_unsettled = is_unsettled


class RuleError(Refused):
    """A rule of the cluster that holds beside the policy does not accept what the policy does."""

    code: ClassVar[str] = "ClusterRule"


class Undecided(ValidatorError):
    """The verdict could not be reached; the caller must treat it as a refusal."""

    code: ClassVar[str] = "Undecided"
