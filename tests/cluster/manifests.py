"""What an overlay of the manifests holds, as `kubectl apply -k` would send it."""

from __future__ import annotations

import subprocess
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.cluster import building

if TYPE_CHECKING:
    from tests.cluster.control_plane import Document

WEBHOOK = Path(__file__).parents[2] / "manifests" / "webhook"
OVERLAYS = tuple(sorted(path.name for path in (WEBHOOK / "overlays").iterdir()))

# What a test needs of an installation.
PREREQUISITES = ("Namespace", "CustomResourceDefinition", "ConfigMap")
RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


def overlay(name: str, *kinds: str) -> list[Document]:
    """Return an overlay's objects, of some kinds or of all.

    Raises:
        building.ProgramsMissingError: There is no kubectl.
    """
    return [deepcopy(each) for each in _built(name) if not kinds or each["kind"] in kinds]


def of_webhook(documents: list[Document]) -> list[Document]:
    """Return those that are not there for the certificates."""
    key = "app.kubernetes.io/component"
    return [each for each in documents if each["metadata"]["labels"][key] != "certs"]


@cache
def _built(name: str) -> tuple[Document, ...]:
    kubectl = building.find(["kubectl"])["kubectl"]
    folder = WEBHOOK / "overlays" / name
    ran = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return tuple(yaml.safe_load_all(ran.stdout))
