"""A whole installation, as controllers and kubelets would leave it, and changes to it."""

from __future__ import annotations

import datetime as dt
from base64 import b64encode
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from certs.issuing import Authority, issue, new_authority
from tests.e2e.api_server.admission.serving import running_webhook
from tests.e2e.api_server.control_plane import ControlPlane
from tests.e2e.api_server.doctor.egress import Egress, egress
from tests.e2e.api_server.installation import manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.e2e.api_server.client import Document

NAMESPACE = "model-validation"
SERVER_NAME = "model-validation-webhook.model-validation.svc"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/model-validation-webhook-tls"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
MUTATING = f"{ADMISSION}/mutatingwebhookconfigurations/zz-model-validation"
VALIDATING = f"{ADMISSION}/validatingwebhookconfigurations/zz-model-validation"
MERGE = "application/merge-patch+json"

SLICE: Document = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "model-validation-webhook-1",
        "namespace": NAMESPACE,
        "labels": {"kubernetes.io/service-name": "model-validation-webhook"},
    },
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.0.0.9"], "conditions": {"ready": True}}],
    "ports": [{"name": "https", "port": 8443, "protocol": "TCP"}],
}


@dataclass(frozen=True, slots=True)
class Whole:
    """An API server with the default overlay, which reaches a running webhook."""

    cluster: ControlPlane
    proxy: Egress
    authority: Authority

    @contextmanager
    def changed(self, path: str, change: Callable[[Document], object]) -> Iterator[None]:
        """Have an object changed inside the block."""
        before = self._put(path, change)

        def restore(current: Document) -> None:
            version = current["metadata"]["resourceVersion"]
            current.clear()
            current.update(before)
            current["metadata"]["resourceVersion"] = version

        try:
            yield
        finally:
            self._put(path, restore)

    @contextmanager
    def without(self, path: str) -> Iterator[None]:
        """Have an object deleted inside the block."""
        before = self.cluster.call("GET", path).document
        assert self.cluster.call("DELETE", path).status == 200
        try:
            yield
        finally:
            for field in ("resourceVersion", "uid", "creationTimestamp"):
                del before["metadata"][field]
            self.cluster.created(before)

    @contextmanager
    def beside(self, document: Document, path: str) -> Iterator[None]:
        """Have one more object inside the block; `path` is its collection's."""
        self.cluster.created(document)
        try:
            yield
        finally:
            name = document["metadata"]["name"]
            assert self.cluster.call("DELETE", f"{path}/{name}").status == 200

    def _put(self, path: str, change: Callable[[Document], object]) -> Document:
        """Change an object; return what it was."""
        whole = self.cluster.call("GET", path).document
        before = deepcopy(whole)
        change(whole)
        answer = self.cluster.call("PUT", path, whole)
        assert answer.status == 200, answer.message
        return before


@contextmanager
def whole_installation(programs: Mapping[str, Path], folder: Path) -> Iterator[Whole]:
    """Install the default overlay on a control plane of its own, and run its webhook."""
    with ExitStack() as stack:
        proxy = stack.enter_context(egress())
        flags = [f"--egress-selector-config-file={proxy.configuration(folder)}"]
        cluster = stack.enter_context(
            ControlPlane(programs, folder=folder / "control-plane", flags=flags)
        )
        cluster.kubectl("apply", "-k", str(manifests.overlay_folder("default")))
        authority = new_authority(now=dt.datetime.now(dt.UTC))
        (folder / "webhook").mkdir()
        _issue(cluster, authority, folder / "webhook")
        webhook = stack.enter_context(
            running_webhook(cluster, folder, overlay="default", tls=folder / "webhook")
        )
        proxy.port = int(webhook.endpoint.address.rpartition(":")[2])
        _controllers(cluster)
        yield Whole(cluster, proxy, authority)


def serving_pair(authority: Authority, *, days_ago: int = 0) -> dict[str, bytes]:
    """Return the files of a serving pair for 90 days."""
    now = dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago)
    pair = issue(authority, names=[SERVER_NAME], now=now)
    return {"tls.crt": pair.certificate, "tls.key": pair.key}


def encoded(values: Mapping[str, bytes]) -> dict[str, str]:
    """Return a Secret's values as JSON has them."""
    return {key: b64encode(value).decode() for key, value in values.items()}


def _issue(cluster: ControlPlane, authority: Authority, folder: Path) -> None:
    """Do what model-validation-certs does once."""
    files = serving_pair(authority)
    for name, content in files.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(content)
    _patch(cluster, SECRET, {"data": encoded(files)})
    for path in (MUTATING, VALIDATING):
        whole = cluster.call("GET", path).document
        for entry in whole["webhooks"]:
            entry["clientConfig"]["caBundle"] = b64encode(authority.certificate).decode()
        assert cluster.call("PUT", path, whole).status == 200


def _controllers(cluster: ControlPlane) -> None:
    """Write what controllers write of pods that run."""
    for deployment in manifests.overlay("default", "Deployment"):
        name, wanted = deployment["metadata"]["name"], deployment["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), wanted)
        _patch(cluster, f"{DEPLOYMENTS}/{name}/status", {"status": counts})
    cluster.created(SLICE)
    account = {"name": "default", "namespace": "default"}
    cluster.created({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})


def _patch(cluster: ControlPlane, path: str, body: Document) -> None:
    answer = cluster.call("PATCH", path, body, content_type=MERGE)
    assert answer.status == 200, answer.message
