"""`model-validator verify key`: signed by a key pair."""

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
        "Verify a model that was signed by a key pair (ECDSA, P-256, P-384 or P-521)."
    )
    options.add_model(parser)
    parser.add_argument(
        *options.spelled("public-key"),
        required=True,
        metavar="PEM",
        help="the signer's public key",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Verify by the given key."""
    from validator.files import read_anchor
    from validator.signatures.key import KeyVerifier

    path: str = arguments.public_key
    pem = read_anchor(path, what="public key")
    verifier = KeyVerifier.from_pem(pem, source=path)
    return options.run_one(options.request(arguments, verifier), arguments)
