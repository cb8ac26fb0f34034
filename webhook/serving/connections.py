"""TLS connections, bounded in number: for each one too many, the one idle longest is closed.

Clients of a webhook do not authenticate, so any of them can open connections and leave
them open. Each costs 275 KiB, half of it before its handshake (measured). A review takes
milliseconds, so a connection in use is never the one idle longest.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

CONNECTIONS_LIMIT: Final = 512
"""Connections at a time, 140 MiB. An API server has as many as it asks at once."""

HANDSHAKE_SECONDS: Final = 5
"""For a handshake; the API server gives up after as many."""

BACKLOG: Final = 1024
"""Connections that the kernel completes before we take them."""

PAUSE_SECONDS: Final = 0.1
"""After the system gave no connection: it is out of descriptors or memory."""


_log = structlog.get_logger()


class Connections:
    """The open connections, the longest idle first; over `limit`, that one is shut."""

    def __init__(self, limit: int = CONNECTIONS_LIMIT) -> None:
        self._limit = limit
        self._open: dict[int, socket.socket] = {}

    def opened(self, connection: socket.socket) -> None:
        """Take a connection in."""
        if len(self._open) >= self._limit:
            # A socket that was closed in the meantime has no descriptor.
            self._open = {fd: each for fd, each in self._open.items() if each.fileno() == fd}
        if len(self._open) >= self._limit:
            idle = self._open.pop(next(iter(self._open)))
            with contextlib.suppress(OSError):  # the other side was faster
                idle.shutdown(socket.SHUT_RDWR)
        self._open.pop(connection.fileno(), None)  # a closed one's number
        self._open[connection.fileno()] = connection

    def used(self, transport: asyncio.BaseTransport | None) -> None:
        """Note that a connection has just been of use."""
        connection = transport and transport.get_extra_info("socket")
        known = self._open.pop(connection.fileno(), None) if connection else None
        if known is not None:
            self._open[known.fileno()] = known


class Listener:
    """Accepts TLS connections for a protocol.

    `asyncio`'s own server shows a connection only after its handshake: too late to count it.
    """

    def __init__(
        self,
        serve: Callable[[], asyncio.Protocol],
        *,
        host: str | None,
        port: int,
        context: ssl.SSLContext,
        connections: Connections,
    ) -> None:
        """Listen.

        Args:
            serve: Returns the protocol of a new connection.
            host: Address; `None` for all, IPv4 and IPv6.
            port: Port; the system chooses one in the place of 0.
            context: The server's side of TLS.
            connections: The open ones.

        Raises:
            OSError: The port cannot be listened on.
        """
        self._serve = serve
        self._context = context
        self._connections = connections
        self._socket = _listening(host, port)
        self._socket.settimeout(0)  # as an event loop wants it

    @property
    def port(self) -> int:
        """The port."""
        return int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as handshakes:
            while True:
                try:
                    connection, _ = await loop.sock_accept(self._socket)
                except OSError:  # it was aborted in the queue, or there are no more descriptors
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                self._connections.opened(connection)
                handshakes.create_task(self._greet(connection))

    def close(self) -> None:
        """Listen no more; open connections stay open."""
        self._socket.close()

    async def _greet(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._serve,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except OSError:  # so are an SSLError, a timeout, and what was shut
            pass
        except Exception:  # noqa: BLE001 — a failed connection must not stop the listener
            _log.exception("a connection failed")
            connection.close()


def _listening(host: str | None, port: int) -> socket.socket:
    """Return a socket that listens."""
    if host is None and socket.has_dualstack_ipv6():
        return socket.create_server(
            ("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
        )
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = found[0]
    return socket.create_server(address, family=family, backlog=BACKLOG)
