"""Every command of the documents for installers and operators works, as it stands there."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.node import installing
from tests.e2e.node.guides.commands import DOCS, commands

if TYPE_CHECKING:
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.guides.commands import Command
    from tests.e2e.node.node import Node

ELSEWHERE = ("make images",)
"""Commands that are tried where their other side is: a registry's builder, in tests/e2e/images."""

COMMAND_SECONDS = 240


@pytest.mark.parametrize("document", ["install.md", "operations.md", "certificates.md"])
def test_a_document_is_true(document: str, cluster: Cluster, node: Node) -> None:
    """Each command succeeds, or fails where that is shown, and prints what is shown."""
    try:
        for command in commands(document):
            if not command.line.startswith(ELSEWHERE) and "cert-manager" not in command.line:
                _run(command, cluster, node)
    finally:
        installing.install(cluster.api)


def _run(command: Command, cluster: Cluster, node: Node) -> None:
    ran = subprocess.run(
        ["bash", "-c", command.line],
        cwd=DOCS.parent,
        env={
            **os.environ,
            "KUBECONFIG": str(cluster.api.kubeconfig),
            "PATH": f"{node.kubectl.parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    printed = ran.stdout + ran.stderr
    assert command.is_true(ran.returncode, printed), f"{command.line}\n{printed}"
