"""`python -m webhook serve` as a process of its own, and a client of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import ssl
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from certs.issuing import Authority, issue, new_authority

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

START_SECONDS = 60
"""Ready after 1 s alone; a machine whose cores are all busy takes many times that."""

POLICY = """
apiVersion: rhtas.redhat.com/v1alpha1
kind: ModelValidation
metadata: {name: granite}
spec:
  model: {path: /models/granite, volume: {persistentVolumeClaim: {claimName: models}}}
  config: {privateKeyConfig: {publicKey: "-----BEGIN PUBLIC KEY-----"}}
"""


@dataclass
class Webhook:
    """A running webhook: a context manager that ends it whatever happens.

    Attributes:
        folder: Where its certificate and its policies are.
        options: Appended to the command line.
        environment: Added to this process's own.
        log: The lines that it has written, decoded.
    """

    folder: Path
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    authority: Authority = field(default_factory=lambda: new_authority(now=dt.datetime.now(dt.UTC)))
    port: int = 0
    probe_port: int = 0

    async def __aenter__(self) -> Self:
        (self.folder / "policies").mkdir(exist_ok=True)
        if not (self.folder / "tls.crt").exists():
            self.renew()
        self.process = await create_subprocess_exec(
            *self.command, stderr=PIPE, env=os.environ | self.environment
        )
        self._reader = asyncio.create_task(self._read())
        try:
            listening = await self.logged("listening", seconds=START_SECONDS)
        except BaseException:
            await self._end()  # for without a start there is no exit
            raise
        self.port, self.probe_port = listening["port"], listening["probe_port"]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reader

    @property
    def command(self) -> list[str]:
        """The command line."""
        source = () if "--kubeconfig" in self.options else ("--policies", self.folder / "policies")
        return [
            *(sys.executable, "-m", "webhook", "serve"),
            *map(str, source),
            *("--gate-image", "validator:1", "--host", "127.0.0.1"),
            *("--port", "0", "--probe-port", "0"),
            *(
                "--tls-cert",
                str(self.folder / "tls.crt"),
                "--tls-key",
                str(self.folder / "tls.key"),
            ),
            *self.options,
        ]

    def renew(self) -> bytes:
        """Install a new certificate; return it."""
        pair = issue(self.authority, names=["127.0.0.1"], now=dt.datetime.now(dt.UTC))
        (self.folder / "tls.key").write_bytes(pair.key)
        (self.folder / "tls.crt").write_bytes(pair.certificate)
        return pair.certificate

    def client(self) -> aiohttp.ClientSession:
        """Return a client that trusts the webhook's authority."""
        trust = ssl.create_default_context(cadata=self.authority.certificate.decode())
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, limit=0))

    def url(self, path: str) -> str:
        """Return the address of a path, of reviews or probes."""
        if path in {"/mutate", "/validate"}:
            return f"https://127.0.0.1:{self.port}{path}"
        return f"http://127.0.0.1:{self.probe_port}{path}"

    async def shown(self) -> bytes:
        """Return the certificate (DER) that a new connection sees."""
        trust = ssl.create_default_context(cadata=self.authority.certificate.decode())
        _, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=trust, server_hostname="127.0.0.1"
        )
        certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
        return certificate

    async def ready(self) -> None:
        """Return when the webhook says that it is ready."""
        async with asyncio.timeout(START_SECONDS):
            while await self.readiness() != "ok\n":  # noqa: ASYNC110 — the other side is a process
                await asyncio.sleep(0.05)

    async def readiness(self) -> str:
        """Return what the readiness probe says."""
        async with aiohttp.ClientSession() as client, client.get(self.url("/readyz")) as answer:
            return await answer.text()

    async def metrics(self) -> str:
        """Return the metrics."""
        async with aiohttp.ClientSession() as client, client.get(self.url("/metrics")) as answer:
            return await answer.text()

    async def logged(self, event: str, *, seconds: float = 10) -> dict[str, Any]:
        """Return the first line of an event, once it is there."""
        async with asyncio.timeout(seconds):
            while True:
                for line in self.log:
                    if line["event"] == event:
                        return line
                if self.process.returncode is not None:
                    raise AssertionError(f"ended with {self.process.returncode}: {self.log}")
                await asyncio.sleep(0.01)

    def terminate(self) -> None:
        """Send SIGTERM, as the kubelet does."""
        os.kill(self.process.pid, signal.SIGTERM)

    async def ended(self, *, seconds: float = 20) -> int:
        """Return the exit code, once it is there."""
        async with asyncio.timeout(seconds):
            return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.log.append({"event": "not JSON", "line": line.decode()})


def pod(**metadata: Any) -> dict[str, Any]:
    """Return a pod that serves the policy's model."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "llm-", "labels": {"validation.rhtas.redhat.com/ml": "true"}}
        | metadata,
        "spec": {
            "containers": [
                {"name": "vllm", "image": "vllm:1", "args": ["--model", "/models/granite"]}
            ]
        },
    }


def review(document: dict[str, Any], *, operation: str = "CREATE", **fields: Any) -> dict[str, Any]:
    """Return the review of a pod."""
    request = {
        "uid": "the-uid",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "models",
        "operation": operation,
        "userInfo": {"username": "admin"},
        "object": document,
    } | fields
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
