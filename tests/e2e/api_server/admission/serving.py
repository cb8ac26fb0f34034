"""Our webhook as a process: it watches a real API server, with the least rights that it needs."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from certs.issuing import issue, new_authority
from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.probed import ProbedProgram
from tests.e2e.api_server.processes import Program, free_ports
from tests.e2e.api_server.webhook_registration import Endpoint, mutating, registered, validating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import ControlPlane, Document

ROOT = Path(__file__).parents[4]
GATE_IMAGE = "model-validation/validator:0.1.0"
"""As the manifests have it."""
NAMESPACE = "model-validation"
ACCOUNT = "model-validation-webhook"
PREFIX = "model_validation_webhook_"


@dataclass(frozen=True)
class ServingWebhook(ProbedProgram):
    """A running webhook.

    Attributes:
        endpoint: Where it answers reviews.
    """

    endpoint: Endpoint

    @property
    def alive(self) -> bool:
        """Whether its liveness probe succeeds."""
        return self.probe("/healthz") == "ok\n"

    def metric(self, name: str) -> float:
        """Return one of its own metrics, named without their prefix."""
        return super().metric(f"{PREFIX}{name}")

    def start(self, probe: str = "/readyz") -> None:
        """Start the process; return when it is ready."""
        super().start(probe)


@contextmanager
def running_webhook(
    control_plane: ControlPlane,
    folder: Path,
    *,
    overlay: str = "default",
    gate_image: str = GATE_IMAGE,
    tls: Path | None = None,
) -> Iterator[ServingWebhook]:
    """Run what an overlay's Deployment runs, on loopback, against this API server.

    Its certificate is for 127.0.0.1, by an authority of its own, unless it finds one in `tls`.
    """
    install(control_plane)
    now = dt.datetime.now(dt.UTC)
    authority = new_authority(now=now)
    pair = issue(authority, names=["127.0.0.1"], now=now)
    files = {"tls.crt": pair.certificate, "tls.key": pair.key}
    files["kubeconfig"] = json.dumps(kubeconfig(control_plane, ACCOUNT)).encode()
    for name, content in files.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(content)
    port, probes = free_ports(2)
    command = [
        *(sys.executable, "-m", "webhook", "serve"),
        *_arguments(overlay, gate_image=gate_image, tls=tls or folder),
        *("--kubeconfig", str(folder / "kubeconfig"), "--drain-seconds", "0"),
        *("--host", "127.0.0.1", "--port", str(port), "--probe-port", str(probes)),
    ]
    log = folder / "webhook.log"
    webhook = ServingWebhook(
        probes=f"http://127.0.0.1:{probes}",
        program=Program(command, log=log, folder=ROOT),
        log=log,
        endpoint=Endpoint(f"127.0.0.1:{port}", authority.certificate),
    )
    with ExitStack() as stack:
        stack.callback(webhook.program.close)
        webhook.start()
        yield webhook


@contextmanager
def in_force(control_plane: ControlPlane, webhook: ServingWebhook) -> Iterator[None]:
    """Have the API server ask the webhook inside the block."""
    endpoint = webhook.endpoint
    with registered(control_plane, mutating(endpoint), validating(endpoint)):
        yield


def install(control_plane: ControlPlane) -> None:
    """Apply what the manifests ship for the webhook's sake, up to its configurations."""
    documents = manifests.overlay("operator-compat", *manifests.PREREQUISITES)
    control_plane.apply(manifests.of_webhook(documents))


def _arguments(overlay: str, *, gate_image: str, tls: Path) -> list[str]:
    """Return the arguments in an overlay's Deployment, as the kubelet would hand them over."""
    (pod,) = [
        each["spec"]["template"]["spec"]
        for each in manifests.overlay(overlay, "Deployment")
        if each["metadata"]["name"] == "model-validation-webhook"
    ]
    (container,) = pod["containers"]
    (mount,) = container["volumeMounts"]
    given = {"$(GATE_IMAGE)": gate_image, mount["mountPath"]: str(tls)}
    arguments = list(container["args"])
    for old, new in given.items():
        arguments = [argument.replace(old, new) for argument in arguments]
    return arguments


def kubeconfig(control_plane: ControlPlane, account: str) -> Document:
    """Return the admin's configuration with a ServiceAccount's token in place of the admin's."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = control_plane.call("POST", path, request)
    assert answer.status == http.client.CREATED, answer.message
    configuration: Document = json.loads(control_plane.kubeconfig.read_text())
    configuration["users"][0]["user"] = {"token": answer.document["status"]["token"]}
    return configuration
