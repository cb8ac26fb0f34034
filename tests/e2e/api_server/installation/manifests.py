"""The objects of a kustomization of the manifests, as `kubectl apply -k` would send them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from tests.e2e.api_server import building

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.api_server.control_plane import Document

WEBHOOK = Path(__file__).parents[4] / "manifests" / "webhook"
OVERLAYS = tuple(sorted(path.name for path in (WEBHOOK / "overlays").iterdir()))
COMPONENT = "app.kubernetes.io/component"
KEPT: Final = WEBHOOK.parents[1] / "build" / "kustomized"
"""What was built once: the tests build some seventy kustomizations, and each worker needs them."""

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
    return [deepcopy(each) for each in _overlay(name) if not kinds or each["kind"] in kinds]


def built(folder: Path) -> list[Document]:
    """Return the objects of a kustomization: of the manifests, or on top of them.

    Raises:
        building.ProgramsMissingError: There is no kubectl.
    """
    inside = folder.is_relative_to(WEBHOOK.parent)
    own = "-".join(folder.relative_to(WEBHOOK.parent).parts) if inside else _digest(folder)
    kept = KEPT / _source() / f"{own}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(_kustomized(folder)))
        unfinished.replace(kept)
    documents: list[Document] = json.loads(kept.read_text())
    return documents


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
def _overlay(name: str) -> tuple[Document, ...]:
    return tuple(built(overlay_folder(name)))


@cache
def _source() -> str:
    """Return a digest of all manifests, and of where the program is that builds them."""
    return _digest(WEBHOOK.parent, str(building.find(["kubectl"])["kubectl"]))


def _digest(folder: Path, *texts: str) -> str:
    """Return a digest of a folder's files, and of texts."""
    digest = hashlib.sha256(repr(texts).encode())
    for path in sorted(filter(Path.is_file, folder.rglob("*"))):
        if path.suffix != ".pyc":
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(folder)} {content}\n".encode())
    return digest.hexdigest()


def _kustomized(folder: Path) -> list[Document]:
    kubectl = building.find(["kubectl"])["kubectl"]
    ran = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    # libyaml's reader is nine times as fast.
    return list(yaml.load_all(ran.stdout, yaml.CSafeLoader))
