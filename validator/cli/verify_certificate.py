"""`model-validator verify certificate`: signed by a certificate of given authorities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validator.cli import options

if TYPE_CHECKING:
    import argparse

    from validator.arguments import ArgumentParser
    from validator.contract import ExitCode


def add_options(parser: ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Verify a model that was signed by a certificate. The authorities are the given ones "
        "only; the system's are never used."
    )
    options.add_model(parser)
    parser.add_argument(
        *options.spelled("certificate-chain"),
        action="append",
        required=True,
        metavar="PEM",
        help="file with certificates of accepted authorities; may be repeated",
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--identity",
        type=options.filled,
        metavar="ID",
        help="the signer: the certificate's subject (RFC 4514) or any subject alternative name "
        "(default: every signer below the authorities)",
    )
    who.add_argument(
        *options.spelled("identity-regexp"),
        type=options.filled,
        metavar="REGEXP",
        help="the same as a regular expression, matched in full",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Verify by the given authorities."""
    from validator.files import read_anchor
    from validator.signatures.certificate import CertificateVerifier

    paths: list[str] = arguments.certificate_chain
    pem = b"\n".join(read_anchor(path, what="certificate chain") for path in paths)
    verifier = CertificateVerifier.from_pem(
        pem,
        source=", ".join(paths),
        identity=arguments.identity,
        identity_regexp=arguments.identity_regexp,
    )
    return options.run_one(options.request(arguments, verifier), arguments)
