from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from webhook.serving.connections import Connections, Listener

if TYPE_CHECKING:
    from collections.abc import Iterator


class Transport:
    """A transport that gives its socket, as asyncio's do."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def get_extra_info(self, name: str) -> socket.socket:
        """Return the socket."""
        assert name == "socket"
        return self._connection


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Connections, each with its other side."""
    with ExitStack() as stack:
        made = [socket.socketpair() for _ in range(4)]
        for side in (side for pair in made for side in pair):
            side.settimeout(0)
            stack.callback(side.close)
        yield made


def is_open(other_side: socket.socket) -> bool:
    """Tell whether nothing has come, not even the end."""
    try:
        return other_side.recv(1) != b""
    except BlockingIOError:
        return True


def used(connections: Connections, connection: socket.socket) -> None:
    """Have a connection be of use."""
    transport: asyncio.BaseTransport = Transport(connection)  # type: ignore[assignment]
    connections.used(transport)


def test_one_too_many_shuts_the_longest_idle(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    """The first one has been of use since; the second has not."""
    connections = Connections(limit=2)
    (first, _), (second, _), (third, _), _ = pairs
    connections.opened(first)
    connections.opened(second)
    used(connections, first)
    connections.opened(third)
    assert [is_open(other) for _, other in pairs[:3]] == [True, False, True]


def test_closed_ones_make_room(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """No connection is closed for one that is gone, and its number may come again."""
    connections = Connections(limit=2)
    (first, _), (second, _), (third, _), (fourth, _) = pairs
    connections.opened(first)
    connections.opened(second)
    second.close()
    connections.opened(third)
    assert is_open(pairs[0][1])
    connections.opened(fourth)
    assert [is_open(other) for _, other in (pairs[0], *pairs[2:])] == [False, True, True]


def test_what_is_not_known_is_of_no_use(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    """A connection that ended before its answer, and one that was shut for another."""
    connections = Connections(limit=1)
    (first, _), (second, _), *_ = pairs
    connections.opened(first)
    connections.opened(second)
    used(connections, first)
    connections.used(None)
    assert [is_open(other) for _, other in pairs[:2]] == [False, True]


async def test_a_connection_that_fails_does_not_end_the_others() -> None:
    """Whatever a bug of ours raises: the process would go down with it."""
    asked = 0

    def broken() -> asyncio.Protocol:
        nonlocal asked
        asked += 1
        raise LookupError

    listener = Listener(
        broken,
        host="127.0.0.1",
        port=0,
        context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        connections=Connections(),
    )
    running = asyncio.create_task(listener.run())
    try:
        for count in (1, 2):
            with socket.create_connection(("127.0.0.1", listener.port)):
                async with asyncio.timeout(30):
                    while asked < count:  # noqa: ASYNC110 — the listener says nothing
                        await asyncio.sleep(0.01)
        assert not running.done()
    finally:
        running.cancel()
        listener.close()
