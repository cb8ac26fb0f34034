"""The webhook as its users install it: the images of this checkout, by the shipped manifests."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from tests.e2e.api_server.installation.manifests import WEBHOOK
from tests.e2e.api_server.processes import until
from tests.e2e.images import base, building
from tests.e2e.images.buildah import buildah
from tests.e2e.node.models import WORKLOAD_IMAGE, serving
from tests.support.caching import cache, exclusive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.client import ApiServer
    from tests.e2e.node.node import Node

NAMESPACE: Final = "model-validation"
VALIDATOR: Final = "model-validation/validator"
WEBHOOK_IMAGE: Final = "model-validation/webhook"
NEXT: Final = "next"
"""The tag of the next release's images, which are this checkout's."""

PREVIOUS: Final = "validation.rhtas.redhat.com/previous-gate-image"
DEPLOYMENTS: Final = ("model-validation-certs", "model-validation-webhook")
ROLLOUT_SECONDS: Final = 180
CERTIFICATE: Final = f"/api/v1/namespaces/{NAMESPACE}/secrets/model-validation-webhook-tls"
ANSWERED: Final = 'admission webhook "mutate.validation.rhtas.redhat.com" denied the request'
"""The API server's words where a labelled pod is created in a namespace without a policy."""


def archives() -> list[Path]:
    """Return the archives of our images, and of what workloads of tests run on.

    Raises:
        ImagesMissingError: One could not be built.
    """
    ours = [image.archive for image in building.build().values()]
    return [*ours, _workload_archive()]


def install(api: ApiServer, overlay: str = "default") -> None:
    """Apply an overlay; return when its Deployments are rolled out and it has a certificate."""
    api.kubectl("apply", "-k", str(WEBHOOK / "overlays" / overlay))
    wait_for_rollout(api)
    # A replica serves on with the pair that it has loaded, where a test has emptied the Secret.
    until(
        lambda: bool((api.call("GET", CERTIFICATE).document.get("data") or {}).get("tls.crt")),
        what="there is a certificate",
        seconds=ROLLOUT_SECONDS,
        pause=0.2,
    )


def tag_next(node: Node) -> None:
    """Give the node the images of a next release."""
    for name in (VALIDATOR, WEBHOOK_IMAGE):
        tagged = f"docker.io/{name}"
        present = f"{tagged}:{building.project_version()}"
        node.runtime("image", "tag", "--force", present, f"{tagged}:{NEXT}")


def upgrade(api: ApiServer, folder: Path, *, gate: str, previous: str) -> None:
    """Apply an overlay as docs/operations.md has it for an upgrade of the gate's image."""
    overlay = folder / f"upgrade-{gate}"
    overlay.mkdir(exist_ok=True)
    named = {"name": NAMESPACE, "annotations": {PREVIOUS: f"{VALIDATOR}:{previous}"}}
    patch = {"apiVersion": "v1", "kind": "Namespace", "metadata": named}
    kustomization = {
        "resources": [os.path.relpath(WEBHOOK / "overlays" / "default", overlay)],
        "images": [{"name": VALIDATOR, "newTag": gate}],
        "patches": [{"patch": json.dumps(patch)}],
    }
    (overlay / "kustomization.yaml").write_text(json.dumps(kustomization))
    api.kubectl("apply", "-k", str(overlay))
    wait_for_rollout(api)


def wait_for_rollout(api: ApiServer) -> None:
    """Return when both Deployments are as their manifests want them, and the webhook is reached."""
    for name in DEPLOYMENTS:
        rollout = ("rollout", "status", f"deployment/{name}", f"--timeout={ROLLOUT_SECONDS}s")
        api.kubectl("-n", NAMESPACE, *rollout, seconds=ROLLOUT_SECONDS + 10)
    # kube-proxy learns of the replicas after the Deployment does.
    pod = serving("Pod", "default")
    until(
        lambda: ANSWERED in api.create(pod, dry_run=True).message,
        what="the API server reaches the webhook",
        seconds=ROLLOUT_SECONDS,
        pause=0.2,
    )


def uninstall(api: ApiServer, overlay: str = "default") -> None:
    """Delete an overlay and all that came with it."""
    api.kubectl("delete", "-k", str(WEBHOOK / "overlays" / overlay), seconds=ROLLOUT_SECONDS)


def _workload_archive() -> Path:
    name = base.build()
    archive = cache("images") / f"workload-{name.rpartition(':')[2]}.tar"
    with exclusive(cache("images") / "workload"):
        if not archive.is_file():
            partial = archive.with_suffix(".partial")
            buildah("push", "--quiet", name, f"docker-archive:{partial}:{WORKLOAD_IMAGE}")
            partial.replace(archive)
    return archive
