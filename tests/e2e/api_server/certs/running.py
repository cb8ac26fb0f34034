"""`python -m certs run` as a process, with the rights of its ServiceAccount and no others."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.api_server.admission.serving import ROOT, kubeconfig
from tests.e2e.api_server.certs.installation import ACCOUNT, NAMESPACE
from tests.e2e.api_server.processes import Program, free_ports, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.control_plane import ControlPlane, Document

PREFIX = "model_validation_certs_"
START_SECONDS = 60
"""Ready after 2 s alone; a machine whose cores are all busy takes several times that."""


@dataclass(frozen=True, slots=True)
class RunningCerts:
    """A running replica: where it answers probes, and what it logs."""

    probes: str
    program: Program
    log: Path

    @property
    def ready(self) -> bool:
        """Whether its readiness probe succeeds."""
        return self.probe("/readyz") == "ok\n"

    @property
    def leads(self) -> bool:
        """Whether it says that it leads."""
        return self.metric("leader") == 1

    def probe(self, path: str) -> str:
        """Return the answer of the probe port, whatever its status; empty if the port is closed."""
        try:
            with urllib.request.urlopen(f"{self.probes}{path}", timeout=5) as answer:  # noqa: S310 — http on loopback
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError:
            return ""

    def metric(self, name: str) -> float:
        """Return one of its own metrics, named with its labels; 0 if the port is closed."""
        start = f"{PREFIX}{name} "
        lines = [line for line in self.probe("/metrics").splitlines() if line.startswith(start)]
        return float(lines[0].removeprefix(start)) if lines else 0

    def lines(self) -> list[Document]:
        """Return what it has logged so far, oldest first."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def start(self) -> None:
        """Start the process; return when its probes answer."""
        self.program.start()
        self.program.wait_until(lambda: self.probe("/healthz") == "ok\n", seconds=START_SECONDS)

    def terminate(self) -> None:
        """End the process as the kubelet does; return when it has ended."""
        assert self.program.pid is not None
        os.kill(self.program.pid, signal.SIGTERM)
        until(lambda: self.program.pid is None, what="it has ended")


@contextmanager
def running_certs(
    control_plane: ControlPlane, folder: Path, *options: str
) -> Iterator[RunningCerts]:
    """Run a replica on loopback inside the block, against this API server."""
    folder.mkdir(exist_ok=True)
    configuration = folder / "kubeconfig"
    configuration.touch(mode=0o600)
    configuration.write_text(json.dumps(kubeconfig(control_plane, ACCOUNT)))
    (port,) = free_ports(1)
    command = [
        *(sys.executable, "-m", "certs", "run", "--kubeconfig", str(configuration)),
        *("--namespace", NAMESPACE, "--host", "127.0.0.1", "--probe-port", str(port)),
        *options,
    ]
    log = folder / "certs.log"
    replica = RunningCerts(f"http://127.0.0.1:{port}", Program(command, log=log, folder=ROOT), log)
    try:
        replica.start()
        yield replica
    finally:
        replica.program.close()
