"""Reviews a second of the webhook, side by side with an aiohttp handler that only echoes.

    python -m benchmarks.webhook_throughput [--reviews 3000]

Both are processes of their own, over TLS keep-alive on loopback; the client runs
here, so that on few cores it has its share in the figures. They are asked in
turns, and the ratio of their medians is what can be compared between machines.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import ssl
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import create_subprocess_exec
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web

from certs.issuing import Authority, issue, new_authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

IN_FLIGHT: Final = (1, 16, 64)
ROUNDS: Final = 3
WARM_UP: Final = 200
REVIEWS_LIMIT: Final = 20_000

POLICY: Final = """
apiVersion: rhtas.redhat.com/v1alpha1
kind: ModelValidation
metadata: {name: granite}
spec:
  model: {path: /models/granite, volume: {persistentVolumeClaim: {claimName: models}}}
  config:
    sigstoreConfig:
      certificateIdentity: https://github.com/example/models/.github/workflows/sign.yaml@main
      certificateOidcIssuer: https://token.actions.githubusercontent.com
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server under test, and what it is asked."""

    name: str
    url: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One run: reviews a second, milliseconds of the median and the slowest hundredth."""

    rate: float
    p50: float
    p99: float
    cpu: float


def review() -> bytes:
    """Return the review of a pod as a cluster has them: defaults, a token, probes, variables."""
    container = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.32.0",
        "args": ["--model", "/models/granite", "--port", "8000", "--max-model-len", "8192"],
        "env": [{"name": f"VARIABLE_{number}", "value": "x" * 20} for number in range(10)],
        "ports": [{"containerPort": 8000, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "8", "memory": "64Gi"}, "requests": {"cpu": "4"}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [
            {"name": "cache", "mountPath": "/cache"},
            {
                "name": "kube-api-access-x",
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                "readOnly": True,
            },
        ],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "vllm-7d9c-",
            "namespace": "models",
            "labels": {"app": "vllm", "validation.rhtas.redhat.com/ml": "true"},
            "annotations": {"note": "n" * 500},
        },
        "spec": {
            "containers": [container],
            "volumes": [
                {"name": "cache", "emptyDir": {}},
                {"name": "kube-api-access-x", "projected": {"sources": [], "defaultMode": 420}},
            ],
            "restartPolicy": "Always",
            "serviceAccountName": "default",
        },
    }
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "models",
        "operation": "CREATE",
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "object": pod,
    }
    document = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(document).encode()


async def main(reviews: int) -> None:
    """Measure both servers at each number in flight, in turns, and print the table."""
    authority = new_authority(now=dt.datetime.now(dt.UTC))
    trust = ssl.create_default_context(cadata=authority.certificate.decode())
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _prepare(folder, authority)
        servers = [
            await stack.enter_async_context(_webhook(folder)),
            await stack.enter_async_context(_echo(folder)),
        ]
        _print("in flight", "server", "reviews/s", "p50 ms", "p99 ms", "CPU ms")
        for in_flight in IN_FLIGHT:
            runs: dict[str, list[Figures]] = {server.name: [] for server in servers}
            for _ in range(ROUNDS):
                for server in servers:
                    figures = await measured(
                        server, trust=trust, reviews=reviews, in_flight=in_flight
                    )
                    runs[server.name].append(figures)
            rates = {name: _median(of, "rate") for name, of in runs.items()}
            for name, of in runs.items():
                rate = f"{rates[name]:.0f}"
                times = (f"{_median(of, field):.2f}" for field in ("p50", "p99", "cpu"))
                _print(str(in_flight), name, rate, *times)
            ratio = rates["webhook"] / rates["echo"]
            _print("", "ratio", f"{ratio:.2f}", "", "", "")


async def measured(
    server: Server, *, trust: ssl.SSLContext, reviews: int, in_flight: int
) -> Figures:
    """Return the figures of one run over keep-alive connections."""
    body = review()
    connector = aiohttp.TCPConnector(ssl=trust, limit=in_flight)
    async with aiohttp.ClientSession(connector=connector) as client:
        await _ask(client, server, body, count=WARM_UP, in_flight=in_flight)
        cpu = _cpu_seconds(server.pid)
        start = time.perf_counter()
        seconds = await _ask(client, server, body, count=reviews, in_flight=in_flight)
        whole = time.perf_counter() - start
        cpu = _cpu_seconds(server.pid) - cpu
    hundredths = statistics.quantiles(seconds, n=100)
    return Figures(
        rate=len(seconds) / whole,
        p50=hundredths[49] * 1000,
        p99=hundredths[98] * 1000,
        cpu=cpu / len(seconds) * 1000,
    )


async def _ask(
    client: aiohttp.ClientSession, server: Server, body: bytes, *, count: int, in_flight: int
) -> list[float]:
    """Post the body `count` times; return the seconds of each."""
    seconds: list[float] = []
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            start = time.perf_counter()
            headers = {"Content-Type": "application/json"}
            async with client.post(server.url, data=body, headers=headers) as answer:
                text = await answer.read()
            if answer.status != web.HTTPOk.status_code or b'"allowed":true' not in text:
                raise SystemExit(f"{server.name} answered {answer.status}: {text[:500]!r}")
            seconds.append(time.perf_counter() - start)

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return seconds


@asynccontextmanager
async def _webhook(folder: Path) -> AsyncIterator[Server]:
    options = ("--policies", str(folder / "policies"), "--gate-image", "validator:1")
    listening = ("--host", "127.0.0.1", "--port", "0", "--probe-port", "0", "--drain-seconds", "0")
    pair = ("--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key"))
    command = ("-m", "webhook", "serve", *options, *listening, *pair)
    async with _running(command) as (port, pid):
        yield Server(name="webhook", url=f"https://127.0.0.1:{port}/mutate", pid=pid)


@asynccontextmanager
async def _echo(folder: Path) -> AsyncIterator[Server]:
    command = ("-m", "benchmarks.webhook_throughput", "--echo", str(folder))
    async with _running(command) as (port, pid):
        yield Server(name="echo", url=f"https://127.0.0.1:{port}/", pid=pid)


@asynccontextmanager
async def _running(arguments: Sequence[str]) -> AsyncIterator[tuple[int, int]]:
    """Start a program; yield the port that its line "listening" names, and its id."""
    with tempfile.TemporaryFile() as log:
        process = await create_subprocess_exec(sys.executable, *arguments, stderr=log)
        try:
            yield await _port(log.fileno(), process), process.pid
        finally:
            process.kill()
            await process.wait()


async def _port(log: int, process: asyncio.subprocess.Process) -> int:
    for _ in range(1000):
        for line in os.pread(log, 1_000_000, 0).splitlines():
            if b'"listening"' in line:
                return int(json.loads(line)["port"])
        if process.returncode is not None:
            break
        await asyncio.sleep(0.01)
    raise SystemExit(f"a server did not start: {os.pread(log, 4096, 0).decode()}")


def _prepare(folder: Path, authority: Authority) -> None:
    pair = issue(authority, names=["127.0.0.1"], now=dt.datetime.now(dt.UTC))
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)
    (folder / "policies").mkdir()
    (folder / "policies" / "granite.yaml").write_text(POLICY)


async def _serve_echo(folder: Path) -> None:
    """Serve a handler that reads the body and answers the same few bytes."""
    answer = json.dumps({"response": {"uid": "1", "allowed": True}}, separators=(",", ":"))

    async def echo(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text=answer, content_type="application/json")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    app = web.Application()
    app.router.add_post("/", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    listening = {"event": "listening", "port": runner.addresses[0][1]}
    sys.stderr.write(f"{json.dumps(listening)}\n")
    await asyncio.Event().wait()


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of a process; Linux only, 0 elsewhere."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _print(*columns: str) -> None:
    sys.stdout.write("".join(f"{column:>11}" for column in columns) + "\n")
    sys.stdout.flush()


def _median(runs: Sequence[Figures], name: str) -> float:
    values: list[Any] = [getattr(figures, name) for figures in runs]
    return float(statistics.median(values))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the webhook on loopback.")
    parser.add_argument("--reviews", type=int, default=3000, help="a run (default: %(default)s)")
    parser.add_argument("--echo", metavar="DIR", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.echo:
        asyncio.run(_serve_echo(options.echo))
    else:
        asyncio.run(main(min(max(options.reviews, 100), REVIEWS_LIMIT)))
