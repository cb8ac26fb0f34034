from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.support.fakes.loopback import listening
from webhook.cluster.access import Access
from webhook.cluster.api import ClusterApi
from webhook.cluster.errors import ApiError, Conflict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
    Serve = Callable[[Answer], Awaitable[ClusterApi]]

TOKEN = "Bearer a-token"  # noqa: S105 — the test's own


async def authorize() -> str:
    """Return the value of the Authorization header."""
    return TOKEN


def client(url: str) -> ClusterApi:
    """Return a client of a server on loopback."""
    access = Access(server=url, tls=ssl.create_default_context(), authorize=authorize)
    return ClusterApi(access, name="test")


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server that answers everything by one function; return a client of it."""
    async with AsyncExitStack() as stack:

        async def start(answer: Answer) -> ClusterApi:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", answer)
            made = client(await stack.enter_async_context(listening(app)))
            stack.push_async_callback(made.close)
            return made

        yield start


def status(code: int, message: str = "") -> web.Response:
    """Return an error as an API server words it."""
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)


async def test_it_says_who_asks(serve: Serve) -> None:
    """The token and the client's name go along; what comes back is decoded."""
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({"a": 1})

    api = await serve(answer)
    assert await api.read("/x", dict[str, int], query={"limit": "1"}) == {"a": 1}
    assert seen[0].path_qs == "/x?limit=1"
    assert seen[0].headers["Authorization"] == TOKEN
    assert seen[0].headers["User-Agent"] == "test"


async def test_what_is_not_there_is_none(serve: Serve) -> None:
    """For a read by `get`; to patch it is a conflict, and to read it otherwise an error."""

    async def answer(_: web.Request) -> web.Response:
        return status(404, "secrets 'x' not found")

    api = await serve(answer)
    assert await api.get("/x", dict[str, Any]) is None
    with pytest.raises(Conflict, match="/x is gone"):
        await api.patch("/x", {})
    with pytest.raises(ApiError, match="answered 404: secrets 'x' not found") as caught:
        await api.read("/x", dict[str, Any])
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (401, "does not know our credentials"),
        (409, "changed by another client"),
        (500, "answered 500: out of order"),
        (302, "answered 302"),
        (201, "answered 201"),
    ],
)
async def test_an_error_is_one_sentence(serve: Serve, code: int, sentence: str) -> None:
    """With the path and what the server said; a redirection would take the token elsewhere."""

    async def answer(_: web.Request) -> web.Response:
        response = status(code, "out of order")
        response.headers["Location"] = "/elsewhere"
        return response

    api = await serve(answer)
    with pytest.raises(ApiError, match=sentence):
        await api.patch("/x", {})


async def test_a_hostile_sentence_stays_on_its_line(serve: Serve) -> None:
    """Text of the server is bounded, and has no control characters."""

    async def answer(_: web.Request) -> web.Response:
        return status(500, "a\nb\x1b[31m" + "x" * 10_000)

    api = await serve(answer)
    with pytest.raises(ApiError) as caught:
        await api.read("/x", dict[str, Any])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700


async def test_an_answer_is_bounded(serve: Serve) -> None:
    """Also one that was compressed."""

    async def answer(_: web.Request) -> web.Response:
        response = web.Response(body=b"[" + b" " * 10_000_000 + b"]")
        response.enable_compression()
        return response

    api = await serve(answer)
    with pytest.raises(ApiError, match="more than 1,000,000 bytes"):
        await api.read("/x", list[int], limit=1_000_000)


async def test_a_server_that_says_nothing_is_named_with_its_time(serve: Serve) -> None:
    """The time is that of the whole answer, for the connection was there at once."""

    async def answer(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    api = await serve(answer)
    with pytest.raises(ApiError, match=r"no answer for 0\.2 seconds"):
        await api.read("/x", dict[str, Any], seconds=0.2)


async def test_a_server_that_takes_no_connection_is_named_with_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection has a shorter time than the whole answer, and the sentence says that one."""
    monkeypatch.setattr("webhook.cluster.api.CONNECT_SECONDS", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        host, port = full.getsockname()
        # The kernel completes one or two connections by itself; whoever comes later waits.
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)  # noqa: FBT003 — the standard library's signature
            each.connect_ex((host, port))
        api = client(f"http://{host}:{port}")
        with pytest.raises(ApiError, match=r"no connection within 0\.2 seconds"):
            await api.read("/x", dict[str, Any], seconds=5)
        await api.close()
        for each in waiting:
            each.close()


async def test_what_is_created_goes_as_json(serve: Serve) -> None:
    """With the client's name as its field manager; one of the same name is a conflict."""
    seen: list[tuple[str, str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.content_type, await request.json()))
        return web.json_response({}, status=201 if len(seen) == 1 else 409)

    api = await serve(answer)
    await api.create("/x", {"a": 1})
    assert seen == [("POST", "application/json", {"a": 1})]
    with pytest.raises(Conflict):
        await api.create("/x", {"a": 1})
