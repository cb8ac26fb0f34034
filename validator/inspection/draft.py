"""The policy that accepts exactly one signature: its signer, and its statement.

A draft is tried on the signature before it is returned. That proves that the policy fits, and
not that the signer is to be trusted: this is for whoever applies it to decide.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.bundle import Method
from validator.errors import PolicyError, SignatureError, StatementError
from validator.from_policy import verifiers
from validator.inspection.claims import read_statement, statement_pin
from validator.policy.document import NAME_LIMIT, ModelValidation
from validator.policy.schema.fields import TEXT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validator.bundle import Bundle
    from validator.statement import Statement

_NAMELESS: Final = "model"
"""The policy's name where the signer gave the model none that Kubernetes would take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """The anchors of a bundle's trust, as the texts of the files that hold them.

    Attributes:
        public_key: The signer's public key, PEM.
        authorities: Certificates of the authorities, PEM.
        trusted_root: `trusted_root.json` of a private Sigstore.
    """

    public_key: str | None = None
    authorities: str | None = None
    trusted_root: str | None = None


def draft(
    bundle: Bundle, *, path: str | None, anchors: Anchors, now: datetime | None = None
) -> dict[str, Any]:
    """Return the ModelValidation that accepts this signature and no other, JSON-ready.

    Args:
        bundle: The signature file, decoded.
        path: The model's path in the workload's container; /models and the signer's name for
            the model, if absent.
        anchors: What the bundle cannot vouch for.
        now: The time at which certificates must be valid; the clock's, if absent.

    Raises:
        PolicyError: An anchor is missing or cannot be used, or the path cannot be used.
        Refused: No policy can accept this signature.
        Undecided: The root of trust cannot be used.
    """
    statement = read_statement(bundle)
    if statement.legacy:
        raise StatementError(
            "the signed statement's predicate is of a release before 1.0, which no policy accepts: "
            "sign the model again"
        )
    name = _name(statement)
    path = path or f"/models/{name}"
    model: dict[str, Any] = {"path": path}
    if statement.is_single_file or _names(statement, path):
        model["signaturePath"] = posixpath.join(posixpath.dirname(path), "model.sig")
    model["digests"] = [statement_pin(bundle)]
    spec: dict[str, Any] = {"model": model, "config": _config(bundle, anchors)}
    if bundle.method is Method.SIGSTORE and anchors.trusted_root is not None:
        spec["trust"] = {"trustedRoot": anchors.trusted_root}
    document = {
        "apiVersion": contract.API_VERSION,
        "kind": contract.KIND,
        "metadata": {"name": name},
        "spec": spec,
    }
    policy = ModelValidation.from_object(document, source="the drafted policy")
    (verifier,) = verifiers(policy)
    verifier.verify(bundle, now=now or datetime.now(UTC), allow_legacy=False)
    return document


def _names(statement: Statement, path: str) -> bool:
    """Tell whether a path is that of the only signed file, by its name (OMS 6.1.2 (5))."""
    return len(statement.files) == 1 and statement.files.name(0) == posixpath.basename(path)


def _name(statement: Statement) -> str:
    """Return the signer's name for the model in the form of a Kubernetes object's name."""
    plain = re.sub(r"[^a-z0-9]+", "-", statement.model_name.lower())
    plain = plain[:NAME_LIMIT].strip("-")
    return _NAMELESS if plain in {"", "true", "false"} else plain


def _config(bundle: Bundle, anchors: Anchors) -> dict[str, Any]:
    match bundle.method:
        case Method.KEY:
            return {"privateKeyConfig": {"publicKey": _public_key(anchors)}}
        case Method.CERTIFICATE:
            return {"pkiConfig": _certificate(bundle, anchors)}
        case Method.SIGSTORE:
            return {"sigstoreConfig": _keyless(bundle)}


def _public_key(anchors: Anchors) -> str:
    if anchors.public_key is None:
        raise PolicyError(
            "the model was signed by a key, and a signature does not hold it: name the signer's "
            "public key by --public-key"
        )
    return anchors.public_key


def _certificate(bundle: Bundle, anchors: Anchors) -> dict[str, Any]:
    from validator.signatures.certificate import load_chain
    from validator.signatures.certificate_names import names

    if anchors.authorities is None:
        raise PolicyError(
            "the model was signed by a certificate, and a signature cannot vouch for its own "
            "authority: name the authority's certificate by --certificate-chain"
        )
    found = [name for name in names(load_chain(bundle.certificates)[0]) if name]
    identity = {"certificateIdentity": _nameable(found)} if found else {}
    return {"certificateAuthorities": anchors.authorities, **identity}


def _keyless(bundle: Bundle) -> dict[str, Any]:
    from validator.signatures.keyless import Claims, identities, issuers

    certificate = Claims.of(bundle).parsed.signing_certificate
    identity, issuer = identities(certificate), issuers(certificate)
    if not identity or not issuer:
        raise SignatureError("the certificate does not say who signed, or who vouches for it")
    return {
        "certificateIdentity": _nameable(identity),
        "certificateOidcIssuer": _nameable(issuer),
    }


def _nameable(names: Sequence[str]) -> str:
    """Return the first of a certificate's names that a policy can have."""
    fitting = [name for name in names if 0 < len(name) <= TEXT_LIMIT]
    if not fitting:
        raise SignatureError(
            f"no policy can name the signer: its names have at most {TEXT_LIMIT:,} characters, and "
            "the certificate's have more, or none"
        )
    return fitting[0]
