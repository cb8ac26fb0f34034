"""The objects of the stack's kustomizations, as `kubectl apply -k` would send them."""

from __future__ import annotations

import os
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.e2e.api_server.installation import manifests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.e2e.api_server.control_plane import Document

STACK: Final = manifests.WEBHOOK.parent / "stack"
FLUX: Final = STACK.parent / "flux"


def _folders(name: str) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in (STACK / name).iterdir()))


COMPONENTS: Final = _folders("components")
PREPARING: Final = ("prepare", "prepare-llama-70b")
"""Overlays that stand beside another one, for a while."""
OVERLAYS: Final = tuple(name for name in _folders("overlays") if name not in PREPARING)


def contained(folder: Path) -> Iterator[Path]:
    """Yield a kustomization's folder and those that it is made of."""
    yield folder
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for field in ("resources", "components"):
        for entry in kustomization.get(field, ()):
            inner = (folder / entry).resolve()
            if inner.is_dir():
                yield from contained(inner)


def _additions(overlay: str) -> Iterator[str]:
    """Yield the components that a person may add to an overlay."""
    within = {path.name for path in contained(STACK / "overlays" / overlay)}
    on_gpu = any(name.startswith("gpu-") for name in within)
    for component in COMPONENTS:
        parts = {path.name for path in contained(STACK / "components" / component)}
        second_gpu = on_gpu and component.startswith("gpu-")
        late_model = "validation" in within and component.startswith("model-")
        second_secrets = overlay == "dev" and component == "sops-secrets"
        if not (parts & within or second_gpu or late_model or second_secrets):
            yield component


BUILDS: Final = (
    *((overlay, "") for overlay in (*OVERLAYS, *PREPARING)),
    *((overlay, component) for overlay in OVERLAYS for component in _additions(overlay)),
)
"""Each overlay alone (""), and with each component that is not in it."""


@cache
def _built(overlay: str, components: tuple[str, ...]) -> tuple[Document, ...]:
    if not components:
        return tuple(manifests.built(STACK / "overlays" / overlay))
    with TemporaryDirectory() as folder:
        # Kustomize follows links, and a relative path leads from where they end.
        return tuple(manifests.built(on_top(Path(folder).resolve(), overlay, *components)))


def build(overlay: str, *components: str) -> list[Document]:
    """Return an overlay's objects, with components on top."""
    return [deepcopy(each) for each in _built(overlay, tuple(filter(None, components)))]


def on_top(folder: Path, overlay: str, *components: str, **fields: object) -> Path:
    """Write a user's own kustomization on top of an overlay; return its folder."""
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(STACK / "overlays" / overlay, folder)],
        "components": [os.path.relpath(STACK / "components" / name, folder) for name in components],
        **fields,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


def of_kind(documents: Iterable[Document], *kinds: str) -> list[Document]:
    """Return the objects of some kinds."""
    return [each for each in documents if each["kind"] in kinds]


def named(documents: Iterable[Document], kind: str, name: str) -> Document:
    """Return the one object of a kind and name."""
    (found,) = (each for each in of_kind(documents, kind) if each["metadata"]["name"] == name)
    return found


def pods(documents: Iterable[Document]) -> list[Document]:
    """Return the pods, also those that a controller makes, as pods with labels and a name."""
    found = []
    for document in documents:
        if document["kind"] == "Pod":
            found.append(document)
        elif "template" in document.get("spec", {}):
            template = document["spec"]["template"]
            metadata = {**document["metadata"], "labels": template["metadata"]["labels"]}
            pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}
            found.append({**pod, "metadata": metadata})
    return found


def containers(documents: Iterable[Document]) -> list[dict[str, Any]]:
    """Return all containers of all pods."""
    return [
        container
        for pod in pods(documents)
        for field in ("initContainers", "containers")
        for container in pod["spec"].get(field, ())
    ]


def without_sops(document: Document) -> Document:
    """Return a Secret as Flux hands it on, but for its values, which stay encrypted."""
    return {key: value for key, value in document.items() if key != "sops"}
