"""`python -m webhook observe` as a process, with the rights of its ServiceAccount and no others."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import yaml

from tests.e2e.api_server.admission.serving import GATE_IMAGE, NAMESPACE, ROOT, kubeconfig
from tests.e2e.api_server.installation.manifests import WEBHOOK
from tests.e2e.api_server.probed import ProbedProgram
from tests.e2e.api_server.processes import Program, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.control_plane import ControlPlane

ACCOUNT = "model-validation-observe"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
COMPONENT = WEBHOOK / "components" / "observe"
REPORTS = WEBHOOK / "components" / "reports"


@contextmanager
def rights(control_plane: ControlPlane, *components: Path) -> Iterator[None]:
    """Have its account and its rights inside the block, and those of further components."""
    documents = [
        document
        for component in (COMPONENT, *components)
        for file in component.glob("*-rbac.yaml")
        for document in yaml.safe_load_all(file.read_text())
    ]
    control_plane.apply(documents)
    try:
        yield
    finally:
        items = {"apiVersion": "v1", "kind": "List", "items": documents}
        control_plane.kubectl(
            "delete", "--ignore-not-found", "--wait=false", "-f", "-", given=json.dumps(items)
        )


@contextmanager
def running_observer(
    control_plane: ControlPlane, folder: Path, *options: str
) -> Iterator[ProbedProgram]:
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
        *("--page-port", str(page), *options),
    ]
    log = folder / "observe.log"
    observer = ProbedProgram(
        f"http://127.0.0.1:{port}", Program(command, log=log, folder=ROOT), log
    )
    try:
        observer.start("/readyz")
        yield observer
    finally:
        observer.program.close()
