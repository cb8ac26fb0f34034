"""Serves Git repositories by HTTP, as a forge does, through Git's own `http-backend`."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, ClassVar, Final

from tests.support.served import http_served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS: Final = 60


@contextmanager
def serving(folder: Path, *, address: str) -> Iterator[str]:
    """Serve the repositories in a folder while the context lasts; yield the base URL."""
    handler = type("Bound", (_Handler,), {"folder": folder})
    with http_served(handler, address=address) as url:
        yield url


class _Handler(BaseHTTPRequestHandler):
    folder: ClassVar[Path]

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, *_: object) -> None:
        """Stay silent: the output is pytest's."""

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        gateway = {  # RFC 3875
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": self.client_address[0],
            "REQUEST_METHOD": self.command,
        }
        ran = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=os.environ | gateway,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
