"""A server of the standard library that answers in a thread of its own."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from socketserver import BaseRequestHandler, BaseServer
    from typing import Any

POLL_SECONDS: Final = 0.02
"""After which a server sees that it is to end."""


@contextmanager
def served(server: BaseServer) -> Iterator[None]:
    """Answer while the context lasts, and close the server."""
    with server:
        thread = Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def http_served(
    handler: Callable[[Any, Any, ThreadingHTTPServer], BaseRequestHandler],
    *,
    address: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[str]:
    """Serve HTTP while the context lasts; yield the base URL.

    Args:
        handler: Answers a request.
        address: To listen at.
        port: To listen at; 0 stands for a free one.
    """
    server = ThreadingHTTPServer((address, port), handler)
    with served(server):
        yield f"http://{address}:{server.server_port}"
