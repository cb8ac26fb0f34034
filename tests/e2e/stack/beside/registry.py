"""A registry with artifacts for Flux, and signatures of them as `cosign sign` leaves them there.

Served is what a client needs to pull (OCI Distribution 1.1): manifests and blobs. A signature is
cosign's of Sigstore's public instance in form: a manifest with the tag `sha256-….sig`, whose layer
names the artifact's digest and carries certificate, chain and the log's promise as annotations.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, ClassVar, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from tests.sigstore.authority import Authority
from tests.sigstore.keys import LogKey, new_key
from tests.sigstore.log import Log, b64, canonical, sha256
from tests.support.served import http_served

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cryptography import x509

    from tests.sigstore.authority import Identity

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.cncf.flux.config.v1+json"
CONTENT: Final = "application/vnd.cncf.flux.content.v1.tar+gzip"
SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"


@dataclass(frozen=True, slots=True)
class Signers:
    """Those who certify and log signatures: the two parts of a Sigstore that cosign asks."""

    authority: Authority = field(default_factory=Authority.new)
    log: Log = field(default_factory=Log.new)

    def trusted(self, folder: Path) -> dict[str, str]:
        """Write what a verifier trusts into a folder; return the variables that name the files."""
        chain = [each.public_bytes(Encoding.PEM) for each in self.authority.chain]
        files = {
            "SIGSTORE_ROOT_FILE": b"".join(chain),
            "SIGSTORE_REKOR_PUBLIC_KEY": _pem(self.log.key),
            "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": _pem(self.authority.ct_log),
        }
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return {name: str(folder / name) for name in files}


@dataclass(slots=True)
class Registry:
    """What is in one repository.

    Attributes:
        url: The repository's, such as `oci://10.0.0.1:5000/llm`.
        content: Media type and bytes by the path below the repository.
    """

    url: str
    content: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def push(self, files: Mapping[str, bytes], *, tag: str) -> str:
        """Push files as `flux push artifact` does; return the artifact's digest."""
        layer = self._blob(CONTENT, _archive(files))
        return self._manifest(self._blob(CONFIG, b"{}"), layer, tag=tag)

    def sign(self, digest: str, signers: Signers, identity: Identity) -> None:
        """Sign an artifact as `cosign sign` does, keylessly."""
        critical = {
            "identity": {"docker-reference": self.url.removeprefix("oci://")},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        }
        payload = canonical({"critical": critical, "optional": None})
        key = new_key()
        certificate = signers.authority.issue(key.public_key(), identity)
        signature = key.sign(payload, ec.ECDSA(hashes.SHA256()))
        layer = self._blob(SIMPLE_SIGNING, payload)
        layer["annotations"] = _annotations(signers, payload, signature, certificate)
        config = self._blob("application/vnd.oci.image.config.v1+json", b"{}")
        self._manifest(config, layer, tag=f"{digest.replace(':', '-')}.sig")

    def _blob(self, kind: str, content: bytes) -> dict[str, object]:
        digest = f"sha256:{sha256(content)}"
        self.content[f"blobs/{digest}"] = ("application/octet-stream", content)
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    def _manifest(self, config: object, layer: object, *, tag: str) -> str:
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
        content = json.dumps(manifest).encode()
        digest = f"sha256:{sha256(content)}"
        for reference in (tag, digest):
            self.content[f"manifests/{reference}"] = (MANIFEST, content)
        return digest


@contextmanager
def serving(*, address: str, repository: str = "llm") -> Iterator[Registry]:
    """Serve a repository, empty at first, while the context lasts."""
    registry = Registry("")
    handler = type("Bound", (_Handler,), {"content": registry.content, "repository": repository})
    with http_served(handler, address=address) as url:
        registry.url = f"{url.replace('http:', 'oci:')}/{repository}"
        yield registry


class _Handler(BaseHTTPRequestHandler):
    content: ClassVar[dict[str, tuple[str, bytes]]]
    repository: ClassVar[str]

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def log_message(self, *_: object) -> None:
        """Stay silent: the output is pytest's."""

    def _answer(self) -> bytes:
        known = {f"/v2/{self.repository}/{path}": value for path, value in self.content.items()}
        kind, content = known.get(self.path, ("application/json", b"{}"))
        self.send_response(200 if self.path in (*known, "/v2/") else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", f"sha256:{sha256(content)}")
        self.end_headers()
        return content


def _archive(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(archive.getvalue())


def _annotations(
    signers: Signers, payload: bytes, signature: bytes, certificate: x509.Certificate
) -> dict[str, str]:
    pem = certificate.public_bytes(Encoding.PEM)
    body = canonical(
        {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {
                    "hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
                },
                "signature": {"content": b64(signature), "publicKey": {"content": b64(pem)}},
            },
        }
    )
    entry = signers.log.append(body)
    logged = {
        "body": b64(body),
        "integratedTime": entry.integrated_time,
        "logIndex": entry.index,
        "logID": entry.key_id.hex(),
    }
    bundle = {"SignedEntryTimestamp": b64(entry.signed_entry_timestamp), "Payload": logged}
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in signers.authority.chain)
    return {
        "dev.cosignproject.cosign/signature": b64(signature),
        "dev.sigstore.cosign/certificate": pem.decode(),
        "dev.sigstore.cosign/chain": chain.decode(),
        "dev.sigstore.cosign/bundle": json.dumps(bundle),
    }


def _pem(key: LogKey) -> bytes:
    public = load_der_public_key(key.public)
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
