"""Measure `python -m webhook observe`: memory, requests and delay, beside a simulated API server.

    python -m benchmarks.verdicts [--pods 10000] [--namespaces 1000] [--reports]

Each namespace has one policy, and the pods are shared out among them: as the webhook makes them,
with the fields that a real API server adds, and their gates' reports. The API server is this
process, which answers from memory; the controller is a process of its own, and its figure is the
peak of the resident set (VmHWM).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import create_subprocess_exec
from collections import Counter
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from benchmarks import processes, servers
from tests.support import observed as made
from tests.support.observed import ended, gated, stored_policy, verified

Object = dict[str, Any]

PADDING: Final = "x" * 6_000
"""Bytes of a pod that are not read: managed fields, conditions, the statuses of containers."""

CHANGES: Final = 50
PODS: Final = "/api/v1/pods"
NAMESPACES: Final = "/api/v1/namespaces"
POLICIES: Final = "/apis/rhtas.redhat.com/v1alpha1/modelvalidations"


class Server:
    """Lists, watches and writes, as far as the controller asks for them.

    Args:
        pods: As JSON, by namespace and name.
        policies: Likewise.
        namespaces: Likewise.
    """

    def __init__(self, pods: list[bytes], policies: list[bytes], namespaces: list[bytes]) -> None:
        self._lists = {PODS: pods, POLICIES: policies, NAMESPACES: namespaces}
        self._news: dict[str, asyncio.Queue[bytes]] = {}
        self._version = 100
        self.asked: Counter[str] = Counter()
        self.statuses: dict[str, Object] = {}
        self.written = asyncio.Condition()

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._get)
        app.router.add_patch("/{path:.*}", self._patch)
        app.router.add_post("/{path:.*}", self._post)
        return app

    async def change(self, path: str, number: int, item: Object) -> None:
        """Put another object in the place of one, and tell the watch."""
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        self._lists[path][number] = json.dumps(item).encode()
        event = json.dumps({"type": "MODIFIED", "object": item}).encode() + b"\n"
        await self._news[path].put(event)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        path, query = request.path, request.query
        if path == "/version":
            return web.json_response({"major": "1", "minor": "36"})
        if "watch" in query:
            self.asked["watches"] += 1
            return await self._watch(request)
        self.asked["pages of lists"] += 1
        items, start = self._lists.get(path, []), int(query.get("continue", 0))
        end = start + int(query["limit"])
        version = str(self._version)
        metadata = {"resourceVersion": version, "continue": str(end) if end < len(items) else ""}
        head = b'{"metadata":%s,"items":[' % json.dumps(metadata).encode()
        return web.Response(
            body=head + b",".join(items[start:end]) + b"]}", content_type="application/json"
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        queue = self._news[request.path] = asyncio.Queue()
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                while True:
                    await response.write(await queue.get())
        except TimeoutError:
            await response.write_eof()
        return response

    async def _patch(self, request: web.Request) -> web.Response:
        if not request.path.endswith("/status"):
            self.asked["reports"] += 1
            return web.json_response({})
        self.asked["statuses"] += 1
        async with self.written:
            self.statuses[request.path.split("/")[5]] = await request.json()
            self.written.notify_all()
        return web.json_response({})

    async def _post(self, _: web.Request) -> web.Response:
        self.asked["events"] += 1
        return web.json_response({}, status=201)


def pods_and_policies(pods: int, namespaces: int) -> tuple[list[Object], list[Object]]:
    """Return as many verified pods as asked for, and a policy for each namespace."""
    policies = [stored_policy(namespace=f"team-{number:04}") for number in range(namespaces)]
    # Those of one namespace differ in name and uid alone, and in what the report says of them.
    return [
        _padded(ended(gated(f"llm-{n:05}", policy=policies[n % namespaces]), [verified()]))
        for n in range(pods)
    ], policies


def _padded(pod: Object) -> Object:
    pod["metadata"]["managedFields"] = [{"fieldsV1": {"f:spec": PADDING}}]
    return pod


def _peak(pid: int) -> str:
    """Return the peak of a process' resident set, for the output."""
    return f"{processes.peak(Path(f'/proc/{pid}/status').read_text()):.0f} MiB"


async def measure(pods: int, namespaces: int, options: list[str]) -> None:
    """Run it once, and print the figures."""
    items, policies = pods_and_policies(pods, namespaces)
    encoded = [json.dumps(item).encode() for item in items]
    _say(f"{pods:,} pods of {len(encoded[0]):,} bytes, in {namespaces:,} namespaces")
    names = dict.fromkeys(item["metadata"]["namespace"] for item in policies)
    server = Server(
        encoded,
        [json.dumps(item).encode() for item in policies],
        [json.dumps({"metadata": {"name": name, "labels": {}}}).encode() for name in names],
    )
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with tempfile.TemporaryDirectory() as folder:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        await _observed(server, items, url, Path(folder), options)
    await runner.cleanup()


async def _observed(
    server: Server, items: list[Object], url: str, folder: Path, options: list[str]
) -> None:
    namespaces = len({item["metadata"]["namespace"] for item in items})
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": url}}],
        "users": [{"name": "x", "user": {"token": "x"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(configuration))
    command = (
        *(sys.executable, "-m", "webhook", "observe", "--gate-image", made.IMAGE),
        *("--kubeconfig", str(folder / "kubeconfig"), "--host", "127.0.0.1"),
        *("--probe-port", "0", "--page-port", "0", *options),
    )
    start = time.monotonic()
    process = await create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with server.written:
            await server.written.wait_for(lambda: len(server.statuses) == namespaces)
        took, used = time.monotonic() - start, servers.cpu_seconds(process.pid)
        _say(f"all statuses after {took:.1f} s, CPU {used:.1f} s, peak {_peak(process.pid)}")
        _say(f"requests: {dict(server.asked)}")
        delays = [await _delay(server, n, items[n]) for n in range(min(CHANGES, namespaces))]
        median, longest = statistics.median(delays), max(delays)
        _say(f"from a verdict to its status: median {median:.2f} s, longest {longest:.2f} s")
        _say(f"peak {_peak(process.pid)}")
    finally:
        process.terminate()
        await process.wait()


async def _delay(server: Server, number: int, item: Object) -> float:
    """Have the gate of a pod refuse; return the seconds until that is written."""
    namespace = item["metadata"]["namespace"]
    changed = ended(item, code=137, text="")
    start = time.monotonic()
    await server.change(PODS, number, changed)
    async with server.written:
        await server.written.wait_for(
            lambda: server.statuses[namespace]["status"]["pods"]["refused"] == 1
        )
    return time.monotonic() - start


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--namespaces", type=int, default=1_000)
    parser.add_argument("--reports", action="store_true", help="have OpenReports' written, too")
    options = parser.parse_args()
    more = ["--reports"] if options.reports else []
    asyncio.run(measure(options.pods, options.namespaces, more))


if __name__ == "__main__":
    main()
