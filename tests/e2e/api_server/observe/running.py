"""`python -m webhook observe` as a process, with the rights of its ServiceAccount and no others."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from tests.e2e.api_server.admission.serving import GATE_IMAGE, NAMESPACE, ROOT, kubeconfig
from tests.e2e.api_server.installation.manifests import WEBHOOK
from tests.e2e.api_server.processes import Program, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.control_plane import ControlPlane, Document

ACCOUNT = "model-validation-observe"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
COMPONENT = WEBHOOK / "components" / "observe"
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RunningObserver:
    """A running controller: where it answers probes, and what it logs."""

    probes: str
    program: Program
    log: Path

    @property
    def ready(self) -> bool:
        """Whether its readiness probe succeeds."""
        return self.probe("/readyz") == "ok\n"

    def probe(self, path: str) -> str:
        """Return the answer of the probe port, whatever its status; empty if the port is closed."""
        try:
            with urllib.request.urlopen(f"{self.probes}{path}", timeout=5) as answer:  # noqa: S310 — http on loopback
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""

    def lines(self) -> list[Document]:
        """Return what it has logged so far, oldest first."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def rights(control_plane: ControlPlane) -> Iterator[None]:
    """Have its account and its rights inside the block."""
    documents = list(yaml.safe_load_all((COMPONENT / "observe-rbac.yaml").read_text()))
    control_plane.apply(documents)
    try:
        yield
    finally:
        items = {"apiVersion": "v1", "kind": "List", "items": documents}
        control_plane.kubectl(
            "delete", "--ignore-not-found", "--wait=false", "-f", "-", given=json.dumps(items)
        )


@contextmanager
def running_observer(control_plane: ControlPlane, folder: Path) -> Iterator[RunningObserver]:
    """Run what the component's Deployment runs, on loopback, against this API server."""
    documents = yaml.safe_load_all((COMPONENT / "observe.yaml").read_text())
    (pod,) = [
        each["spec"]["template"]["spec"] for each in documents if each["kind"] == "Deployment"
    ]
    (container,) = pod["containers"]
    arguments = [each.replace("$(GATE_IMAGE)", GATE_IMAGE) for each in container["args"]]
    configuration = folder / "kubeconfig"
    configuration.touch(mode=0o600)
    configuration.write_text(json.dumps(kubeconfig(control_plane, ACCOUNT)))
    port, page = free_ports(2)
    command = [
        *(sys.executable, *container["command"][2:], *arguments),
        *("--kubeconfig", str(configuration), "--host", "127.0.0.1", "--probe-port", str(port)),
        *("--page-port", str(page)),
    ]
    log = folder / "observe.log"
    observer = RunningObserver(
        f"http://127.0.0.1:{port}", Program(command, log=log, folder=ROOT), log
    )
    try:
        observer.program.start()
        observer.program.wait_until(lambda: observer.ready, seconds=START_SECONDS)
        yield observer
    finally:
        observer.program.close()
