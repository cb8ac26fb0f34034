"""`model-validator verify`: by one of the signing methods, or as a policy demands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator.arguments import add_subcommands

if TYPE_CHECKING:
    from validator.arguments import ArgumentParser

_METHODS: Final = {
    "sigstore": "signed keylessly",
    "key": "signed by a key",
    "certificate": "signed by a certificate",
    "policy": "signed as a ModelValidation demands",
}


def add_options(parser: ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = "Verify a model."
    add_subcommands(parser, _METHODS, within=f"{__name__}_", title="methods", metavar="METHOD")
