"""The stack, with the operations that the lane uses."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.e2e.api_server.processes import ControlPlaneError
from tests.e2e.node.cluster import Cluster, condition
from tests.e2e.node.machine import enter
from tests.e2e.stack.beside.sigstore import SigstoreFiles
from tests.e2e.stack.beside.tavily import TavilyFiles
from tests.e2e.stack.overlay import MODEL, NAMESPACE

if TYPE_CHECKING:
    from tests.e2e.api_server.client import Document

JOIN: Final = "MODEL_VALIDATION_STACK"
"""Names the folder of a stack that runs: `python -m tests.e2e.stack` says which."""

SCREENSHOTS: Final = "MODEL_VALIDATION_SCREENSHOTS"
"""Names the folder in which the browser's last sights are kept."""

STATE: Final = "stack.json"
DEBUG: Final = "model-validation-debug"
START_SECONDS: Final = 600
"""Importing torch on two busy cores takes minutes; more than ten are a hang."""
SIGNING_SECONDS: Final = 120
ASKING_SECONDS: Final = 120
ASKING: Final = Path(__file__).parent / "beside" / "asking.py"


@dataclass(frozen=True, slots=True)
class Stack:
    """The stack in a cluster that runs.

    Attributes:
        cluster: The cluster.
        machine: The first process of the machine that it runs on.
        overlay: The kustomization that was applied.
        storage: Where the folders of the stack's claims are.
    """

    cluster: Cluster
    machine: int
    overlay: Path
    storage: Path

    @classmethod
    def join(cls, folder: Path) -> Self:
        """Join the stack whose files lie in a folder."""
        state = json.loads((folder / STATE).read_text())
        paths = {name: Path(state[name]) for name in ("overlay", "storage")}
        return cls(Cluster.join(folder), state["machine"], **paths)

    def invite(self) -> None:
        """Leave in the cluster's folder what `join` needs."""
        paths = {"overlay": str(self.overlay), "storage": str(self.storage)}
        state = paths | {"machine": self.machine}
        (self.cluster.folder / STATE).write_text(json.dumps(state))

    @property
    def model(self) -> Path:
        """The model that vLLM serves, on the node's disk."""
        return self.storage / "vllm-models" / Path(MODEL).name

    @property
    def sigstore(self) -> SigstoreFiles:
        """The private Sigstore's files."""
        return SigstoreFiles(self.cluster.folder / "sigstore")

    @property
    def tavily(self) -> TavilyFiles:
        """The tests' Tavily's files."""
        return TavilyFiles(self.cluster.folder / "tavily")

    # Doing

    def kubectl(self, *arguments: str, given: str | None = None, seconds: float = 60) -> str:
        """Run kubectl in the stack's namespace and return what it printed.

        Raises:
            ControlPlaneError: It failed.
        """
        ran = self.cluster.api.kubectl("-n", NAMESPACE, *arguments, given=given, seconds=seconds)
        return ran.stdout

    def rolled_out(self, *names: str, seconds: float = START_SECONDS) -> None:
        """Return when Deployments are as their manifests want them.

        Raises:
            ControlPlaneError: One is not in time; with the pods and events of the namespace.
        """
        for name in names:
            wait = ("rollout", "status", f"deployment/{name}", f"--timeout={seconds}s")
            try:
                self.kubectl(*wait, seconds=seconds + 10)
            except ControlPlaneError as error:
                seen = self.kubectl("get", "pods,events")
                raise ControlPlaneError(f"{error}\n{seen}") from None

    def restart(self, name: str) -> None:
        """Restart a Deployment as its users do, without waiting for the end of it."""
        self.kubectl("rollout", "restart", f"deployment/{name}")

    def pods(self, name: str) -> list[Document]:
        """Return the pods of a Deployment, oldest first, but for those on their way out."""
        pods = self.cluster.pods(NAMESPACE, f"app.kubernetes.io/name={name}")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, name: str) -> list[str]:
        """Return the names of a Deployment's pods that are ready, oldest first."""
        pods = self.pods(name)
        return [pod["metadata"]["name"] for pod in pods if condition(pod, "Ready") == "True"]

    def debug(self, *command: str) -> str:
        """Run a command in the debug pod and return all that it said.

        Raises:
            ControlPlaneError: It failed.
        """
        return self.kubectl("exec", DEBUG, "--", *command, seconds=SIGNING_SECONDS)

    def ask(
        self, *arguments: str, pod: str = "deployment/open-webui", namespace: str = NAMESPACE
    ) -> str:
        """Run `asking.py` in a pod and return what it printed.

        Raises:
            ControlPlaneError: It failed.
        """
        run = ("-n", namespace, "exec", "-i", pod, "--", "/usr/bin/python3", "-", *arguments)
        given = ASKING.read_text()
        return self.cluster.api.kubectl(*run, given=given, seconds=ASKING_SECONDS).stdout

    def on_machine(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the cluster's machine, whether or not it succeeds."""
        return subprocess.run(
            [*enter(self.machine), *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
