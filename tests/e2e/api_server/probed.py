"""A program of ours as a process: its probes, its metrics and its log."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.api_server.processes import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.control_plane import Document
    from tests.e2e.api_server.processes import Program

START_SECONDS = 60
"""Ready after 2 s alone; a machine whose cores are all busy takes several times that."""


@dataclass(frozen=True, slots=True)
class ProbedProgram:
    """A running program.

    Attributes:
        probes: Address of probes and metrics, `http://127.0.0.1:PORT`.
        program: The process.
        log: The file of its log.
    """

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

    def metric(self, name: str) -> float:
        """Return a metric, named with its labels; 0 where there is none, or the port is closed."""
        start = f"{name} "
        lines = [line for line in self.probe("/metrics").splitlines() if line.startswith(start)]
        return float(lines[0].removeprefix(start)) if lines else 0

    def lines(self) -> list[Document]:
        """Return what it has logged so far, oldest first."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def start(self, probe: str = "/healthz") -> None:
        """Start the process; return when a probe succeeds."""
        self.program.start()
        self.program.wait_until(lambda: self.probe(probe) == "ok\n", seconds=START_SECONDS)

    def terminate(self) -> None:
        """End the process as the kubelet does; return when it has ended."""
        assert self.program.pid is not None
        os.kill(self.program.pid, signal.SIGTERM)
        until(lambda: self.program.pid is None, what="it has ended")
