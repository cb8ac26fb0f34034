"""The API server's way to Services, where there is no network of pods: an HTTP CONNECT proxy.

An API server without a network of its own asks such a proxy (EgressSelectorConfiguration). This one
leads every connection to the one webhook on loopback.
"""

from __future__ import annotations

import json
import select
import socket
import socketserver
from contextlib import contextmanager, suppress
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.support.served import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.client import Document

CHUNK = 65536
PATIENCE_SECONDS = 30


class Egress(socketserver.ThreadingUnixStreamServer):
    """The proxy, on a socket in a folder; `port` is the webhook's, once it is known."""

    daemon_threads = True
    port = 0

    def __init__(self, folder: str) -> None:
        self.open: set[socket.socket] = set()
        self._socket = f"{folder}/egress"
        super().__init__(self._socket, _Connection)

    def configuration(self, folder: Path) -> Path:
        """Write what tells an API server to come here."""
        connection = {
            "proxyProtocol": "HTTPConnect",
            "transport": {"uds": {"udsName": self._socket}},
        }
        document: Document = {
            "apiVersion": "apiserver.k8s.io/v1beta1",
            "kind": "EgressSelectorConfiguration",
            "egressSelections": [{"name": "cluster", "connection": connection}],
        }
        path = folder / "egress.json"
        path.write_text(json.dumps(document))
        return path

    def lead_to(self, port: int) -> None:
        """Lead connections to another port, and end those that there are."""
        self.port = port
        for each in list(self.open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.StreamRequestHandler):
    """One connection of the API server."""

    server: Egress

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass  # CONNECT ADDRESS, and headers
        try:
            there = socket.create_connection(
                ("127.0.0.1", self.server.port), timeout=PATIENCE_SECONDS
            )
        except OSError:
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.server.open.add(there)
            with suppress(OSError):
                _carry(self.connection, there)
            self.server.open.discard(there)


def _carry(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes in both directions until one side has nothing more to say."""
    to = {one: other, other: one}
    while True:
        ready, _, _ = select.select([*to], [], [], PATIENCE_SECONDS)
        for side in ready:
            content = side.recv(CHUNK)
            if not content:
                return
            to[side].sendall(content)


@contextmanager
def egress() -> Iterator[Egress]:
    """Run the proxy inside the block."""
    # A socket's name has at most 107 bytes, and pytest's folders may be longer.
    with TemporaryDirectory(prefix="egress-") as folder:
        proxy = Egress(folder)
        with served(proxy):
            yield proxy
