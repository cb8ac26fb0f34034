"""A client of any API server: requests as an admin or another user, and kubectl."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.e2e.api_server.processes import RARELY_COLLECTED, ControlPlaneError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

REQUEST_SECONDS = 60

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the API server: HTTP status, object or Status, admission warnings."""

    status: int
    document: Document
    warnings: tuple[str, ...]

    @property
    def message(self) -> str:
        """The server's sentence, empty where it had nothing to complain of."""
        return str(self.document.get("message", ""))


class ApiServer:
    """A running API server: its address, an admin's token, and a folder that has its files.

    In the folder lie `ca.pem`, which signs its certificate, and `kubeconfig`.
    """

    def __init__(self, *, address: str, port: int, token: str, kubectl: Path, folder: Path) -> None:
        self.address = address
        self.port = port
        self.token = token
        self.folder = folder
        self._kubectl = kubectl
        self._trust = ssl.create_default_context(cafile=folder / "ca.pem")
        self._resources: dict[tuple[str, str], Document] = {}
        self._kept: deque[http.client.HTTPSConnection] = deque()
        weakref.finalize(self, _close, self._kept)

    @property
    def url(self) -> str:
        """The address of the API server."""
        return f"https://{self.address}:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """The configuration file of a cluster admin, for kubectl and client libraries."""
        return self.folder / "kubeconfig"

    def call(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        content_type: str = "application/json",
        user: str | None = None,
    ) -> Answer:
        """Send one request, as an admin or as `user` (impersonated), whatever the answer is."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        if user is not None:
            headers["Impersonate-User"] = user
        text = None if body is None else json.dumps(body)
        response, content = self._exchanged(method, path, text, headers)
        # RFC 7234: `299 - "text"`
        told = [w.split(" ", 2)[2][1:-1] for w in response.headers.get_all("Warning", [])]
        return Answer(response.status, as_document(content), tuple(told))

    def _exchanged(
        self, method: str, path: str, text: str | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a request on a connection that was kept, else on a new one; return what comes.

        A handshake takes as long as the request of a test.

        Raises:
            ConnectionError: The server is not there, or ended in the midst of its answer.
        """
        while True:
            try:
                connection, is_kept = self._kept.pop(), True
            except IndexError:
                connection, is_kept = self._connection(), False
            try:
                connection.request(method, path, text, headers)
                response = connection.getresponse()
                content = response.read()
            except (ConnectionError, ssl.SSLError):
                connection.close()
                if is_kept:  # the server was stopped since
                    continue
                raise
            except http.client.IncompleteRead as error:
                connection.close()
                raise ConnectionResetError("the server ended in the midst of its answer") from error
            except BaseException:
                connection.close()
                raise
            self._kept.append(connection)
            return response, content

    def _connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self.address, self.port, timeout=REQUEST_SECONDS, context=self._trust
        )

    def create(
        self, document: Document, *, dry_run: bool = False, user: str | None = None
    ) -> Answer:
        """Create an object of any kind that the server knows, in its own namespace."""
        query = "?dryRun=All" if dry_run else ""
        return self.call("POST", self._collection(document) + query, document, user=user)

    def created(self, document: Document, *, dry_run: bool = False) -> Document:
        """Create an object that a test needs and return it as the server stored it, or would.

        Raises:
            ControlPlaneError: the server refused it.
        """
        answer = self.create(document, dry_run=dry_run)
        if answer.status != http.client.CREATED:
            raise ControlPlaneError(f"The API server refused {document['kind']}: {answer.message}")
        return answer.document

    def apply(self, documents: Iterable[Document]) -> None:
        """Apply objects of any kinds server-side; custom resources are served on return.

        Raises:
            ControlPlaneError: the server refused one.
        """
        items = list(documents)
        given = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self.kubectl("apply", "--server-side", "-f", "-", given=given)
        for item in items:
            if item["kind"] == "CustomResourceDefinition":
                name = item["metadata"]["name"]
                self.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")

    def kubectl(
        self,
        *arguments: str,
        given: str | None = None,
        check: bool = True,
        seconds: float = REQUEST_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as an admin (`--as` for others) with `given` on its standard input.

        Raises:
            ControlPlaneError: it failed and `check` is set.
        """
        environment = {
            "HOME": str(self.folder / "home"),
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": os.environ.get("PATH", ""),
            **RARELY_COLLECTED,
        }
        ran = subprocess.run(
            [str(self._kubectl), *arguments],
            input=given or "",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if check and ran.returncode != 0:
            raise ControlPlaneError(f"kubectl {' '.join(arguments)}: {ran.stderr.strip()}")
        return ran

    def _collection(self, document: Document) -> str:
        version, kind = document["apiVersion"], document["kind"]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._resources:  # asked once: most tests create pods
            served = self.call("GET", group).document.get("resources", [])
            found = [each for each in served if each["kind"] == kind and "/" not in each["name"]]
            if not found:
                raise ControlPlaneError(f"The API server serves no {kind} in {version}.")
            self._resources[version, kind] = found[0]
        resource = self._resources[version, kind]
        inside = f"/namespaces/{document['metadata'].get('namespace', 'default')}"
        return f"{group}{inside if resource['namespaced'] else ''}/{resource['name']}"


def _close(connections: Iterable[http.client.HTTPSConnection]) -> None:
    for connection in connections:
        connection.close()


def as_document(content: bytes) -> Document:
    """Return the JSON object; plain text, as `/readyz` answers, becomes its `message`."""
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"message": content.decode(errors="replace")}
