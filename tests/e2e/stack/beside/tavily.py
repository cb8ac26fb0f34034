"""Tavily as Llama Stack reaches it: a proxy that answers in place of the site that it is asked for.

    python -m tests.e2e.stack.beside.tavily ADDRESS FOLDER

serves until it is ended. The site's address is fixed in Llama Stack, which takes the proxy from
HTTPS_PROXY, and the authority of the site's certificate from SSL_CERT_FILE.
"""

from __future__ import annotations

import json
import ssl
import sys
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.e2e.api_server.processes import LOOPBACK, Host, Program
from tests.e2e.stack.beside.envoy import FILES, make_certificate

if TYPE_CHECKING:
    from types import TracebackType

ROOT: Final = Path(__file__).parents[4]
MODULE: Final = "tests.e2e.stack.beside.tavily"
"""This module, which is `__main__` where it serves."""
SITE: Final = "api.tavily.com"
KEY: Final = "tvly-of-the-tests"
WORD: Final = "Saturn"
"""One that the tiny model says again."""
FOUND: Final[dict[str, str]] = {
    "title": "Rings",
    "url": "https://planets.example.com/rings",
    "content": f"The planet with the widest rings is {WORD}.",
}
START_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class TavilyFiles:
    """The files that the service writes into its folder."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The site's certificate, which vouches for itself."""
        return self.folder / FILES["cert"]

    @property
    def address(self) -> str:
        """Its address and port, written when it serves."""
        return (self.folder / "address").read_text()

    def queries(self) -> list[str]:
        """Return what has been searched for, oldest first."""
        file = self.folder / "queries"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


class TavilyOnMachine:
    """A context manager: the service runs inside the block, on this machine or a cluster's."""

    def __init__(self, folder: Path, host: Host = LOOPBACK) -> None:
        self.files = TavilyFiles(folder / "tavily")
        command = ["env", f"--chdir={ROOT}", sys.executable, "-m", MODULE]
        command += [host.address, str(self.files.folder)]
        self._program = Program(command, log=folder / "tavily.log", host=host)

    def __enter__(self) -> Self:
        self.files.folder.mkdir()
        make_certificate(self.files.folder, SITE)
        self._program.start()
        self._program.wait_until((self.files.folder / "address").exists, seconds=START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, also before the end of the block."""
        self._program.close()


class _Handler(BaseHTTPRequestHandler):
    """One connection: first to the proxy, and then, encrypted, to the site."""

    protocol_version = "HTTP/1.1"
    context: ssl.SSLContext
    files: TavilyFiles

    def do_CONNECT(self) -> None:
        """Become the site."""
        if self.path != f"{SITE}:443":
            self.send_error(403)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.close_connection = False

    def do_POST(self) -> None:
        """Search, for those who have a key."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = self.path == "/search" and asked.get("api_key") == KEY
        if known:
            with (self.files.folder / "queries").open("a") as queries:
                queries.write(f"{json.dumps(asked['query'])}\n")
        found = {"query": asked["query"], "results": [FOUND]} if known else {"detail": "no key"}
        body = json.dumps(found).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def main(address: str, folder: Path) -> None:
    """Serve, and say where by a file."""
    files = TavilyFiles(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, folder / FILES["key"])
    handler = type("Handler", (_Handler,), {"context": context, "files": files})
    with ThreadingHTTPServer((address, 0), handler) as server:
        partial = folder / "partial"
        partial.write_text(f"{address}:{server.server_port}")
        partial.replace(folder / "address")
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
