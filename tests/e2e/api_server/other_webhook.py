"""Somebody else's admission webhook: records what it is sent, and patches as a test says."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.e2e.api_server.issuing import Authority
from tests.e2e.api_server.webhook_registration import Endpoint
from tests.support.served import served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Patch = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OtherWebhook:
    """A running server: where it is, and the reviews that came, each with its path."""

    endpoint: Endpoint
    reviews: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@contextmanager
def other_webhook(
    folder: Path,
    *,
    patch: Callable[[dict[str, Any]], Patch] = lambda _: [],
    address: str = "127.0.0.1",
) -> Iterator[OtherWebhook]:
    """Serve on an address of this host, loopback if none is said, inside the block.

    On `/mutate`, `patch` gets the object and returns RFC 6902 operations; all is allowed.
    """
    authority = Authority.new()
    server = ThreadingHTTPServer((address, 0), BaseHTTPRequestHandler)
    context = _context(authority, address, folder)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    webhook = OtherWebhook(Endpoint(f"{address}:{server.server_port}", authority.bundle))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            path = self.path.partition("?")[0]
            webhook.reviews.append((path, review))
            operations = patch(review["request"]["object"]) if path == "/mutate" else []
            content = json.dumps(_answer(review, operations)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing: the test looks at `reviews`."""

    server.RequestHandlerClass = Handler
    # The API server keeps its connections: waiting for their threads would never end.
    server.daemon_threads, server.block_on_close = True, False
    with served(server):
        yield webhook


def _context(authority: Authority, address: str, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = authority.serving(addresses=(address,))
    pair = folder / "other-webhook.pem"
    pair.touch(mode=0o600)
    pair.write_bytes(certificate + key)
    context.load_cert_chain(pair)
    return context


def _answer(review: dict[str, Any], operations: Patch) -> dict[str, Any]:
    response = {"uid": review["request"]["uid"], "allowed": True}
    if operations:
        encoded = b64encode(json.dumps(operations).encode()).decode()
        response |= {"patchType": "JSONPatch", "patch": encoded}
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
