"""Signers of test models, and both verifiers' verdicts on what they made.

The one file here that calls `model_signing`: it signs, and it is the oracle. That is 1.1.1, or
rh-model-signing where `python -m tests.support.differential` runs the tests.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from model_signing import hashing, signing, verifying

from validator.errors import ValidatorError
from validator.signatures.certificate import CertificateVerifier
from validator.signatures.key import KeyVerifier
from validator.signatures.keyless import Expected, SigstoreVerifier
from validator.signatures.trusted_root import TrustedRoot
from validator.verification import Request, verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Self

    from tests.sigstore import PrivateSigstore
    from tests.support.differential.models import Scenario, Site
    from validator.signatures import Verifier

IS_RED_HATS: Final = "rh-model-signing" in packages_distributions()["model_signing"]
"""Whether the reference is rh-model-signing, which has mended some flaws of 1.1.1."""

ALICE: Final = "alice@example.com"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's verdict; `why` is its sentence if it did not accept."""

    accepted: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ECDSA key, and its PEM files as `model_signing` wants them."""

    private: ec.EllipticCurvePrivateKey
    private_path: Path
    public_path: Path

    @classmethod
    def new(cls, folder: Path, curve: ec.EllipticCurve) -> Self:
        """Make one in files named after the curve."""
        key = ec.generate_private_key(curve)
        pair = cls(key, folder / f"{curve.name}.key", folder / f"{curve.name}.pub")
        pair.private_path.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        pair.public_path.write_bytes(
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        return pair


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority, and a signer's key that it certifies."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    path: Path
    signer: KeyPair

    @classmethod
    def new(cls, folder: Path, signer: KeyPair) -> Self:
        """Make one that is valid for years, past and future."""
        return cls._certified(folder, ec.generate_private_key(ec.SECP256R1()), signer)

    @classmethod
    def _certified(
        cls,
        folder: Path,
        key: ec.EllipticCurvePrivateKey,
        signer: KeyPair,
        purpose: x509.ObjectIdentifier | None = None,
    ) -> Self:
        now = datetime.now(UTC)
        draft = (
            _certificate("Test CA", key.public_key(), now - 2000 * _DAY, now + 2000 * _DAY)
            .issuer_name(_name("Test CA"))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(key_cert_sign=True), critical=True)
        )
        if purpose:
            draft = draft.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        certificate = draft.sign(key, hashes.SHA256())
        path = folder / ("ca-confined.pem" if purpose else "ca.pem")
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(folder, key, certificate, path, signer)

    def confined(self, purpose: x509.ObjectIdentifier) -> Self:
        """Return the same authority with a certificate for one purpose alone."""
        return self._certified(self.folder, self.key, self.signer, purpose)

    def issue(
        self,
        name: str,
        *,
        starts: timedelta = -_DAY,
        ends: timedelta = 30 * _DAY,
        purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CODE_SIGNING,
        digital_signature: bool = True,
    ) -> Path:
        """Certify the signer's key, honestly or not; times are relative to now.

        Without a purpose the certificate restricts nothing.
        """
        now = datetime.now(UTC)
        public = self.signer.private.public_key()
        draft = (
            _certificate(name, public, now + starts, now + ends)
            .issuer_name(self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        if purpose:
            draft = draft.add_extension(
                _usage(digital_signature=digital_signature, key_agreement=not digital_signature),
                critical=True,
            ).add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        certificate = draft.sign(self.key, hashes.SHA256())
        path = self.folder / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return path


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    name: str, key: ec.EllipticCurvePublicKey, starts: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, key_agreement: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=key_agreement,
        encipher_only=False,
        decipher_only=False,
    )


class Signers:
    """Everybody who signs in these tests, and both verifiers that trust them."""

    def __init__(self, folder: Path) -> None:
        curves = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
        self.keys = tuple(KeyPair.new(folder, curve) for curve in curves)
        self.authority = Authority.new(folder, self.keys[0])
        self.leaf = self.authority.issue("signer")

    def key(self, scenario: Scenario) -> KeyPair:
        """Return the key of a scenario that is signed by one."""
        return self.keys[scenario.seed % len(self.keys)]

    def sign(self, site: Site, *, sigstore: PrivateSigstore | None = None) -> None:
        """Sign a model by the reference."""
        config = signing.Config().set_hashing_config(hashing_config(site.scenario))
        match site.scenario.method:
            case "key":
                config.use_elliptic_key_signer(private_key=self.key(site.scenario).private_path)
            case "certificate":
                config.use_certificate_signer(
                    private_key=self.authority.signer.private_path,
                    signing_certificate=self.leaf,
                    certificate_chain=[self.authority.path],
                )
            case _:
                assert sigstore
                config.use_sigstore_signer(
                    identity_token=sigstore.identity_token(ALICE),
                    trust_config=sigstore.trust_config_path,
                )
        with quiet():
            config.sign(site.model, site.signature)

    def reference(self, site: Site, *, sigstore: PrivateSigstore | None = None) -> Verdict:
        """Return the reference's verdict.

        It guesses how to hash from the bundle where it can. Where that dies
        (shards, BLAKE2b) or forgets what was signed (links, git's files), it is
        told; those are flaws with tests of their own.
        """
        config = verifying.Config().set_ignore_unsigned_files(site.scenario.ignore_unsigned)
        scenario = site.scenario
        cannot_guess = scenario.shard_bytes or scenario.hash == "blake2"
        if cannot_guess or scenario.allow_links or scenario.sign_git:
            config.set_hashing_config(hashing_config(scenario))
        match scenario.method:
            case "key":
                config.use_elliptic_key_verifier(public_key=self.key(scenario).public_path)
            case "certificate":
                config.use_certificate_verifier(certificate_chain=[self.authority.path])
            case _:
                assert sigstore
                config.use_sigstore_verifier(
                    identity=ALICE,
                    oidc_issuer=sigstore.issuer,
                    trust_config=sigstore.trust_config_path,
                )
        return reference_verdict(config, site.model, site.signature)

    def ours(self, site: Site, *, sigstore: PrivateSigstore | None = None) -> Verdict:
        """Return our verdict; an error that is not ours is a failure of the test."""
        verifier: Verifier
        match site.scenario.method:
            case "key":
                verifier = key_verifier(self.key(site.scenario))
            case "certificate":
                verifier = certificate_verifier(self.authority)
            case _:
                assert sigstore
                root = TrustedRoot.from_json(sigstore.trusted_root_json.encode(), source="private")
                expected = Expected(identity=ALICE, issuer=sigstore.issuer)
                verifier = SigstoreVerifier(expected, trusted_root=root)
        return our_verdict(
            Request(
                model=site.model,
                signature=site.signature,
                verifiers=(verifier,),
                ignore_git_paths=not site.scenario.sign_git,
                ignore_unsigned_files=site.scenario.ignore_unsigned,
                jobs=1 + site.scenario.seed % 3,
            )
        )


def key_verifier(pair: KeyPair) -> KeyVerifier:
    """Return our verifier that trusts a key."""
    return KeyVerifier.from_pem(pair.public_path.read_bytes(), source=pair.public_path.name)


def certificate_verifier(authority: Authority) -> CertificateVerifier:
    """Return our verifier that trusts an authority."""
    return CertificateVerifier.from_pem(authority.path.read_bytes(), source=authority.path.name)


def hashing_config(scenario: Scenario) -> Any:
    """Return how the reference is told to hash a scenario's model."""
    config = hashing.Config()
    if scenario.shard_bytes:
        config.use_shard_serialization(
            hashing_algorithm=scenario.hash, shard_size=scenario.shard_bytes
        )
    else:
        config.use_file_serialization(hashing_algorithm=scenario.hash)
    ignored = [*scenario.ignores, *(["model.sig"] if scenario.inside else [])]
    config.set_ignored_paths(paths=ignored, ignore_git_paths=not scenario.sign_git)
    return config.set_allow_symlinks(scenario.allow_links)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the reference prints and warns of from becoming a verdict."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def reference_verdict(config: Any, model: Path, signature: Path) -> Verdict:
    """Return the verdict of a configured `model_signing` verifier."""
    with quiet():
        try:
            config.verify(model, signature)
        except Exception as error:  # noqa: BLE001 — it dies in many ways, and each is a refusal
            return Verdict(accepted=False, why=f"{type(error).__name__}: {error}")
    return Verdict(accepted=True)


def our_verdict(request: Request) -> Verdict:
    """Return our verdict on a request."""
    try:
        verify(request)
    except ValidatorError as error:
        return Verdict(accepted=False, why=f"{type(error).__name__}: {error}")
    return Verdict(accepted=True)


def resource(name: str, content: bytes) -> dict[str, str]:
    """Return a signed manifest's entry for a whole file."""
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "algorithm": "sha256", "digest": digest}


def statement(resources: Iterable[dict[str, str]], **serialization: object) -> dict[str, Any]:
    """Return an OMS statement over any resources, consistent or not elsewhere."""
    listed = list(resources)
    root = hashlib.sha256(b"".join(bytes.fromhex(item["digest"]) for item in listed)).hexdigest()
    how = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, **serialization}
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "model", "digest": {"sha256": root}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"serialization": how, "resources": listed},
    }


def bundle_by_key(pair: KeyPair, document: dict[str, Any] | bytes) -> bytes:
    """Sign any statement by a P-256 key, and return the bundle's bytes."""
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    kind = PAYLOAD_TYPE.encode()
    encoded = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signature = pair.private.sign(encoded, ec.ECDSA(hashes.SHA256()))
    hint = hashlib.sha256(pair.public_path.read_bytes()).hexdigest()
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode()
