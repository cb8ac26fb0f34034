"""Sigstore bundles as files: read within limits and decoded; nothing in them is trusted yet.

Steps 1 and 2 of the verification. The parser is ours because sigstore-python's
cannot read bundles that a key or a certificate signed. It accepts the variants that the
specification lists (`keyid` absent, empty or null; `tlogEntries` absent or there; `publicKey`
with a hint of any form, the key itself, or neither) and no others.
"""

from __future__ import annotations

import enum
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from validator.bundle import encoding
from validator.errors import BundleError, Undecided
from validator.files import check_values, load_json, read_file
from validator.limits.cgroup import granted_memory
from validator.text import quoted, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from validator.limits import Limits
    from validator.paths import StrPath


_T = TypeVar("_T")

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"

_CURRENT: Final = (MEDIA_TYPE, "application/vnd.dev.sigstore.bundle+json;version=0.3")
"""Two spellings of version 0.3 (Sigstore's bundle format)."""

_FORMER: Final = (
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
)
"""Versions whose keyless bundles carry the certificate in a chain."""


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


class Bundle(NamedTuple):
    """A bundle's parts, decoded; none of them verified.

    Attributes:
        raw: The bundle as JSON; for sigstore-python, its bytes are in standard base64.
        media_type: The bundle's own media type.
        method: The signing method that it claims.
        payload: The DSSE payload, decoded.
        payload_type: The DSSE payload's type.
        signature: The one DSSE signature, decoded.
        certificates: DER certificates of the chain, the signer's first.
        key_hint: The signer's name for the key, in any form; nothing vouches for it.
        log_entries: The transparency log's entries, as decoded JSON.
        source: SHA-256 of the file's bytes, hexadecimal.
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
    source: str = ""


def read_bundle(path: StrPath, *, limits: Limits) -> Bundle:
    """Read the signature file at `path` and decode it.

    Raises:
        BundleError: There is none, or it is not a Sigstore bundle around a DSSE
            envelope with one signature.
        Undecided: It cannot be read.
    """
    raw = read_file(path, limit=limits.bundle_bytes, what="signature file")
    bundle = parse_bundle(raw, limits=limits)
    if bundle.method is Method.SIGSTORE:
        needed = KEYLESS_BYTES + KEYLESS_FACTOR * len(raw)
        if needed > (given := granted_memory() or needed):
            raise Undecided(
                f"the keyless signature file has {size(len(raw))}, and to verify it takes about "
                f"{size(needed)} of memory, of which this container has {size(given)}: set "
                "spec.resources.limits.memory in the namespace's policy, or sign with a key"
            )
    return bundle


KEYLESS_BYTES: Final = 64 * 1024 * 1024
KEYLESS_FACTOR: Final = 5
"""Memory of sigstore-python, and how often it holds a bundle (measured: 58 MiB, 4.7 times)."""


def parse_bundle(raw: bytes, *, limits: Limits) -> Bundle:
    """Decode the bytes of a bundle.

    Raises:
        BundleError: They are not a Sigstore bundle around a DSSE envelope with
            one signature.
    """
    document, payload = _loaded(raw, limits)
    if not isinstance(document, dict):
        raise BundleError("the signature file is not a Sigstore bundle: it holds no JSON object")
    _check_fields(document, _BUNDLE_FIELDS, "")
    media_type = _field(document, "mediaType", str, "")
    if media_type not in (*_CURRENT, *_FORMER):
        raise BundleError(
            f"the signature file is of type {quoted(media_type)}, and {MEDIA_TYPE} is expected"
        )
    material = _field(document, "verificationMaterial", dict, "")
    envelope = _field(document, "dsseEnvelope", dict, "")
    _check_fields(envelope, _ENVELOPE_FIELDS, "dsseEnvelope.")
    log_entries = _log_entries(material)
    method = _method(material, log_entries, media_type)
    signatures = _field(envelope, "signatures", list, "dsseEnvelope.")
    if len(signatures) != 1:
        raise BundleError(
            f"the signature file holds {len(signatures)} signatures, and exactly one is expected"
        )
    payload = payload or _decoded(envelope, "payload", "dsseEnvelope.")
    signature = _signature(signatures[0])
    source = hashlib.sha256(raw).hexdigest()
    if method is Method.SIGSTORE:
        material = encoding.in_standard_form(material)
        log_entries = _log_entries(material)
        raw = _in_standard_base64(raw, document, material, payload=payload, signature=signature)
    return Bundle(
        raw=raw,
        source=source,
        media_type=media_type,
        method=method,
        payload=payload,
        payload_type=_payload_type(envelope),
        signature=signature,
        certificates=_certificates(material, method, limits),
        key_hint=_key_hint(material, method),
        log_entries=log_entries,
    )


_BUNDLE_FIELDS: Final = ("mediaType", "verificationMaterial", "dsseEnvelope")
_ENVELOPE_FIELDS: Final = ("payload", "payloadType", "signatures")
_SIGNATURE_FIELDS: Final = ("sig", "keyid")
"""All that the specification's schemas allow (OMS 8.1)."""


def _check_fields(document: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for name, value in document.items():
        if name == "messageSignature" and not place:
            if value is None:  # as ProtoJSON writes an absent field
                continue
            raise BundleError(
                "the signature file holds a messageSignature, and a model's signature is a "
                "dsseEnvelope alone: sign the model anew"
            )
        if name not in known:
            raise BundleError(
                "the signature file is not a Sigstore bundle: the specification knows no field "
                f"{quoted(place + name)}"
            )


_LONG_BYTES: Final = 1024 * 1024
"""A payload of this length is decoded without becoming a text before."""

_STAND_IN_BYTES: Final = 32
"""Random: whoever wrote the file cannot have put the same elsewhere in it."""

_REST_BYTES: Final = 4 * 1024 * 1024
"""Of a signature file beside its payload; an honest one has some ten thousand."""


def _long_text(raw: bytes) -> tuple[int, int] | None:
    """Return where the text of a long payload begins and ends."""
    if len(raw) <= _LONG_BYTES:
        return None
    found = re.search(rb'"([A-Za-z0-9+/=_-]{%d,})' % _LONG_BYTES, raw)
    return found and found.span(1)


def _loaded(raw: bytes, limits: Limits) -> tuple[Any, bytes | None]:
    """Return the bundle as JSON, and its payload if that is long.

    Bytes, text, and text in an object would be three times the file's size. So a stand-in is
    read in place of a long payload.
    """
    if (found := _long_text(raw)) is None:
        start = end = 0
        stand_in = ""
    else:
        start, end = found
        stand_in = os.urandom(_STAND_IN_BYTES).hex()
    if (rest := len(raw) - (end - start)) > _REST_BYTES:
        check_values(raw, what="signature file", values=limits.bundle_values)
        raise BundleError(
            f"the signature file has {rest:,} bytes beside its payload, and {_REST_BYTES:,} are "
            "accepted (a payload in base64 counts as one only where it is written without escapes)"
        )
    document = load_json(
        b"".join((raw[:start], stand_in.encode(), raw[end:])),
        what="signature file",
        depth=limits.bundle_depth,
        values=limits.bundle_values,
    )
    if not stand_in:
        return document, None
    envelope = document.get("dsseEnvelope") if isinstance(document, dict) else None
    text = envelope.get("payload") if isinstance(envelope, dict) else None
    # Padding may follow in JSON's escapes: \u003d.
    if not isinstance(text, str) or text.rstrip("=") != stand_in:
        raise BundleError(
            f"the signature file has a text of {end - start:,} bytes that is not its payload"
        )
    payload = encoding.decoded(memoryview(raw)[start:end], padding=text[len(stand_in) :].encode())
    if payload is None:
        raise BundleError("the signature file's dsseEnvelope.payload is not base64")
    return document, payload


def _in_standard_base64(
    raw: bytes,
    document: dict[str, Any],
    material: dict[str, Any],
    *,
    payload: bytes,
    signature: bytes,
) -> bytes:
    """Return the bundle's JSON for readers that know standard base64 only.

    Args:
        raw: The bundle's JSON, as it was read.
        document: The same, decoded; perhaps with a stand-in in place of a long payload.
        material: Its verification material in standard base64.
        payload: The envelope's payload.
        signature: The envelope's signature.
    """
    envelope = document["dsseEnvelope"]
    (signed,) = envelope["signatures"]
    if (long := _long_text(raw)) is not None:
        is_standard = encoding.is_standard(memoryview(raw)[slice(*long)])
    else:
        is_standard = envelope["payload"] == encoding.encoded(payload)
    sig = encoding.encoded(signature)
    if is_standard and signed["sig"] == sig and document["verificationMaterial"] == material:
        return raw
    rewritten = {
        **envelope,
        "payload": encoding.encoded(payload),
        "signatures": [{**signed, "sig": sig}],
    }
    standard = {"verificationMaterial": material, "dsseEnvelope": rewritten}
    return json.dumps({**document, **standard}).encode()


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
    if kinds == ["x509CertificateChain"] and log_entries and media_type in _FORMER:
        return Method.SIGSTORE
    return _MATERIAL[kinds[0]]


def _signature(document: object) -> bytes:
    place = "dsseEnvelope.signatures[0]"
    if not isinstance(document, dict):
        raise BundleError(f"the signature file is not a Sigstore bundle: {place} is not an object")
    _check_fields(document, _SIGNATURE_FIELDS, f"{place}.")
    if document.get("keyid") is not None:
        _field(document, "keyid", str, f"{place}.")
    return _decoded(document, "sig", f"{place}.")


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
    hint = key.get("hint")
    return hint if isinstance(hint, str) and hint else None


def _field(document: Mapping[str, Any], name: str, kind: type[_T], place: str) -> _T:
    value = document.get(name)
    if not isinstance(value, kind):
        state = "missing" if value is None else f"not {_KINDS[kind]}"
        raise BundleError(f"the signature file is not a Sigstore bundle: {place}{name} is {state}")
    return value


_KINDS: Final[Mapping[type, str]] = {str: "text", dict: "an object", list: "a list"}


def _decoded(document: Mapping[str, Any], name: str, place: str) -> bytes:
    text = _field(document, name, str, place)
    content = encoding.decoded(text.encode(errors="replace"))
    if content is None:
        raise BundleError(f"the signature file's {place}{name} is not base64")
    if not content:
        raise BundleError(f"the signature file's {place}{name} is empty")
    return content
