"""The private Sigstore as tests and the demo use it: start it, sign with it, bend it."""

from __future__ import annotations

import copy
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tests.sigstore.authority import HONEST, ISSUER, Authority, Identity, LeafProfile
from tests.sigstore.keys import new_key
from tests.sigstore.log import Log, b64, dsse_body
from tests.sigstore.rekor2 import hashedrekord_body
from tests.sigstore.service import Services, serving
from tests.sigstore.timestamps import TimestampAuthority
from tests.sigstore.tokens import IdentityProvider
from tests.sigstore.trust import Addresses, client_trust_config, trusted_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from cryptography import x509
    from model_signing import hashing

ALICE: Final = Identity("alice@example.com")
"""The signer of tests that name no other."""

IN_TOTO: Final = "application/vnd.in-toto+json"

Flavour = Literal["0.1", "0.2", "0.3", "v0.3"]

MEDIA_TYPES: Final[dict[Flavour, str]] = {
    "0.1": "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "0.2": "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "0.3": "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "v0.3": "application/vnd.dev.sigstore.bundle.v0.3+json",
}


@dataclass(frozen=True, slots=True)
class PrivateSigstore:
    """A running private Sigstore.

    `services` are its parts, reachable at `url`; `trust_config_path` is what
    `model_signing … --trust_config` wants, `trusted_root_path` what a verifier does.
    """

    services: Services
    url: str
    trust_config_path: Path
    trusted_root_path: Path

    @classmethod
    @contextmanager
    def start(cls, *, address: str = "127.0.0.1") -> Iterator[Self]:
        """Make fresh keys and serve on an address of this machine while the context lasts."""
        services = Services(
            Authority.new(), Log.new(), IdentityProvider(), TimestampAuthority.new()
        )
        with (
            TemporaryDirectory(prefix="sigstore-") as directory,
            serving(services, address=address) as url,
        ):
            root = trusted_root(
                services.authority,
                services.log,
                tile_log=services.tile_log,
                timestamps=services.timestamps,
                url=url,
            )
            root_path = Path(directory, "trusted_root.json")
            root_path.write_text(json.dumps(root))
            config_path = Path(directory, "trust_config.json")
            stamping = f"{url}/api/v1/timestamp"
            addresses = Addresses(authority=url, issuer=url, log=url, timestamps=stamping)
            config_path.write_text(json.dumps(client_trust_config(root, addresses)))
            yield cls(services, url, config_path, root_path)

    @property
    def authority(self) -> Authority:
        """The certificate authority that the trusted root names."""
        return self.services.authority

    @property
    def log(self) -> Log:
        """The signature log that the trusted root names."""
        return self.services.log

    @property
    def timestamps(self) -> TimestampAuthority:
        """The timestamp authority that the trusted root names."""
        return self.services.timestamps

    @property
    def issuer(self) -> str:
        """The OIDC issuer in certificates, unless an identity says otherwise."""
        return ISSUER

    @property
    def trusted_root_json(self) -> str:
        """The trusted root as a policy carries it inline."""
        return self.trusted_root_path.read_text()

    def identity_token(self, email: str = ALICE.name, *, issuer: str = ISSUER) -> str:
        """Return an OIDC token that the authority accepts."""
        return self.services.provider.token(Identity(email, issuer))

    def sign_model(
        self,
        model: Path,
        signature: Path,
        *,
        identity: Identity = ALICE,
        ignore_paths: Iterable[Path | str] = (),
        hashing: hashing.Config | None = None,
    ) -> None:
        """Sign a model by `model_signing`'s own code, over HTTP.

        `ignore_paths` are relative to the model; the signature is ignored anyway.
        """
        # Takes a second to import, and who only signs statements does without it.
        from model_signing import hashing as how  # noqa: PLC0415 — as said above
        from model_signing import signing  # noqa: PLC0415 — as said above

        config = copy.copy(hashing) if hashing else how.Config()
        ignored = [*ignore_paths, signature.absolute()]
        config.add_ignored_paths(model_path=model.absolute(), paths=ignored)
        signing.Config().use_sigstore_signer(
            identity_token=self.services.provider.token(identity),
            trust_config=self.trust_config_path,
        ).set_hashing_config(config).sign(model, signature)

    def sign_statement(  # noqa: PLR0913 — each is one thing to bend
        self,
        statement: bytes | dict[str, Any],
        *,
        identity: Identity = ALICE,
        leaf: LeafProfile = HONEST,
        authority: Authority | None = None,
        log: Log | None = None,
        timestamps: TimestampAuthority | None = None,
        payload_type: str = IN_TOTO,
        flavour: Flavour = "v0.3",
        rekor: Literal[1, 2] = 1,
        key: Any = None,
        edit: Callable[[dict[str, Any]], object] | None = None,
    ) -> str:
        """Return a bundle over any payload, made without HTTP.

        Another `authority`, `log` or `timestamps` than the trusted root's takes that
        part's place; `rekor` chooses the log's version; `key` is the signer's, of any kind
        that Fulcio certifies; `edit` changes the finished bundle's document in place.
        """
        payload = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
        key = key or new_key()
        certificate = (authority or self.authority).issue(key.public_key(), identity, profile=leaf)
        encoded = pre_authentication_encoding(payload_type, payload)
        signature = signed_by(key, encoded)
        envelope = {
            "payload": b64(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": b64(signature)}],
        }
        if rekor == 2:
            entry = self.services.tile_log.append(
                hashedrekord_body(encoded, signature, certificate)
            )
        else:
            body = dsse_body(json.dumps(envelope), [b64(certificate.public_bytes(Encoding.PEM))])
            entry = (log or self.log).append(body).in_bundle()
        stamp = (timestamps or self.timestamps).stamp(signature)
        bundle = {
            "mediaType": MEDIA_TYPES[flavour],
            "verificationMaterial": {
                **_certified(certificate, flavour),
                "tlogEntries": [entry],
                "timestampVerificationData": {
                    "rfc3161Timestamps": [{"signedTimestamp": b64(stamp)}]
                },
            },
            "dsseEnvelope": envelope,
        }
        if edit:
            edit(bundle)
        return json.dumps(bundle)


_HASHES: Final = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
"""The hash that goes with a curve, by its bits (Sigstore's algorithm registry)."""


def signed_by(key: Any, message: bytes) -> bytes:
    """Return a signature as Sigstore's algorithm registry has it for the kind of key."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(_HASHES[key.curve.key_size]))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return bytes(key.sign(message))


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return what a DSSE signature covers (the DSSE protocol, v1.0.0)."""
    head = f"DSSEv1 {len(payload_type.encode())} {payload_type} {len(payload)} "
    return head.encode() + payload


def _certified(certificate: x509.Certificate, flavour: Flavour) -> dict[str, Any]:
    raw = {"rawBytes": b64(certificate.public_bytes(Encoding.DER))}
    if flavour in {"0.1", "0.2"}:
        return {"x509CertificateChain": {"certificates": [raw]}}
    return {"certificate": raw}
