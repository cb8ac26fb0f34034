"""The other side of `webhook.cluster`: lists, pages, watches, and all the ways they go wrong."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.support.fakes.loopback import kubeconfig, listening
from tests.support.policies import policy_document

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

GROUP = "/apis/rhtas.redhat.com/v1alpha1"
POLICIES = f"{GROUP}/modelvalidations"
RULES = f"{GROUP}/clustermodelvalidations"
ROOTS = f"{GROUP}/trustroots"
EXEMPTIONS = f"{GROUP}/modelvalidationexemptions"
CLUSTER_WIDE = (RULES, ROOTS, EXEMPTIONS)
"""The collections of our cluster-scoped kinds."""

NAMESPACES = "/api/v1/namespaces"
PODS = "/api/v1/pods"
VERSION = "/version"

Object = dict[str, Any]
Script = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeApiServer:
    """An API server of some collections.

    Attributes:
        absent: Collections of our group that it does not have.
        patches: What was written, by path.
        applied: What was applied, by path.
        created: What was created, by path and name.
        requests: What was asked, as path and query.
        tokens: The Authorization headers that came.
        lists: By path, what answers the next lists instead.
        watches: By path, what answers the next watches instead.
        reads: What answers the next reads of other paths instead.
        writes: What answers the next patches instead.
        unwritable: Paths whose patches are refused, each time.
        refused_writes: How often that was so.
        creations: What answers the next creations instead.
        versions: What answers the next questions for the version instead.
    """

    def __init__(self) -> None:
        self.absent: set[str] = set()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.tokens: set[str | None] = set()
        self.lists: dict[str, deque[Script]] = defaultdict(deque)
        self.watches: dict[str, deque[Script]] = defaultdict(deque)
        self.reads: deque[Script] = deque()
        self.writes: deque[Script] = deque()
        self.unwritable: set[str] = set()
        self.refused_writes = 0
        self.creations: deque[Script] = deque()
        self.created: dict[tuple[str, str], Object] = {}
        self.patches: list[tuple[str, Object]] = []
        self.applied: dict[str, list[Object]] = defaultdict(list)
        self.versions: deque[Script] = deque()
        self.url = ""
        self._version = 100
        self._objects: dict[str, dict[tuple[str | None, str], Object]] = defaultdict(dict)
        self._history: list[tuple[int, str, str, Object]] = []
        self._news = asyncio.Condition()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeApiServer]:
        """Listen on loopback."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        app.router.add_patch("/{path:.*}", self._patched)
        app.router.add_post("/{path:.*}", self._created)
        async with listening(app) as self.url:
            yield self

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig that leads here."""
        return kubeconfig(folder, self.url)

    # What is there

    async def put(self, path: str, item: Object) -> Object:
        """Create or change an object; return it with its version."""
        key = (item["metadata"].get("namespace"), item["metadata"]["name"])
        known = key in self._objects[path]
        stored = await self._happens(path, "MODIFIED" if known else "ADDED", item)
        self._objects[path][key] = stored
        return stored

    async def delete(self, path: str, name: str, *, namespace: str | None = None) -> None:
        """Delete an object."""
        await self._happens(path, "DELETED", self._objects[path].pop((namespace, name)))

    def move_to(self, version: int) -> None:
        """Have that version, which is an earlier one where an etcd is restored."""
        self._version = version
        self._history = [event for event in self._history if event[0] <= version]

    def lists_of(self, path: str) -> int:
        """Return how often a collection was listed."""
        return sum(
            asked == path and "watch" not in query and query["limit"] != "1"
            for asked, query in self.requests
        )

    def watched_versions(self, path: str) -> list[str]:
        """Return the versions from which a collection was watched."""
        return [
            query["resourceVersion"]
            for asked, query in self.requests
            if asked == path and "watch" in query
        ]

    async def _happens(self, path: str, kind: str, item: Object) -> Object:
        async with self._news:
            self._version += 1
            metadata = item["metadata"] | {"resourceVersion": str(self._version)}
            stored = item | {"metadata": metadata}
            self._history.append((self._version, path, kind, stored))
            self._news.notify_all()
        return stored

    # What is answered

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.requests.append((path, dict(request.query)))
        self.tokens.add(request.headers.get("Authorization"))
        if path == GROUP or path in self.absent:
            return await self._discovered(request)
        if path in {POLICIES, NAMESPACES, PODS, *CLUSTER_WIDE}:
            return await self._followed(request)
        if path == VERSION:
            said = self.versions.popleft() if self.versions else says_version("1", "31+")
            return await said(request)
        if self.reads:
            return await self.reads.popleft()(request)
        namespace, _, collection = path.rpartition("/namespaces/")[2].partition("/")
        if collection:
            return self._page(request, POLICIES, namespace=namespace)
        found = self._objects[NAMESPACES].get((None, namespace))
        return web.json_response(found, status=200) if found else web.Response(status=404)

    async def _patched(self, request: web.Request) -> web.StreamResponse:
        """Merge into an object's status, as the subresource does: nothing else changes."""
        body = await request.json()
        if request.headers["Content-Type"] == "application/apply-patch+yaml":
            return self._applied(request, body)
        assert request.headers["Content-Type"] == "application/merge-patch+json"
        if self.writes:
            return await self.writes.popleft()(request)
        if request.path in self.unwritable:
            self.refused_writes += 1
            return web.json_response({"kind": "Status", "code": 422}, status=422)
        assert request.path.endswith("/status")
        collection, name = request.path.removesuffix("/status").rsplit("/", 1)
        namespace = None
        if collection not in CLUSTER_WIDE:
            namespace = collection.removesuffix("/modelvalidations").rpartition("/")[2]
            collection = POLICIES
        found = self._objects[collection].get((namespace, name))
        if found is None:
            return web.Response(status=404)
        if body["metadata"]["uid"] != found["metadata"]["uid"]:
            return web.Response(status=409)
        self.patches.append((request.path, body))
        merged = found.get("status", {}) | body["status"]
        kept = {name: value for name, value in merged.items() if value is not None}
        return web.json_response(await self.put(collection, found | {"status": kept}))

    def _applied(self, request: web.Request, body: Object) -> web.Response:
        """Have an object as the client says, unless the client could not: then say so."""
        assert request.query["fieldManager"]
        assert request.query["force"] == "true"
        if request.path in self.unwritable:
            self.refused_writes += 1
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        known = request.path in self.applied
        self.applied[request.path].append(body)
        return web.json_response(body, status=200 if known else 201)

    async def _created(self, request: web.Request) -> web.StreamResponse:
        """Create an object, unless there is one of that name."""
        body = await request.json()
        key = (request.path, body["metadata"]["name"])
        if self.creations:
            return await self.creations.popleft()(request)
        if key in self.created:
            return web.Response(status=409)
        self.created[key] = body
        return web.json_response(body, status=201)

    async def _followed(self, request: web.Request) -> web.StreamResponse:
        path, query = request.path, request.query
        if query.get("limit") == "1":  # it only asks for the version
            return self._page(request, path)
        scripts = self.watches if "watch" in query else self.lists
        if scripts[path]:
            return await scripts[path].popleft()(request)
        return await (self._watch if "watch" in query else self._list)(request)

    async def _discovered(self, request: web.Request) -> web.StreamResponse:
        """Return what the group has, its discovery document; 404 for a kind that it has not."""
        if request.path != GROUP:
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        if self.lists[GROUP]:
            return await self.lists[GROUP].popleft()(request)
        there = {POLICIES, *CLUSTER_WIDE} - self.absent
        has = [{"name": path.rpartition("/")[2]} for path in sorted(there)]
        return web.json_response({"kind": "APIResourceList", "resources": has})

    async def _list(self, request: web.Request) -> web.Response:
        return self._page(request, request.path)

    def _page(
        self, request: web.Request, path: str, *, namespace: str | None = None
    ) -> web.Response:
        items = [
            item
            for (where, _), item in sorted(self._objects[path].items(), key=repr)
            if namespace in {None, where} and _is_selected(item, request)
        ]
        start = int(request.query.get("continue", 0))
        end = start + int(request.query["limit"])
        metadata = {"resourceVersion": str(self._version)}
        if end < len(items):
            metadata["continue"] = str(end)
        return web.json_response({"metadata": metadata, "items": items[start:end]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        """Stream what happened since the version, until the time is over, as the real one does."""
        response = await started(request)
        sent = int(request.query["resourceVersion"])
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                while True:
                    news = [event for event in self._history if event[0] > sent]
                    for version, path, kind, item in news:
                        if path == request.path and _is_selected(item, request):
                            await response.write(line(kind, item))
                        sent = version
                    sent = max(sent, self._version)
                    async with self._news:
                        await self._news.wait_for(lambda: self._version > sent)  # noqa: B023 — awaited here
        except TimeoutError:
            await response.write_eof()
        return response


def _is_selected(item: Object, request: web.Request) -> bool:
    """Tell whether an object has the labels that are asked for: keys, some with a `!`."""
    labels = item["metadata"].get("labels") or {}
    asked = request.query.get("labelSelector")
    return asked is None or all(
        (key.removeprefix("!") in labels) != key.startswith("!") for key in asked.split(",")
    )


def policy(name: str, *, namespace: str = "models", generation: int = 1, **spec: Any) -> Object:
    """Return a policy as the API server has it."""
    metadata = {"uid": f"uid-of-{name}", "generation": generation, "managedFields": []}
    return policy_document(
        name,
        namespace=namespace,
        metadata=metadata,
        **{"model": {"path": f"/models/{generation}"}} | spec,
    )


def namespace(name: str, **labels: str) -> Object:
    """Return a namespace as the API server has it."""
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}, "status": {}}


def line(kind: str, item: Object) -> bytes:
    """Return one event of a watch."""
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    """Return the event that only moves the version."""
    return line("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def error(code: int) -> bytes:
    """Return the event with which a watch ends."""
    return line("ERROR", {"kind": "Status", "code": code, "message": "too old resource version"})


async def started(request: web.Request, *lines: bytes) -> web.StreamResponse:
    """Begin a streamed answer, with its first lines."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for each in lines:
        await response.write(each)
    return response


def says(*lines: bytes) -> Script:
    """Stream the lines, and end as a server does whose time is over."""

    async def script(request: web.Request) -> web.StreamResponse:
        response = await started(request, *lines)
        await response.write_eof()
        return response

    return script


def breaks_off(*lines: bytes) -> Script:
    """Stream the lines, and cut the connection in the middle."""

    async def script(request: web.Request) -> web.StreamResponse:
        response = await started(request, *lines)
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return response

    return script


def cut_off() -> Script:
    """Cut the connection, without an answer."""

    async def script(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return script


def freezes(*lines: bytes) -> Script:
    """Stream the lines, then nothing, for ever."""

    async def script(request: web.Request) -> web.StreamResponse:
        response = await started(request, *lines)
        await asyncio.Event().wait()
        return response

    return script


def says_version(major: str, minor: str, **more: str) -> Script:
    """Answer with the server's version."""

    async def script(_: web.Request) -> web.StreamResponse:
        return web.json_response({"major": major, "minor": minor, "gitVersion": "v9"} | more)

    return script


def status(code: int) -> Script:
    """Answer with an HTTP status."""

    async def script(_: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "code": code}, status=code)

    return script


def body(text: bytes) -> Script:
    """Answer with a body."""

    async def script(_: web.Request) -> web.StreamResponse:
        return web.Response(body=text)

    return script
