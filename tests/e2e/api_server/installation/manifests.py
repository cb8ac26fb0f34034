"""The objects of a kustomization of the manifests, as `kubectl apply -k` would send them."""

from __future__ import annotations

import os
import subprocess
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.e2e.api_server import building

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.api_server.control_plane import Document

WEBHOOK = Path(__file__).parents[4] / "manifests" / "webhook"
OVERLAYS = tuple(sorted(path.name for path in (WEBHOOK / "overlays").iterdir()))
COMPONENT = "app.kubernetes.io/component"

# What the webhook needs, up to its configurations.
PREREQUISITES = (
    *("Namespace", "CustomResourceDefinition"),
    *("ServiceAccount", "ClusterRole", "ClusterRoleBinding"),
)


def overlay(name: str, *kinds: str) -> list[Document]:
    """Return an overlay's objects, of some kinds or of all.

    Raises:
        building.ProgramsMissingError: There is no kubectl.
    """
    built = _built(overlay_folder(name))
    return [deepcopy(each) for each in built if not kinds or each["kind"] in kinds]


def built(folder: Path) -> list[Document]:
    """Return the objects of a kustomization that a test has made."""
    return list(_built.__wrapped__(folder))


def overlay_folder(name: str) -> Path:
    """Return where an overlay is."""
    return WEBHOOK / "overlays" / name


def of_webhook(documents: list[Document]) -> list[Document]:
    """Return those that are not there for the certificates."""
    return [each for each in documents if each["metadata"]["labels"][COMPONENT] != "certs"]


def on_top(folder: Path, *, components: tuple[str, ...] = (), **fields: object) -> Path:
    """Write a user's own kustomization on top of the default overlay; return its folder."""
    kustomization: Mapping[str, object] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(overlay_folder("default"), folder)],
        "components": [os.path.relpath(WEBHOOK / "components" / c, folder) for c in components],
        **fields,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


@cache
def _built(folder: Path) -> tuple[Document, ...]:
    kubectl = building.find(["kubectl"])["kubectl"]
    ran = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    # libyaml's reader is nine times as fast, and the tests build some sixty kustomizations.
    return tuple(yaml.load_all(ran.stdout, yaml.CSafeLoader))
