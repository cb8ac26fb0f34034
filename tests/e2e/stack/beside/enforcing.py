"""Enforcement of NetworkPolicies on the node: kube-router, as a firewall only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.e2e.api_server.control_plane import NODE, SERVICES
from tests.e2e.api_server.processes import Program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.node.node import Node

FLAGS: Final = (
    "--run-firewall=true",
    "--run-router=false",
    "--run-service-proxy=false",
    "--enable-cni=false",
    f"--hostname-override={NODE}",
    f"--service-cluster-ip-range={SERVICES}",
)


def enforcer(program: Path, node: Node) -> Program:
    """Return the program, ready to be started on a node's machine."""
    command = [str(program), f"--kubeconfig={node.control_plane.kubeconfig}", *FLAGS]
    return Program(command, log=node.folder / "kube-router.log", host=node.machine.host)
