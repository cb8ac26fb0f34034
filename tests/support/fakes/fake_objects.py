"""The other side of `webhook doctor`: an API server with the objects that a test gives it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.support.fakes.loopback import kubeconfig, listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

Object = dict[str, Any]


class FakeObjects:
    """Objects by their paths, collections by theirs.

    Attributes:
        objects: By path; what is not there is answered with 404.
        collections: By path, each of which may be continued once.
        forbidden: Paths to which the account has no right.
        refusal: What is answered to a creation: HTTP status, and sentence.
        unknown: Whether it does not know our credentials.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.collections: dict[str, list[Object]] = {}
        self.forbidden: set[str] = set()
        self.refusal = 403, ""
        self.unknown = False
        self.created: list[tuple[str, Object]] = []
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeObjects]:
        """Listen on loopback."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._read)
        app.router.add_post("/{path:.*}", self._create)
        async with listening(app) as self.url:
            yield self

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig that leads here."""
        return kubeconfig(folder, self.url)

    async def _read(self, request: web.Request) -> web.Response:
        path = request.path
        if self.unknown:
            return web.Response(status=401)
        if path in self.forbidden:
            return _status(403, f'things "{path}" is forbidden: User "x" cannot get resource')
        if path in self.collections:
            items = self.collections[path]
            half = len(items) // 2
            if "continue" in request.query:
                return web.json_response({"metadata": {}, "items": items[half:]})
            first = {"metadata": {"continue": "half"}, "items": items[:half]}
            return web.json_response(first)
        if path in self.objects:
            return web.json_response(self.objects[path])
        return _status(404, f"{path} not found")

    async def _create(self, request: web.Request) -> web.Response:
        assert request.query["dryRun"] == "All"
        body = await request.json()
        self.created.append((request.path, body))
        code, sentence = self.refusal
        return _status(code, sentence) if sentence else web.json_response(body, status=201)


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)
