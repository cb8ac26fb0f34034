"""The webhook's start and memory against the number of policies it holds.

    python -m benchmarks.webhook_start [--rounds 5] [--policies N...] [--plot]

The API server is this process, which answers lists and watches from memory. The webhook finds it
as in a pod, by a ServiceAccount's files, or by a kubeconfig. A start lasts from the program's
execution until `/readyz` says so; memory is the resident set at that moment.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
import msgspec
import yaml
from aiohttp import web

from benchmarks import reviews, series, servers
from benchmarks.series import Line, Plot

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from benchmarks.servers import Server

Object = dict[str, Any]

POLICIES: Final = (1, 100, 1000, 5000, 10_000)
PER_NAMESPACE: Final = 100
PATHS: Final = {
    "/apis/rhtas.redhat.com/v1alpha1/modelvalidations": "policies",
    "/api/v1/namespaces": "namespaces",
}

IN_POD: Final = """
import runpy, sys
from pathlib import Path
from webhook.cluster import access
# The kubelet mounts these files at a path that only a container has.
access.in_cluster.__defaults__ = (Path(sys.argv.pop(1)),)
runpy.run_module("webhook", run_name="__main__", alter_sys=True)
"""


class Start(NamedTuple):
    """A start: seconds until it was ready, CPU seconds until then, and MiB at that moment."""

    seconds: float
    cpu: float
    mib: float


class ApiServer:
    """Lists and watches of policies and namespaces; nothing changes.

    Args:
        policies: How many there are.
    """

    def __init__(self, policies: int) -> None:
        whole = yaml.safe_load(reviews.POLICY)
        namespaces = range(-(-policies // PER_NAMESPACE))
        self._lists = {
            "policies": [_policy(whole, number) for number in range(policies)],
            "namespaces": [_encoded({"metadata": {"name": f"team-{n}"}}) for n in namespaces],
        }

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.router.add_get("/version", self._version)
        app.router.add_get("/{path:.*}", self._get)
        return app

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"major": "1", "minor": "36", "gitVersion": "v1.36.3"})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            await asyncio.sleep(float(request.query["timeoutSeconds"]))
            return response
        items = self._lists.get(PATHS.get(request.path, ""), [])
        start = int(request.query.get("continue", 0))
        end = start + int(request.query["limit"])
        metadata = {"resourceVersion": "1", "continue": str(end) if end < len(items) else ""}
        head = b'{"metadata":%s,"items":[' % _encoded(metadata)
        body = head + b",".join(items[start:end]) + b"]}"
        return web.Response(body=body, content_type="application/json")


def _policy(whole: Object, number: int) -> bytes:
    """Return a policy as the API server stores it."""
    metadata = {
        "name": f"granite-{number}",
        "namespace": f"team-{number // PER_NAMESPACE}",
        "uid": f"00000000-0000-0000-0000-{number:012}",
        "generation": 1,
        "resourceVersion": str(number),
    }
    return _encoded({**whole, "metadata": metadata})


def _encoded(document: Object) -> bytes:
    return msgspec.json.encode(document)


async def started(count: int, *, rounds: int, in_pod: bool) -> Start:
    """Return the medians of some starts on a cluster with so many policies."""
    found: list[Start] = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "ca.crt").write_bytes(servers.prepare(folder))
        (folder / "token").write_text("token")
        port = await _served(ApiServer(count), folder, stack)
        for _ in range(rounds):
            begun = time.perf_counter()
            webhook = _in_pod(folder, port) if in_pod else _outside(folder, port)
            async with webhook as server:
                await _ready(server)
                seconds = time.perf_counter() - begun
                found.append(Start(seconds, server.cpu_seconds(), server.resident_mib()))
    return Start(*(statistics.median(values) for values in zip(*found, strict=True)))


async def _served(server: ApiServer, folder: Path, stack: AsyncExitStack) -> int:
    """Serve over TLS; return the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    return int(runner.addresses[0][1])


def _in_pod(folder: Path, port: int) -> AbstractAsyncContextManager[Server]:
    """Return the webhook as it starts in a pod, whose ServiceAccount's files are in the folder."""
    os.environ |= {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}
    return servers.webhook(folder, source=(), program=("-c", IN_POD, str(folder)))


def _outside(folder: Path, port: int) -> AbstractAsyncContextManager[Server]:
    """Return the webhook as it starts with a kubeconfig."""
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority": str(folder / "ca.crt"),
    }
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": cluster}],
        "users": [{"name": "x", "user": {"token": "x"}}],
    }
    path = folder / "kubeconfig"
    path.write_bytes(_encoded(configuration))
    return servers.webhook(folder, source=("--kubeconfig", str(path)))


async def _ready(server: Server) -> None:
    async with aiohttp.ClientSession() as client:
        while True:
            async with client.get(f"{server.probes}/readyz") as answer:
                if answer.status == web.HTTPOk.status_code:
                    return
            await asyncio.sleep(0.002)


def main() -> None:
    """Print a table, and write the figures of the plots."""
    parser = argparse.ArgumentParser(description="Measure the webhook's start and memory.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--policies", type=int, nargs="*", default=POLICIES)
    parser.add_argument("--plot", action="store_true", help="write the figures of docs/plots")
    options = parser.parse_args()
    sys.stdout.write("| policies | way to the API server | ready, s | CPU, s | MiB |\n")
    sys.stdout.write("|---|---|---|---|---|\n")
    in_pod: dict[int, Start] = {}
    for count in options.policies:
        in_pod[count] = asyncio.run(started(count, rounds=options.rounds, in_pod=True))
        _say(count, "ServiceAccount", in_pod[count])
    _say(1, "kubeconfig", asyncio.run(started(1, rounds=options.rounds, in_pod=False)))
    if options.plot:
        _plot(in_pod)


def _say(count: int, way: str, start: Start) -> None:
    cells = f"{start.seconds:.2f} | {start.cpu:.2f} | {start.mib:.0f}"
    sys.stdout.write(f"| {count:,} | {way} | {cells} |\n")
    sys.stdout.flush()


def _plot(found: Mapping[int, Start]) -> None:
    lines = {
        name: Line(
            name=name, points=tuple((float(n), getattr(start, name)) for n, start in found.items())
        )
        for name in Start._fields
    }
    start = (
        msgspec.structs.replace(lines["seconds"], name="until it is ready"),
        msgspec.structs.replace(lines["cpu"], name="of CPU until then"),
    )
    title = "Start of the webhook"
    series.write("policies-seconds", Plot(title=title, x="policies", y="seconds", lines=start))
    memory = (msgspec.structs.replace(lines["mib"], name="resident"),)
    title = "Memory of the webhook when it is ready"
    series.write("policies-mib", Plot(title=title, x="policies", y="MiB", lines=memory))


if __name__ == "__main__":
    main()
