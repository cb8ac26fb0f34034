"""The claims of one bundle, as JSON-ready values."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from validator.bundle import Method
from validator.errors import Refused
from validator.inspection import certificates
from validator.limits import DEFAULT
from validator.limits.cgroup import granted_cpus
from validator.report import ROOT_PIN, STATEMENT_PIN
from validator.statement import Statement, parse_statement
from validator.tree import advice

if TYPE_CHECKING:
    from validator.bundle import Bundle
    from validator.statement import Resource


def claims(bundle: Bundle, *, files: bool, now: datetime | None = None) -> dict[str, Any]:
    """Return who claims to have signed what, when and how.

    The form is that of docs/inspect.schema.json.

    Args:
        bundle: The signature file, decoded.
        files: Whether each signed file is listed with its digest.
        now: The time at which certificates must be valid; the clock's, if absent.
    """
    found: dict[str, Any] = {"verified": False, "method": str(bundle.method)}
    refused = []
    try:
        found |= _signer(bundle)
        _check_signer(bundle, now=now or datetime.now(UTC))
    except Refused as error:
        refused.append(f"the signer is not acceptable: {error}")
    try:
        found |= _statement(bundle, files=files)
    except Refused as error:
        refused.append(f"the statement is not acceptable: {error}")
    found |= {"refused": refused}
    return {name: value for name, value in found.items() if value not in (None, [], {}, "")}


def _signer(bundle: Bundle) -> dict[str, Any]:
    match bundle.method:
        case Method.KEY:
            return {"keyHint": bundle.key_hint}
        case Method.CERTIFICATE:
            # Each method's libraries are loaded only where a bundle uses it.
            from validator.signatures.certificate import load_chain

            chain = load_chain(bundle.certificates)
            return {"certificates": [certificates.described(one) for one in chain]}
        case Method.SIGSTORE:
            return _keyless(bundle)


def _check_signer(bundle: Bundle, *, now: datetime) -> None:
    """Refuse a signer whom no policy can accept, whatever authorities it names."""
    if bundle.method is Method.CERTIFICATE:
        from validator.signatures.certificate import load_chain, signing_key

        signing_key(load_chain(bundle.certificates), now=now)


def _keyless(bundle: Bundle) -> dict[str, Any]:
    from validator.signatures.keyless import Claims, identities, issuers

    claimed = Claims.of(bundle)
    certificate = claimed.parsed.signing_certificate
    at = min(claimed.times, default=None)
    return {
        "identity": identities(certificate),
        "issuer": issuers(certificate),
        "certificates": [certificates.described(certificate)],
        "workflow": certificates.workflow(certificate),
        "signedAt": at and at.isoformat(),
        "timeSource": at and ("SET" if at == claimed.promised_at else "RFC 3161"),
        "logId": claimed.log_id.hex(),
        "logIndex": claimed.tree_index,
        "globalLogIndex": claimed.log_index,
    }


def _statement(bundle: Bundle, *, files: bool) -> dict[str, Any]:
    statement = read_statement(bundle)
    listed = {"resources": [_resource(one) for one in statement.resources]} if files else {}
    return {
        "model": statement.model_name,
        "digest": f"{ROOT_PIN}{statement.root_digest}",
        "statementDigest": statement_pin(bundle),
        "predicate": "before 1.0" if statement.legacy else "v1.0",
        "hash": str(statement.hash),
        "shardSize": statement.shard_size,
        "allowSymlinks": statement.allow_symlinks,
        "ignored": list(statement.ignore_paths),
        "files": len(statement.files),
        "advice": _advice(statement),
        **listed,
    }


def _advice(statement: Statement) -> str | None:
    files, cores = statement.files, granted_cpus()
    if statement.shard_size is None:
        return advice.for_statement(len(files), hash_=statement.hash, cores=cores)
    sizes = [
        end - start
        for number in range(len(files))
        for place in range(files.count(number))
        for start, end in (files.span(number, place, size=0),)
    ]
    return advice.for_model(sizes, hash_=statement.hash, cores=cores)


def read_statement(bundle: Bundle) -> Statement:
    """Return a bundle's statement, of any predicate.

    Raises:
        StatementError: It is not a statement, or contradicts itself.
    """
    return parse_statement(
        bundle.payload, payload_type=bundle.payload_type, limits=DEFAULT, allow_legacy=True
    )


def statement_pin(bundle: Bundle) -> str:
    """Return the pin that binds the whole statement: names, contents and ignored paths."""
    return f"{STATEMENT_PIN}{hashlib.sha256(bundle.payload).hexdigest()}"


def _resource(resource: Resource) -> dict[str, Any]:
    if resource.end is None:
        return {"name": resource.name, "digest": resource.digest}
    return {
        "name": resource.name,
        "digest": resource.digest,
        "start": resource.start,
        "end": resource.end,
    }
