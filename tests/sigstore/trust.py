"""The documents by which clients come to trust a private Sigstore.

`trusted_root` is what verifiers read, `client_trust_config` adds where signers find
the services (`model_signing … --trust_config FILE`). Both are the protobuf JSON of
sigstore/protobuf-specs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.sigstore.log import b64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from tests.sigstore.authority import Authority
    from tests.sigstore.keys import LogKey
    from tests.sigstore.log import Log
    from tests.sigstore.rekor2 import TileLog
    from tests.sigstore.timestamps import TimestampAuthority

TRUSTED_SINCE: Final = timedelta(hours=12)
"""The time for which the services have been in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The URLs that a signer calls."""

    authority: str
    issuer: str
    log: str
    timestamps: str


def trusted_root(
    authority: Authority,
    log: Log,
    *,
    tile_log: TileLog,
    timestamps: TimestampAuthority,
    url: str,
) -> dict[str, Any]:
    """Return the trust anchors of all services."""
    second = _log(log.key, f"{url}/v2")
    second["publicKey"] |= {"rawBytes": b64(tile_log.public), "keyDetails": "PKIX_ED25519"}
    second["logId"] = {"keyId": b64(tile_log.log_id)}
    return {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [_log(log.key, url), second],
        "certificateAuthorities": [_authority(authority.chain, url)],
        "ctlogs": [_log(authority.ct_log, f"{url}/ct")],
        "timestampAuthorities": [_authority(timestamps.chain, f"{url}/api/v1/timestamp")],
    }


def client_trust_config(
    root: dict[str, Any], addresses: Addresses, *, log_version: int = 1
) -> dict[str, Any]:
    """Return the trust anchors together with the services to sign with."""
    return {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": root,
        "signingConfig": {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [_service(addresses.authority)],
            "oidcUrls": [_service(addresses.issuer)],
            "rekorTlogUrls": [_service(addresses.log, version=log_version)],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [_service(addresses.timestamps)],
            "tsaConfig": {"selector": "ANY"},
        },
    }


def _service(url: str, *, version: int = 1) -> dict[str, Any]:
    return {
        "url": url,
        "majorApiVersion": version,
        "validFor": _since(),
        "operator": "private.sigstore.test",
    }


def _since() -> dict[str, str]:
    start = datetime.now(UTC) - TRUSTED_SINCE
    return {"start": start.isoformat(timespec="seconds").replace("+00:00", "Z")}


def _log(key: LogKey, url: str) -> dict[str, Any]:
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": b64(key.public),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": _since(),
        },
        "logId": {"keyId": b64(key.key_id)},
    }


def _authority(chain: Sequence[x509.Certificate], url: str) -> dict[str, Any]:
    subject = chain[0].subject
    return {
        "subject": {
            "organization": subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value,
            "commonName": subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value,
        },
        "uri": url,
        "certChain": {
            "certificates": [{"rawBytes": b64(one.public_bytes(Encoding.DER))} for one in chain]
        },
        "validFor": _since(),
    }
