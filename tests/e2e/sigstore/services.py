"""Fulcio, Rekor v2 and the timestamp authority, with keys of the tests' own."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import requests
import yaml
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.e2e.api_server.processes import Program
from tests.e2e.sigstore.neighbours import PROVIDERS, Neighbours, serving
from tests.sigstore.authority import Authority, Identity
from tests.sigstore.log import Log
from tests.sigstore.rekor2 import ORIGIN, TileLog
from tests.sigstore.timestamps import TimestampAuthority
from tests.sigstore.tokens import AUDIENCE, IdentityProvider
from tests.sigstore.trust import Addresses, client_trust_config, trusted_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

SERVICES: Final = ("fulcio", "rekor-server", "timestamp-server")
VERIFIER: Final = "verify-entry"
PROGRAMS: Final = (*SERVICES, VERIFIER)

START_SECONDS: Final = 60
SIGN_SECONDS: Final = 120

# Nobody else is in the lane's network, so the ports are free. 2112 is the timestamp authority's,
# for its metrics.
NEIGHBOURS, FULCIO, REKOR, TIMESTAMPS = 5000, 5001, 5002, 5003
FULCIO_GRPC, FULCIO_METRICS, REKOR_GRPC, REKOR_METRICS = 6001, 7001, 6002, 7002


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSigstore:
    """The running services: their keys, and the files by which clients use them."""

    authority: Authority
    tile_log: TileLog
    timestamps: TimestampAuthority
    provider: IdentityProvider
    url: str
    folder: Path

    @classmethod
    @contextmanager
    def start(cls, programs: Mapping[str, Path], folder: Path) -> Iterator[Self]:
        """Start the services, each as a program of its own, while the context lasts.

        Raises:
            ControlPlaneError: One of them does not start; with the end of its log.
        """
        authority = Authority.new()
        provider = IdentityProvider()
        with (
            serving(Neighbours(provider, authority.ct_log), port=NEIGHBOURS) as url,
            ExitStack() as running,
        ):
            made = cls(
                authority=authority,
                tile_log=TileLog.new(),
                timestamps=TimestampAuthority.new(),
                provider=provider,
                url=url,
                folder=folder,
            )
            made._write_files()
            for name, command, health in made._commands():
                program = Program([str(programs[name]), *command], log=folder / f"{name}.log")
                running.callback(program.close)
                program.start()
                program.wait_until(partial(_answers, health), seconds=START_SECONDS)
            yield made

    @property
    def issuer(self) -> str:
        """The identity provider of those who sign."""
        return f"{self.url}/{PROVIDERS[0]}"

    @property
    def other_issuer(self) -> str:
        """A second one, which the authority accepts as well."""
        return f"{self.url}/{PROVIDERS[1]}"

    @property
    def trusted_root(self) -> Path:
        """The file for verifiers."""
        return self.folder / "trusted_root.json"

    @property
    def trust_config(self) -> Path:
        """The file for signers, which a verifier can read, too."""
        return self.folder / "trust_config.json"

    def sign(self, model: Path, name: str, *, issuer: str | None = None) -> dict[str, Any]:
        """Sign a model by the command of `model_signing`; return the bundle's document."""
        signature = model / "model.sig"
        token = self.provider.token(Identity(name, issuer or self.issuer))
        command = [sys.executable, "-m", "model_signing", "sign", "sigstore", str(model)]
        command += [f"--signature={signature}", f"--trust_config={self.trust_config}"]
        ended = subprocess.run(
            [*command, f"--identity_token={token}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=SIGN_SECONDS,
        )
        assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}\n{self._logs()}"
        document: dict[str, Any] = json.loads(signature.read_text())
        return document

    def _logs(self) -> str:
        return "\n".join(log.read_text()[-2000:] for log in self.folder.glob("*.log"))

    def _write_files(self) -> None:
        _write_pair(self.folder / "ca", self.authority.intermediate.key, self.authority.chain)
        _write_pair(self.folder / "tsa", self.timestamps.signer.key, self.timestamps.chain)
        _write_pair(self.folder / "rekor", self.tile_log.private, ())
        (self.folder / "ct.pem").write_bytes(
            self.authority.ct_log.private.public_key().public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
            )
        )
        issuers = {
            issuer: {"issuer-url": issuer, "client-id": AUDIENCE, "type": "email"}
            for issuer in (self.issuer, self.other_issuer)
        }
        (self.folder / "fulcio.yaml").write_text(yaml.safe_dump({"oidc-issuers": issuers}))
        root = trusted_root(
            self.authority,
            Log.new(),
            tile_log=self.tile_log,
            timestamps=self.timestamps,
            url=_local(REKOR),
        )
        self.trusted_root.write_text(json.dumps(root))
        addresses = Addresses(
            authority=_local(FULCIO),
            issuer=self.issuer,
            log=_local(REKOR),
            timestamps=f"{_local(TIMESTAMPS)}/api/v1/timestamp",
        )
        config = client_trust_config(root, addresses, log_version=2)
        self.trust_config.write_text(json.dumps(config))

    def _commands(self) -> Iterator[tuple[str, list[str], str]]:
        """Yield each program's name, its arguments, and where it says that it is well."""
        yield (
            "fulcio",
            [
                *("serve", "--host=127.0.0.1", f"--port={FULCIO}", f"--ct-log-url={self.url}"),
                *("--grpc-host=127.0.0.1", f"--grpc-port={FULCIO_GRPC}"),
                f"--metrics-port={FULCIO_METRICS}",
                f"--legacy-unix-domain-socket={self.folder / 'fulcio.socket'}",
                f"--ct-log-public-key-path={self.folder / 'ct.pem'}",
                f"--config-path={self.folder / 'fulcio.yaml'}",
                *("--ca=fileca", "--fileca-watch=false", "--fileca-key-passwd=none"),
                f"--fileca-cert={self.folder / 'ca.pem'}",
                f"--fileca-key={self.folder / 'ca.key'}",
            ],
            f"{_local(FULCIO)}/healthz",
        )
        yield (
            "rekor-server",
            [
                *("serve", f"--hostname={ORIGIN}", f"--http-port={REKOR}"),
                *(f"--grpc-port={REKOR_GRPC}", f"--http-metrics-port={REKOR_METRICS}"),
                f"--signer-filepath={self.folder / 'rekor.key'}",
                *(f"--storage-dir={self.folder / 'tiles'}", "--checkpoint-interval=500ms"),
            ],
            f"{_local(REKOR)}/healthz",
        )
        yield (
            "timestamp-server",
            [
                *("serve", "--host=127.0.0.1", f"--port={TIMESTAMPS}", "--timestamp-signer=file"),
                f"--file-signer-key-path={self.folder / 'tsa.key'}",
                f"--certificate-chain-path={self.folder / 'tsa.pem'}",
                "--disable-ntp-monitoring",  # it asks the world's clocks
            ],
            f"{_local(TIMESTAMPS)}/ping",
        )


def _local(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _answers(url: str) -> bool:
    return requests.get(url, timeout=5).ok


def _write_pair(path: Path, key: PrivateKeyTypes, chain: Sequence[x509.Certificate]) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.with_suffix(".key").write_bytes(pem)
    path.with_suffix(".pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in chain))
