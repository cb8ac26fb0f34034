"""`model-validator inspect`: what a signature file claims; nothing is verified."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from validator.cli import options
from validator.contract import ExitCode
from validator.errors import PolicyError
from validator.limits import DEFAULT
from validator.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from validator.arguments import ArgumentParser
    from validator.bundle import Bundle

_ANCHORS = {
    "public-key": "the signer's public key, for --policy of a model that a key signed",
    "certificate-chain": "certificates of the signer's authority, likewise",
    "trusted-root": "trusted_root.json of a private Sigstore, likewise",
}


def add_options(parser: ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Show who claims to have signed what, when and how. Nothing is verified; no model needed."
    )
    parser.add_argument(
        "signature",
        metavar="SIG",
        help="the signature's file, or a model's directory that has its model.sig",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="form of the claims"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--files", action="store_true", help="list each signed file and its digest")
    shown.add_argument(
        "--policy",
        action="store_true",
        help="print the ModelValidation that accepts this signature alone, as YAML",
    )
    parser.add_argument(
        *options.spelled("model-path"),
        type=options.filled,
        metavar="PATH",
        help="the model's path in the workload, for --policy (default: /models/NAME)",
    )
    for name, described in _ANCHORS.items():
        parser.add_argument(*options.spelled(name), metavar="FILE", help=described)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Show the claims of one bundle; what cannot be accepted is said, and is not a success.

    Raises:
        PolicyError: An option makes no sense, or is missing.
        Refused: The file is no bundle; or no policy can accept it.
    """
    from validator.bundle import read_bundle
    from validator.inspection.claims import claims

    given = [name for name in ("model-path", *_ANCHORS) if _value(arguments, name) is not None]
    if given and not arguments.policy:
        raise PolicyError(f"--{given[0]} is for the policy: give --policy too, or leave it out")
    signature: str = arguments.signature
    if os.path.isdir(signature):  # Path's own raises for a name that is too long
        signature = options.default_signature(signature)
    bundle = read_bundle(signature, limits=DEFAULT)
    if arguments.policy:
        _show_policy(bundle, arguments)
        return ExitCode.VERIFIED
    found = claims(bundle, files=arguments.files)
    options.show(found if arguments.format == "json" else "\n".join(map(printable, _lines(found))))
    return ExitCode.REFUSED if "refused" in found else ExitCode.VERIFIED


def _value(arguments: argparse.Namespace, name: str) -> Any:
    return getattr(arguments, name.replace("-", "_"))


def _show_policy(bundle: Bundle, arguments: argparse.Namespace) -> None:
    """Print the policy, after a remark on what it rests on."""
    from validator.files import read_anchor
    from validator.inspection.draft import Anchors, draft
    from validator.policy import yaml_documents

    texts = {
        name: path and read_anchor(path, what=name.replace("-", " ")).decode(errors="replace")
        for name in _ANCHORS
        for path in (_value(arguments, name),)
    }
    anchors = Anchors(
        public_key=texts["public-key"],
        authorities=texts["certificate-chain"],
        trusted_root=texts["trusted-root"],
    )
    policy = draft(bundle, path=arguments.model_path, anchors=anchors)
    if arguments.format == "json":
        options.show(policy)
        return
    remark = (
        "# Accepts this one signature. Apply it if you know that its signer may sign this model,\n"
        "# after you have set the namespace and the path that the workload loads.\n"
    )
    options.show(f"{remark}{yaml_documents.dump(policy)}".rstrip())


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield the claims as a person reads them."""
    from validator.inspection import certificates

    yield "Claims only, nothing was verified."
    source = f", by {found['timeSource']}" if "timeSource" in found else ""
    total = f" (over all of its trees: {found.get('globalLogIndex')})"
    same = found.get("globalLogIndex") == found.get("logIndex")
    shown = {
        "method": found["method"],
        "key": found.get("keyHint"),
        "identity": ", ".join(found.get("identity", ())),
        "issuer": ", ".join(found.get("issuer", ())),
    }
    yield from (f"{name}: {value}" for name, value in shown.items() if value)
    for line in certificates.shown(found.get("certificates", ())):
        yield f"certificate: {line}"
    for name, value in found.get("workflow", {}).items():
        yield f"workflow {name}: {value}"
    if "signedAt" in found:
        yield f"signed at: {found['signedAt'].replace('T', ' ')}{source}"
    if "logId" in found:
        yield f"log: {found['logId']}"
        yield f"log index: {found['logIndex']}{'' if same else total}"
    names = {
        "model": "model",
        "digest": "digest",
        "statement digest": "statementDigest",
        "predicate": "predicate",
        "hash": "hash",
        "shard size": "shardSize",
        "files": "files",
    }
    yield from (f"{name}: {found[key]}" for name, key in names.items() if key in found)
    if "allowSymlinks" in found:
        yield f"links: {'stand for what they lead to' if found['allowSymlinks'] else 'none'}"
    if "ignored" in found:
        yield f"ignored: {', '.join(found['ignored'])}"
    if "advice" in found:
        yield f"advice: {found['advice']}"
    for one in found.get("resources", ()):
        part = f" (bytes {one['start']:,} to {one['end']:,})" if "end" in one else ""
        yield f"  {one['digest']}  {one['name']}{part}"
    yield from found.get("refused", ())
