"""Pods that are created, and connections that are opened, one after the other: none may fail."""

from __future__ import annotations

import socket
import ssl
import threading
from base64 import b64decode
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.e2e.api_server.certs.installation import (
    CONFIGURATIONS,
    NAMESPACE,
    SERVICE,
    STRATEGIC,
)
from tests.e2e.api_server.workloads import workload
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.api_server.admission.serving import ServingWebhook
    from tests.e2e.api_server.control_plane import ControlPlane, Document

PAUSE_SECONDS = 0.1
"""Between two requests of a thread; whatever is refused after a change is so for seconds."""
SERVER_NAME = f"{SERVICE}.{NAMESPACE}.svc"


@dataclass(slots=True)
class Load:
    """Requests in the background, and their outcomes."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def keep(self, ask: Callable[[], str | None]) -> None:
        """Ask until the end; `ask` returns what went wrong."""
        while not self.ended.wait(PAUSE_SECONDS):
            try:
                complaint = ask()
            except OSError as error:
                complaint = repr(error)
            if complaint is None:
                self.answered += 1
            else:
                self.failed.append(complaint)


@contextmanager
def under_load(*asks: Callable[[], str | None]) -> Iterator[list[Load]]:
    """Ask each of these in a thread of its own inside the block."""
    loads = [Load() for _ in asks]
    threads = [
        threading.Thread(target=load.keep, args=(ask,))
        for load, ask in zip(loads, asks, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield loads
    finally:
        for load, thread in zip(loads, threads, strict=True):
            load.ended.set()
            thread.join()


def bundle(cluster: ControlPlane, path: str = CONFIGURATIONS[0]) -> bytes:
    """Return what a configuration trusts."""
    (entry,) = cluster.call("GET", path).document["webhooks"]
    return b64decode(entry["clientConfig"].get("caBundle", ""))


def value_of(cluster: ControlPlane, path: str, key: str) -> bytes:
    """Return a value of a Secret, empty where there is none."""
    data = cluster.call("GET", path).document.get("data") or {}
    return b64decode(data.get(key, ""))


def create_a_pod(cluster: ControlPlane) -> str | None:
    """Have the API server ask both replicas about a pod; return what went wrong."""
    answer = cluster.create(workload("Pod", "models"), dry_run=True)
    gates = [each["name"] for each in answer.document.get("spec", {}).get("initContainers", [])]
    return None if gates == [GATE_CONTAINER] else f"{answer.status} {answer.message}"


def connect_anew(cluster: ControlPlane, webhook: ServingWebhook) -> str | None:
    """Connect as an API server does that trusts what is published; return what went wrong."""
    trust = ssl.create_default_context(cadata=bundle(cluster).decode())
    host, _, port = webhook.endpoint.address.partition(":")
    with (
        socket.create_connection((host, int(port)), timeout=5) as connection,
        trust.wrap_socket(connection, server_hostname=SERVER_NAME),
    ):
        return None


def reached_at(cluster: ControlPlane, ports: list[str]) -> None:
    """Let the Service lead to this machine, and each configuration to one of the replicas."""
    service = f"/api/v1/namespaces/{NAMESPACE}/services/{SERVICE}"
    spec: Document = {"type": "ExternalName", "externalName": "localhost"}
    gone = dict.fromkeys(("clusterIP", "clusterIPs", "selector"))
    changes: list[tuple[str, Document]] = [(service, {"spec": spec | gone})]
    for path, port in zip(CONFIGURATIONS, ports, strict=True):
        (entry,) = cluster.call("GET", path).document["webhooks"]
        client = {"service": {"port": int(port)}}
        changes.append((path, {"webhooks": [{"name": entry["name"], "clientConfig": client}]}))
    for path, change in changes:
        answer = cluster.call("PATCH", path, change, content_type=STRATEGIC)
        assert answer.status == 200, answer.message
