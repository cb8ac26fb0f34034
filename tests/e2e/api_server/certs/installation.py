"""The cluster as `python -m certs run` finds it: its rights, and the objects that it patches."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.webhook_registration import GROUP, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import ControlPlane, Document

FOLDER = Path(__file__).parents[4] / "manifests" / "webhook" / "components" / "self-signed"
NAMESPACE = "model-validation"
ACCOUNT = "model-validation-certs"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
SERVICE = "model-validation-webhook"
CONFIGURATION = "zz-model-validation"

SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
AUTHORITY = f"{SECRETS}/model-validation-ca"
SERVING = f"{SECRETS}/model-validation-webhook-tls"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{ACCOUNT}"
CONFIGURATIONS = tuple(f"/apis/{GROUP}/{plural}/{CONFIGURATION}" for plural in KINDS.values())

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


@contextmanager
def installed(control_plane: ControlPlane) -> Iterator[None]:
    """Have it all there inside the block, as it is right after an installation, and then gone."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    rights, policy = manifest("certs-rbac.yaml"), manifest("certs-policy.yaml")
    documents = [*rights, *policy, *state(), *configurations()]
    control_plane.apply([namespace])
    try:
        control_plane.apply(documents)
        until(lambda: _held(control_plane), what="the policy on caBundle is in force")
        yield
    finally:
        items = {"apiVersion": "v1", "kind": "List", "items": documents}
        control_plane.kubectl(
            "delete", "--ignore-not-found", "--wait=false", "-f", "-", given=yaml.safe_dump(items)
        )


def manifest(name: str) -> list[Document]:
    """Return the objects of a file of the component."""
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def state() -> list[Document]:
    """Return the two Secrets and the Lease, empty as they are shipped."""
    secrets = [
        {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": _metadata(path)}
        for path in (AUTHORITY, SERVING)
    ]
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": _metadata(LEASE)}
    return [*secrets, lease]


def configurations(*, ports: tuple[int, int] = (443, 443)) -> list[Document]:
    """Return both configurations, two entries each, by Service and without `caBundle`."""
    made = manifests.overlay("operator-compat", *KINDS)
    for configuration, port in zip(made, ports, strict=True):
        for entry in configuration["webhooks"]:
            entry["clientConfig"]["service"]["port"] = port
    return made


def _metadata(path: str) -> Document:
    return {"name": path.rpartition("/")[2], "namespace": NAMESPACE}


def _held(control_plane: ControlPlane) -> bool:
    body = {"metadata": {"labels": {"probe": "x"}}}
    path = f"{CONFIGURATIONS[0]}?dryRun=All"
    answer = control_plane.call("PATCH", path, body, content_type=MERGE, user=USER)
    return "denied request" in answer.message
