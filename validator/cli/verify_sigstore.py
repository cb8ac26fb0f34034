"""`model-validator verify sigstore`: signed keylessly, with a transparency log's entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validator.cli import options
from validator.errors import PolicyError

if TYPE_CHECKING:
    import argparse

    from validator.arguments import ArgumentParser
    from validator.contract import ExitCode
    from validator.signatures.trusted_root import TrustedRoot


def add_options(parser: ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Verify a model that was signed keylessly. Offline, unless --online is given: on the "
        "production root that ships with sigstore-python."
    )
    options.add_model(parser)
    parser.add_argument(
        "--identity", type=options.filled, required=True, metavar="ID", help="mail address or URI"
    )
    parser.add_argument(
        *options.spelled("identity-provider"),
        type=options.filled,
        required=True,
        metavar="ISSUER",
        help="the identity's OIDC issuer",
    )
    root = parser.add_mutually_exclusive_group()
    root.add_argument(
        *options.spelled("trust-config"),
        metavar="FILE",
        help="a private Sigstore's client trust configuration",
    )
    root.add_argument(
        *options.spelled("trusted-root"),
        metavar="FILE",
        help="a private Sigstore's trusted_root.json",
    )
    parser.add_argument(
        "--staging",
        "--use-staging",
        "--use_staging",
        action="store_true",
        help="Sigstore's staging instance, for trying things out",
    )
    parser.add_argument(
        "--online", action="store_true", help="fetch the newest root by TUF instead"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Verify by the given identity."""
    from validator.signatures.keyless import (
        Expected,
        SigstoreVerifier,
    )

    expected = Expected(identity=arguments.identity, issuer=arguments.identity_provider)
    verifier = SigstoreVerifier(expected, trusted_root=_trusted_root(arguments))
    return options.run_one(options.request(arguments, verifier), arguments)


def _trusted_root(arguments: argparse.Namespace) -> TrustedRoot:
    from validator.files import read_anchor
    from validator.signatures.trusted_root import (
        PRODUCTION_URL,
        STAGING_URL,
        TrustedRoot,
    )

    path: str | None = arguments.trust_config or arguments.trusted_root
    if path and (arguments.staging or arguments.online):
        raise PolicyError("--staging and --online choose a public root: name no file beside them")
    if path:
        return TrustedRoot.from_json(read_anchor(path, what="trusted root"), source=path)
    url = STAGING_URL if arguments.staging else PRODUCTION_URL
    return TrustedRoot.fetched(url) if arguments.online else TrustedRoot.packaged(url)
