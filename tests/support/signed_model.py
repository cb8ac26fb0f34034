"""Models, statements and bundles as honest signers make them, to be bent by a test in one place."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from validator.signatures import pae
from validator.signatures.key import KeyVerifier
from validator.verification import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Document = dict[str, Any]

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
LEGACY_PREDICATE_TYPE: Final = "https://model_signing/Digests/v0.1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"

FILES: Final = {"config.json": b"{}", "weights/a.bin": b"a" * 1000, "weights/b.bin": b"b" * 3000}

_HASHES: Final = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}


def b64(content: bytes) -> str:
    """Return content as JSON carries it."""
    return base64.b64encode(content).decode()


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder, and return the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def resource(name: str, content: bytes, *, hash_: str = "sha256") -> Document:
    """Return what a statement says of a file or shard."""
    return {"name": name, "algorithm": hash_, "digest": hashlib.new(hash_, content).hexdigest()}


def sharded(name: str, content: bytes, size: int, *, hash_: str = "sha256") -> list[Document]:
    """Return what a statement says of a file in shards."""
    return [
        resource(
            f"{name}:{start}:{min(start + size, len(content))}",
            content[start : start + size],
            hash_=hash_,
        )
        for start in range(0, len(content), size)
    ]


def root_of(resources: Sequence[Document]) -> str:
    """Return the digest of a statement's subject."""
    return hashlib.sha256(b"".join(bytes.fromhex(item["digest"]) for item in resources)).hexdigest()


def statement_of(resources: Sequence[Document], **serialization: Any) -> Document:
    """Return a statement over resources, consistent in itself."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "granite", "digest": {"sha256": root_of(resources)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [],
            }
            | serialization,
            "resources": list(resources),
        },
    }


def statement(
    files: Mapping[str, bytes] | None = None, *, hash_: str = "sha256", **serialization: Any
) -> Document:
    """Return an honest statement over whole files."""
    listed = [
        resource(name, content, hash_=hash_) for name, content in sorted((files or FILES).items())
    ]
    return statement_of(listed, hash_type=hash_, **serialization)


def legacy_statement(files: Mapping[str, bytes] | None = None) -> Document:
    """Return a statement of the predicate before 1.0, whose subjects are the files."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}}
            for name, content in sorted((files or FILES).items())
        ],
        "predicateType": LEGACY_PREDICATE_TYPE,
        "predicate": {"unused": "Unused, just passed due to API requirements"},
    }


def dsse_bundle(
    payload: bytes, key: ec.EllipticCurvePrivateKey, *, payload_type: str, material: Document
) -> Document:
    """Return a bundle around a payload that the key signs."""
    message = b"".join(pae(payload_type, payload))
    signature = key.sign(message, ec.ECDSA(_HASHES[key.curve.key_size]))
    return {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": b64(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": b64(signature), "keyid": ""}],
        },
    }


@dataclass(frozen=True, slots=True)
class Signer:
    """A signer with a key pair."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def public_pem(self) -> bytes:
        """The public key, PEM."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def verifier(self) -> KeyVerifier:
        """A verifier that trusts this signer."""
        return KeyVerifier.from_pem(self.public_pem, source="signer")

    def bundle(
        self,
        document: Document | bytes,
        *,
        payload_type: str = PAYLOAD_TYPE,
        edit: Callable[[Document], object] | None = None,
    ) -> bytes:
        """Return a bundle over a statement or any payload; `edit` bends the finished one."""
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        hint = hashlib.sha256(self.public_pem).hexdigest()
        made = dsse_bundle(
            payload, self.key, payload_type=payload_type, material={"publicKey": {"hint": hint}}
        )
        if edit:
            edit(made)
        return json.dumps(made).encode()


@dataclass(frozen=True, slots=True)
class Site:
    """A model on the disk, its signature, and who signed it."""

    model: Path
    signature: Path
    signer: Signer

    def sign(self, document: Document | bytes) -> None:
        """Sign a statement."""
        self.signature.write_bytes(self.signer.bundle(document))

    def sign_with(self, name: str, content: bytes) -> None:
        """Sign the honest files, with another one or another content of one."""
        files = FILES | {name: content}
        write(self.model, files)
        self.sign(statement_of([resource(each, files[each]) for each in sorted(files)]))

    def request(self, **changes: Any) -> Request:
        """Return the request to verify it, by its signer."""
        asked: Document = {
            "model": self.model,
            "signature": self.signature,
            "verifiers": (self.signer.verifier,),
            "jobs": 2,
        }
        return Request(**(asked | changes))
