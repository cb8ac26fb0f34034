"""Verify OpenSSF Model Signing (OMS) bundles.

The library of the `model-validator` command and of the `model-validation` init container. It
reads no environment, prints nothing and ends no process; that is the business of
`validator.cli`. This module is its door:

    from pathlib import Path

    from validator import Refused, Request, Undecided, verify
    from validator.signatures.key import KeyVerifier

    key = Path("key.pub")
    request = Request(
        model=Path("granite"),
        signature=Path("granite/model.sig"),
        verifiers=(KeyVerifier.from_pem(key.read_bytes(), source=str(key)),),
    )
    try:
        report = verify(request)
    except (Refused, Undecided) as error:
        print(error)  # one sentence; the model must not be used
    else:
        print(report.digest, report.bytes)

Other signers: `validator.signatures.certificate.CertificateVerifier` and
`validator.signatures.keyless.SigstoreVerifier`. All errors: `validator.errors`.

Importing the package loads no cryptography; the first use of a name below does. The webhook
uses `validator.contract` and `validator.policy` alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from validator.errors import PolicyError, Refused, Undecided, ValidatorError
    from validator.report import Report, Verdict
    from validator.verification import Request, verify

__all__ = [
    "PolicyError",
    "Refused",
    "Report",
    "Request",
    "Undecided",
    "ValidatorError",
    "Verdict",
    "verify",
]

_HOMES: Final = {
    "PolicyError": "errors",
    "Refused": "errors",
    "Report": "report",
    "Request": "verification",
    "Undecided": "errors",
    "ValidatorError": "errors",
    "Verdict": "report",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    """Return one of the names in `__all__`, from the module that has it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
