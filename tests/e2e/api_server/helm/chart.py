"""The chart, rendered and handled by Helm."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.e2e.api_server import building

if TYPE_CHECKING:
    from tests.e2e.api_server.client import Document

CHART = Path(__file__).parents[4] / "manifests" / "chart"
HOOK = "helm.sh/hook"
SECONDS = 120


def helm(
    *arguments: str, home: Path, kubeconfig: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Helm, without any file of the user's."""
    program = building.find(["helm"])["helm"]
    return subprocess.run(
        [program, *arguments],
        env=environment(home, kubeconfig),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def environment(home: Path, kubeconfig: Path | None) -> dict[str, str]:
    """Return the variables with which Helm runs."""
    given = {"HOME": str(home), "PATH": os.environ.get("PATH", "")}
    return given | ({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})


def rendered(home: Path, *settings: str) -> list[Document]:
    """Return the chart's objects with values, such as `replicas=3`.

    Raises:
        AssertionError: Helm refuses them.
    """
    options = [f"--set={setting}" for setting in settings]
    ran = helm("template", "ours", str(CHART), *options, home=home)
    assert ran.returncode == 0, ran.stderr
    return [each for each in yaml.load_all(ran.stdout, yaml.CSafeLoader) if each]


def installed(documents: list[Document]) -> dict[tuple[str, str, str], Document]:
    """Return what is installed, by its identity: everything but the test's objects."""
    return by_identity([each for each in documents if HOOK not in annotations_of(each)])


def by_identity(documents: list[Document]) -> dict[tuple[str, str, str], Document]:
    """Return objects by kind, namespace and name.

    Raises:
        AssertionError: Two are the same.
    """
    found = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in documents
    }
    assert len(found) == len(documents)
    return found


def annotations_of(document: Document) -> Document:
    """Return an object's annotations."""
    found: Document = document["metadata"].get("annotations") or {}
    return found
