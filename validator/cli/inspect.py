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
    parser.add_argument(
        "signature",
        type=Path,
        metavar="SIG",
        help="the signature's file, or a model's directory that has its model.sig",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Show the claims of one bundle; what cannot be read is said, and is not a success."""
    from validator.bundle import read_bundle

    signature: Path = arguments.signature
    if signature.is_dir():
        signature = options.default_signature(signature)
    bundle = read_bundle(signature, limits=DEFAULT)
    claims: dict[str, Any] = {"method": str(bundle.method)}
    code = ExitCode.VERIFIED
    for name, read in (("signer", _signer), ("statement", _statement)):
        try:
            claims |= read(bundle)
        except Refused as error:
            claims[name] = f"not acceptable: {error}"
            code = ExitCode.REFUSED
    claims = {name: value for name, value in claims.items() if value not in (None, [], "")}
    if arguments.format == "json":
        options.show({"verified": False, **{_camel(name): value for name, value in claims.items()}})
    else:
        lines = [f"{name}: {_shown(value)}" for name, value in claims.items()]
        options.show("\n".join(["Claims only, nothing was verified.", *lines]))
    return code


def _camel(name: str) -> str:
    first, *others = name.split()
    return first + "".join(map(str.capitalize, others))


def _shown(value: object) -> str:
    return printable(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _signer(bundle: Bundle) -> dict[str, Any]:
    from validator.bundle import Method

    if bundle.method is Method.KEY:
        return {"key": bundle.key_hint}
    if bundle.method is Method.CERTIFICATE:
        return {"chain": _subjects(bundle.certificates)}
    return _keyless(bundle)


def _subjects(certificates: tuple[bytes, ...]) -> list[str]:
    from validator.signatures.certificate import load_chain

    return [
        f"{one.subject.rfc4514_string()} ({one.not_valid_before_utc:%Y-%m-%d} to "
        f"{one.not_valid_after_utc:%Y-%m-%d})"
        for one in load_chain(certificates)
    ]


def _keyless(bundle: Bundle) -> dict[str, Any]:
    from validator.signatures.keyless import Claims, identities, issuers

    claimed = Claims.of(bundle)
    certificate = claimed.parsed.signing_certificate
    at = min(claimed.times, default=None)
    return {
        "identity": identities(certificate),
        "issuer": issuers(certificate),
        "signed at": at and f"{at:%Y-%m-%d %H:%M:%S} UTC",
        "log": claimed.log_id.hex(),
        "log index": claimed.log_index,
    }


def _statement(bundle: Bundle) -> dict[str, Any]:
    import hashlib

    from validator.statement import ROOT_PIN, STATEMENT_PIN, parse_statement

    statement = parse_statement(
        bundle.payload, payload_type=bundle.payload_type, limits=DEFAULT, allow_legacy=True
    )
    return {
        "model": statement.model_name,
        "digest": f"{ROOT_PIN}{statement.root_digest}",
        "statement digest": f"{STATEMENT_PIN}{hashlib.sha256(bundle.payload).hexdigest()}",
        "predicate": "before 1.0" if statement.legacy else "v1.0",
        "hash": str(statement.hash),
        "shard size": statement.shard_size,
        "links": statement.allow_symlinks,
        "ignored": list(statement.ignore_paths),
        "files": len({resource.name for resource in statement.resources}),
    }
