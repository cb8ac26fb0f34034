"""Servers as processes of their own, over TLS on loopback: the webhook, and one that only answers.

    python -m benchmarks.servers FOLDER

serves an aiohttp handler that reads a review and answers the patch that `recorded` in the folder
has: the least that a webhook in Python can do.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import os
import ssl
import sys
import tempfile
from asyncio.subprocess import DEVNULL, create_subprocess_exec
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import yaml
from aiohttp import web

from benchmarks import reviews
from certs.issuing import issue, new_authority
from validator.policy.document import ModelValidation
from webhook.admission import json_patch, mutation
from webhook.admission.pod import Manifest
from webhook.settings import GateSettings, NamespaceOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

IMAGE: Final = "validator:1"
WEBHOOK: Final = ("-m", "webhook")
NO_PATCH: Final = b"[]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server under test.

    Attributes:
        url: Where it is asked.
        pid: Of its process.
        probes: Where its probes are asked; empty where it has none.
    """

    url: str
    pid: int
    probes: str = ""

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used."""
        return cpu_seconds(self.pid)

    def resident_mib(self) -> float:
        """Return the memory that it holds."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def prepare(folder: Path, *, names: Sequence[str] = ("127.0.0.1",)) -> bytes:
    """Write a certificate, its key, and a patch as the webhook makes it; return the authority."""
    authority = new_authority(now=dt.datetime.now(dt.UTC))
    pair = issue(authority, names=list(names), now=dt.datetime.now(dt.UTC))
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)
    (folder / "recorded").write_bytes(recorded())
    return authority.certificate


def recorded() -> bytes:
    """Return the patch that the webhook makes of a pod."""
    document = reviews.pod()
    done = mutation.mutate(
        Manifest(raw=document),
        ModelValidation.from_object(yaml.safe_load(reviews.POLICY), source="the benchmark"),
        gate=GateSettings(image=IMAGE),
        namespace=NamespaceOptions(name=reviews.NAMESPACE),
    )
    return msgspec.json.encode(json_patch.patch(document, done.pod))


@asynccontextmanager
async def webhook(
    folder: Path, *, source: Sequence[str] | None = None, program: Sequence[str] = WEBHOOK
) -> AsyncIterator[Server]:
    """Run the webhook.

    Args:
        folder: What `prepare` has written to, and where policies are unless `source` says else.
        source: Options that name another source of policies; empty for the pod's own cluster.
        program: How the interpreter is told to run the webhook.
    """
    source = ("--policies", str(folder / "policies")) if source is None else source
    listening = ("--host", "127.0.0.1", "--port", "0", "--probe-port", "0", "--drain-seconds", "0")
    pair = ("--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key"))
    arguments = ("serve", *source, "--gate-image", IMAGE, *listening, *pair)
    async with _running((*program, *arguments), path="/mutate") as server:
        yield server


@asynccontextmanager
async def recorded_patch(folder: Path) -> AsyncIterator[Server]:
    """Run the handler that answers a recorded patch."""
    async with _running(("-m", "benchmarks.servers", str(folder)), path="/mutate") as server:
        yield server


@asynccontextmanager
async def _running(arguments: Sequence[str], *, path: str) -> AsyncIterator[Server]:
    """Start a program that logs a line "listening" with its port."""
    with tempfile.TemporaryFile() as log:
        process = await create_subprocess_exec(
            sys.executable, *arguments, stderr=log, stdout=DEVNULL
        )
        try:
            line = await _listening(log.fileno(), process)
            probes = f"http://127.0.0.1:{line['probe_port']}" if "probe_port" in line else ""
            url = f"https://127.0.0.1:{line['port']}{path}"
            yield Server(url=url, pid=process.pid, probes=probes)
        finally:
            process.kill()
            await process.wait()


async def _listening(log: int, process: asyncio.subprocess.Process) -> dict[str, int]:
    """Return the log's line that names the ports, once it is written."""
    for _ in range(20_000):
        for line in os.pread(log, 1_000_000, 0).splitlines():
            if b'"listening"' in line:
                found: dict[str, int] = json.loads(line)
                return found
        if process.returncode is not None:
            break
        await asyncio.sleep(0.003)
    raise SystemExit(f"a server did not start: {os.pread(log, 4096, 0).decode()}")


async def _serve_recorded(folder: Path) -> None:
    recording = (folder / "recorded").read_bytes()
    patched = {"patchType": "JSONPatch", "patch": base64.b64encode(recording).decode()}

    async def answer(request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read())["request"]
        # Asked again about a pod, or on /validate, it is there already.
        is_new = "initContainers" not in asked["object"]["spec"]
        patch = patched if is_new and recording != NO_PATCH else {}
        response = {"uid": asked["uid"], "allowed": True, **patch}
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        return web.Response(
            body=msgspec.json.encode({**body, "response": response}),
            content_type="application/json",
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    app = web.Application(client_max_size=32 * 1024 * 1024)
    for path in ("/mutate", "/validate"):
        app.router.add_post(path, answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    listening = {"event": "listening", "port": runner.addresses[0][1]}
    sys.stderr.write(f"{json.dumps(listening)}\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve_recorded(Path(sys.argv[1])))
