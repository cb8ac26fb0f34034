"""`model-validator inspect`: what a signature file claims; nothing is verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from validator.cli import options
from validator.contract import ExitCode
from validator.errors import Refused
from validator.limits import DEFAULT
from validator.text import printable

if TYPE_CHECKING:
    import argparse

    from validator.bundle import Bundle


def add_to(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the subcommand."""
    text = (
        "Show who claims to have signed what, when and how. Nothing is verified; no model needed."
    )
    parser = commands.add_parser(
        "inspect", help="show what a signature claims", description=text, allow_abbrev=False
    )
    parser.add_argument("signature", type=Path, metavar="SIG", help="the signature's file")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Show the claims of one bundle."""
    from validator.bundle import read_bundle

    bundle = read_bundle(arguments.signature, limits=DEFAULT)
    claims = {"method": str(bundle.method), **_signer(bundle), **_statement(bundle)}
    claims = {name: value for name, value in claims.items() if value not in (None, [], "")}
    if arguments.format == "json":
        options.show({"verified": False, **claims})
    else:
        lines = [f"{name}: {_shown(value)}" for name, value in claims.items()]
        options.show("\n".join(["Claims only, nothing was verified.", *lines]))
    return ExitCode.VERIFIED


def _shown(value: object) -> str:
    return printable(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _signer(bundle: Bundle) -> dict[str, Any]:
    from validator.bundle import Method

    if bundle.method is Method.KEY:
        return {"key": bundle.key_hint and f"sha256:{bundle.key_hint}"}
    if bundle.method is Method.CERTIFICATE:
        return {"chain": _subjects(bundle.certificates)}
    return _keyless(bundle)


def _subjects(certificates: tuple[bytes, ...]) -> list[str]:
    from cryptography import x509

    try:
        loaded = [x509.load_der_x509_certificate(der) for der in certificates]
        return [
            f"{one.subject.rfc4514_string()} ({one.not_valid_before_utc:%Y-%m-%d} to "
            f"{one.not_valid_after_utc:%Y-%m-%d})"
            for one in loaded
        ]
    except ValueError:
        return ["unreadable"]


def _keyless(bundle: Bundle) -> dict[str, Any]:
    from sigstore.errors import Error
    from sigstore.models import Bundle as LibraryBundle

    from validator.signatures.keyless import (
        identities,
        issuers,
        signed_at,
    )

    try:
        parsed = LibraryBundle.from_json(bundle.raw)
    except (Error, ValueError) as error:
        return {"identity": f"unreadable ({str(error).partition(chr(10))[0]})"}
    certificate = parsed.signing_certificate
    return {
        "identity": identities(certificate),
        "issuer": issuers(certificate),
        "signed at": f"{signed_at(parsed):%Y-%m-%d %H:%M:%S} UTC",
        "log index": bundle.log_entries[0].get("logIndex"),
    }


def _statement(bundle: Bundle) -> dict[str, Any]:
    from validator.statement import parse_statement

    try:
        statement = parse_statement(
            bundle.payload, payload_type=bundle.payload_type, limits=DEFAULT, allow_legacy=True
        )
    except Refused as error:
        return {"statement": f"not acceptable: {error}"}
    return {
        "model": statement.model_name,
        "digest": f"sha256:{statement.root_digest}",
        "predicate": "before 1.0" if statement.legacy else "v1.0",
        "hash": str(statement.hash),
        "shard size": statement.shard_size,
        "links": statement.allow_symlinks,
        "ignored": list(statement.ignore_paths),
        "files": len({resource.name for resource in statement.resources}),
    }
