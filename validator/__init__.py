"""Verify OpenSSF Model Signing (OMS) bundles.

The library behind the `model-validator` command and the `model-validation` init
container. It reads no environment, prints nothing and ends no process; that is
the business of `validator.cli`.

    from pathlib import Path

    from validator.errors import Refused, Undecided
    from validator.signatures.key import KeyVerifier
    from validator.verification import Request, verify

    request = Request(
        model=Path("granite"),
        signature=Path("granite/model.sig"),
        verifiers=(KeyVerifier.from_pem(Path("key.pub").read_bytes(), source="key.pub"),),
    )
    try:
        report = verify(request)
    except (Refused, Undecided) as error:
        print(error)  # one sentence; the model must not be used
    else:
        print(report.digest, report.bytes)

Importing the package, `validator.contract` or `validator.policy` loads no
cryptography: the webhook uses them on its own terms.
"""
