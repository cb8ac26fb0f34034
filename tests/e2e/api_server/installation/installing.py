"""Install a kustomization as a user does, and take it off again."""

from __future__ import annotations

import itertools
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.e2e.api_server.control_plane import ControlPlane
from tests.e2e.api_server.processes import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.e2e.api_server.control_plane import Document

NAMESPACE = "model-validation"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OF_OTHERS = {
    "Certificate": ("cert-manager.io", "v1", "certificates"),
    "Issuer": ("cert-manager.io", "v1", "issuers"),
}
CLIENT_SIDE, SERVER_SIDE = ("apply",), ("apply", "--server-side")


@contextmanager
def empty_cluster(programs: Mapping[str, Path], folder: Path) -> Iterator[ControlPlane]:
    """Run a control plane with nothing of ours in it.

    cert-manager's kinds are there under their names, and accept anything: what the API server
    does with them can be tried, not whether they are right.
    """
    with ControlPlane(programs, folder=folder) as running:
        running.apply([_permissive(kind, *names) for kind, names in OF_OTHERS.items()])
        yield running


@contextmanager
def installed(
    cluster: ControlPlane, folder: Path, *, how: tuple[str, ...] = CLIENT_SIDE
) -> Iterator[str]:
    """Apply a kustomization inside the block, and yield what kubectl complained of."""
    try:
        yield cluster.kubectl(*how, "-k", str(folder)).stderr
    finally:
        delete(cluster, folder)


def delete(cluster: ControlPlane, folder: Path) -> None:
    """Delete it as a user does; that the namespace goes is a controller's work, done here."""
    cluster.kubectl("delete", "-k", str(folder), "--ignore-not-found", "--wait=false")
    look = ("get", "-k", str(folder), "--ignore-not-found", "-o", "name")
    own = f"namespace/{NAMESPACE}\n"
    wait_until_gone(cluster, lambda: cluster.kubectl(*look).stdout == own)
    cluster.remove_namespace(NAMESPACE)


def wait_until_gone(cluster: ControlPlane, is_gone: Callable[[], bool]) -> None:
    """Return when what was deleted is gone, definitions among it.

    A definition's finalizer fails where its storage is made anew ("storage is (re)initializing" in
    the server's log), and may then not try again for minutes, unless the definition is changed.
    """
    seen = itertools.count(1)

    def gone() -> bool:
        if is_gone():
            return True
        if (number := next(seen)) % 10 == 0:
            _remind(cluster, number)
        return False

    until(gone, what="all is gone", seconds=120, pause=0.3)


def _remind(cluster: ControlPlane, number: int) -> None:
    """Change the definitions that are to go, so that the API server looks at them again."""
    change = {"metadata": {"annotations": {"tests/reminded": str(number)}}}
    for each in cluster.call("GET", DEFINITIONS).document["items"]:
        if "deletionTimestamp" in each["metadata"]:
            path = f"{DEFINITIONS}/{each['metadata']['name']}"
            cluster.call("PATCH", path, change, content_type="application/merge-patch+json")


def stored(cluster: ControlPlane, folder: Path) -> list[Document]:
    """Return the objects of a kustomization as the API server has them."""
    found = cluster.kubectl("get", "-k", str(folder), "-o", "json").stdout
    items: list[Document] = json.loads(found)["items"]
    return items


def _permissive(kind: str, group: str, version: str, plural: str) -> Document:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": anything}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }
