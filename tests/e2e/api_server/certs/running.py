"""`python -m certs run` as a process, with the rights of its ServiceAccount and no others."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.e2e.api_server.admission.serving import ROOT, kubeconfig
from tests.e2e.api_server.certs.installation import ACCOUNT, NAMESPACE
from tests.e2e.api_server.probed import ProbedProgram
from tests.e2e.api_server.processes import Program, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.control_plane import ControlPlane

PREFIX = "model_validation_certs_"


class RunningCerts(ProbedProgram):
    """A running replica."""

    @property
    def leads(self) -> bool:
        """Whether it says that it leads."""
        return self.metric("leader") == 1

    def metric(self, name: str) -> float:
        """Return one of its own metrics, named without their prefix."""
        return super().metric(f"{PREFIX}{name}")


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
