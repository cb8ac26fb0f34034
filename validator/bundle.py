"""Sigstore bundles as files: read within limits and decoded; nothing in them is trusted yet.

Steps 1 and 2 of the verification. The parser is ours because sigstore-python's
cannot read bundles that a key or a certificate signed. It accepts the variants that the
specification lists (`keyid` absent, empty or null; `tlogEntries` absent; `publicKey` with
a hint or the key itself) and no others.
"""

from __future__ import annotations

import base64
import binascii
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from validator.errors import BundleError
from validator.files import load_json, read_file
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from validator.limits import Limits


_T = TypeVar("_T")

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
"""The media type of key and certificate bundles; sigstore-python checks that of keyless ones."""

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


class Method(enum.StrEnum):
    """The signing method of a bundle, by the OMS specification's names."""

    SIGSTORE = "sigstore"
    KEY = "key"
    CERTIFICATE = "certificate"


_MATERIAL: Final = {
    "certificate": Method.SIGSTORE,
    "x509CertificateChain": Method.CERTIFICATE,
    "publicKey": Method.KEY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle's parts, decoded; none of them verified.

    Attributes:
        raw: The file's bytes.
        media_type: The bundle's own media type.
        method: The signing method that it claims.
        payload: The DSSE payload, decoded.
        payload_type: The DSSE payload's type.
        signature: The one DSSE signature, decoded.
        certificates: DER certificates of the chain, the signer's first.
        key_hint: SHA-256 of the PEM public key, hexadecimal, where given.
        log_entries: The transparency log's entries, as decoded JSON.
    """

    raw: bytes
    media_type: str
    method: Method
    payload: bytes
    payload_type: str
    signature: bytes
    certificates: tuple[bytes, ...] = ()
    key_hint: str | None = None
    log_entries: tuple[Mapping[str, Any], ...] = ()


def read_bundle(path: Path, *, limits: Limits) -> Bundle:
    """Read the signature file at `path` and decode it.

    Raises:
        BundleError: There is none, or it is not a Sigstore bundle around a DSSE
            envelope with one signature.
        Undecided: It cannot be read.
    """
    return parse_bundle(
        read_file(path, limit=limits.bundle_bytes, what="signature file"), limits=limits
    )


def parse_bundle(raw: bytes, *, limits: Limits) -> Bundle:
    """Decode the bytes of a bundle.

    Raises:
        BundleError: They are not a Sigstore bundle around a DSSE envelope with
            one signature.
    """
    document = load_json(
        raw, what="signature file", depth=limits.bundle_depth, values=limits.bundle_values
    )
    if not isinstance(document, dict):
        raise BundleError("the signature file is not a Sigstore bundle: it holds no JSON object")
    media_type = _field(document, "mediaType", str, "")
    material = _field(document, "verificationMaterial", dict, "")
    envelope = _field(document, "dsseEnvelope", dict, "")
    log_entries = _log_entries(material)
    method = _method(material, log_entries, media_type)
    if method is not Method.SIGSTORE and media_type != MEDIA_TYPE:
        raise BundleError(
            f"the signature file is of type {quoted(media_type)}, and {MEDIA_TYPE} is expected"
        )
    signatures = _field(envelope, "signatures", list, "dsseEnvelope.")
    if len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise BundleError(
            f"the signature file holds {len(signatures)} signatures, and exactly one is expected"
        )
    return Bundle(
        raw=raw,
        media_type=media_type,
        method=method,
        payload=_decoded(envelope, "payload", "dsseEnvelope."),
        payload_type=_payload_type(envelope),
        signature=_decoded(signatures[0], "sig", "dsseEnvelope.signatures[0]."),
        certificates=_certificates(material, method, limits),
        key_hint=_key_hint(material, method),
        log_entries=log_entries,
    )


def _log_entries(material: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    entries = material.get("tlogEntries") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BundleError("the signature file's tlogEntries are not a list of JSON objects")
    return tuple(entries)


def _method(
    material: Mapping[str, Any], log_entries: tuple[Mapping[str, Any], ...], media_type: str
) -> Method:
    kinds = [name for name in _MATERIAL if material.get(name) is not None]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise BundleError(
            "the signature file must carry exactly one of certificate, x509CertificateChain, "
            f"publicKey as its verification material, and carries {found}"
        )
    # Until v0.3, Sigstore's own bundles carried the certificate in a chain, too.
    if kinds == ["x509CertificateChain"] and log_entries and media_type != MEDIA_TYPE:
        return Method.SIGSTORE
    method = _MATERIAL[kinds[0]]
    if log_entries and method is not Method.SIGSTORE:
        raise BundleError(
            "the signature file carries a transparency log's entry, which only keyless "
            "signatures have"
        )
    return method


def _payload_type(envelope: Mapping[str, Any]) -> str:
    payload_type = _field(envelope, "payloadType", str, "dsseEnvelope.")
    try:
        payload_type.encode()
    except UnicodeEncodeError as error:  # a lone surrogate, which no signature can cover
        raise BundleError("the signature file's dsseEnvelope.payloadType is not UTF-8") from error
    return payload_type


def _certificates(material: Mapping[str, Any], method: Method, limits: Limits) -> tuple[bytes, ...]:
    if method is not Method.CERTIFICATE:
        return ()
    place = "verificationMaterial.x509CertificateChain."
    chain = _field(
        _field(material, "x509CertificateChain", dict, "verificationMaterial."),
        "certificates",
        list,
        place,
    )
    if not 1 <= len(chain) <= limits.certificates:
        raise BundleError(
            f"the signature file's chain has {len(chain)} certificates, and 1 to "
            f"{limits.certificates} are accepted"
        )
    return tuple(
        _decoded(entry if isinstance(entry, dict) else {}, "rawBytes", f"{place}certificates[{n}].")
        for n, entry in enumerate(chain)
    )


def _key_hint(material: Mapping[str, Any], method: Method) -> str | None:
    if method is not Method.KEY:
        return None
    key = _field(material, "publicKey", dict, "verificationMaterial.")
    hint = key.get("hint") or None
    if hint is not None and not isinstance(hint, str):
        raise BundleError("the signature file's verificationMaterial.publicKey.hint is not text")
    return hint


def _field(document: Mapping[str, Any], name: str, kind: type[_T], place: str) -> _T:
    value = document.get(name)
    if not isinstance(value, kind):
        state = "missing" if value is None else f"not {_KINDS[kind]}"
        raise BundleError(f"the signature file is not a Sigstore bundle: {place}{name} is {state}")
    return value


_KINDS: Final[Mapping[type, str]] = {str: "text", dict: "an object", list: "a list"}


def _decoded(document: Mapping[str, Any], name: str, place: str) -> bytes:
    text = _field(document, name, str, place)
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BundleError(f"the signature file's {place}{name} is not base64") from error
    if not content:
        raise BundleError(f"the signature file's {place}{name} is empty")
    return content
