"""Our Deployments: replicas, images and versions, who renews the certificate, and the endpoints."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from validator.contract import GATE_IMAGE_ANNOTATIONS
from validator.text import quoted
from webhook.cluster.paths import NAMESPACES
from webhook.doctor import configurations
from webhook.doctor.finding import error, warning
from webhook.doctor.objects import (
    APPLY_AGAIN,
    CERTS,
    NAMESPACE,
    SERVICE,
    WEBHOOK,
    all_of,
    found,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from webhook.doctor.finding import Finding
    from webhook.doctor.objects import Api, Object

DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
OURS: Final = {"labelSelector": "app.kubernetes.io/part-of=model-validation"}
SLICES: Final = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
FEW: Final = 2
"""Replicas; with fewer, labelled pods are refused while a node is drained."""

INJECTED: Final = "cert-manager.io/inject-ca-from"
DISTRIBUTION: Final = "signed-model-validation"
TAG: Final = re.compile(r":(\d+\.\d+\.\d+)(-debug)?(@sha256:[0-9a-f]+)?$")


async def deployments(api: Api) -> AsyncGenerator[Finding]:
    """Find Deployments that are missing, not ready, or of different versions."""
    items = {name_of(each): each for each in await all_of(api, DEPLOYMENTS, query=OURS)}
    if WEBHOOK not in items:
        yield error(
            "deployment-missing",
            f"Deployment {WEBHOOK}",
            f"it is not there, so that labelled pods are refused: {APPLY_AGAIN}",
        )
        return
    for name, item in items.items():
        for finding in _replicas(item, subject=f"Deployment {name}"):
            yield finding
    for finding in _versions(list(items.values())):
        yield finding
    async for finding in _gate_image(api, items[WEBHOOK]):
        yield finding
    async for finding in _renewal(api, found_certs=CERTS in items):
        yield finding


def _replicas(deployment: Object, *, subject: str) -> Iterator[Finding]:
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    ready, updated = status.get("readyReplicas", 0), status.get("updatedReplicas", 0)
    look = f"see `kubectl -n {NAMESPACE} describe pods` and the log"
    if not ready:
        yield error("replicas-not-ready", subject, f"none of its replicas is ready: {look}")
    elif ready < wanted or updated < wanted:
        yield warning(
            "replicas-not-ready",
            subject,
            f"of {wanted} replicas {ready} are ready and {updated} are of the present revision: "
            f"wait for the rollout, or {look}",
        )
    elif wanted < FEW and name_of(deployment) == WEBHOOK:
        yield warning(
            "replicas-few",
            subject,
            "it has one replica, so that labelled pods are refused whenever that one is moved: "
            f"set replicas to {FEW} or more",
        )


def _versions(items: Sequence[Object]) -> Iterator[Finding]:
    """Yield images of ours that are not of one release, this one."""
    images = {
        container["image"]: f"Deployment {name_of(item)}"
        for item in items
        for container in item["spec"]["template"]["spec"]["containers"]
    }
    if len(images) > 1:
        shown = ", ".join(f"{quoted(image)} in {subject}" for image, subject in images.items())
        yield warning(
            "version-differs",
            f"Namespace {NAMESPACE}",
            f"its Deployments run different images ({shown}): set one image for all",
        )
        return
    own = version(DISTRIBUTION)
    for image, subject in images.items():
        tag = TAG.search(image)
        if tag and tag[1] != own:
            yield warning(
                "version-differs",
                subject,
                f"its image is of release {tag[1]} and this command of {own}, which knows its own "
                "release only: run the command from the Deployment's image",
            )


async def _gate_image(api: Api, webhook: Object) -> AsyncGenerator[Finding]:
    """Find a gate that is injected and that the API server's own policy then refuses."""
    containers = webhook["spec"]["template"]["spec"]["containers"]
    injected = [
        variable.get("value")
        for container in containers
        for variable in container.get("env", ())
        if variable["name"] == "GATE_IMAGE"
    ]
    namespace = await found(api, f"{NAMESPACES}/{NAMESPACE}") or {"metadata": {}}
    annotations = namespace["metadata"].get("annotations") or {}
    present, previous = GATE_IMAGE_ANNOTATIONS
    accepted = [annotations[key] for key in GATE_IMAGE_ANNOTATIONS if annotations.get(key)]
    subject = f"Namespace {NAMESPACE}"
    if not {*injected} & {*accepted}:
        yield error(
            "gate-image-differs",
            subject,
            f"its annotation {present} is {quoted(accepted[0] if accepted else 'not set')} "
            f"and the webhook adds {quoted(injected[0] if injected else 'another image')}, so that "
            "every labelled pod is refused: set the image of model-validation/validator in your "
            "kustomization or values, which reaches both, and apply it again",
        )
    elif annotations.get(previous):
        yield warning(
            "gate-image-previous",
            subject,
            f"its annotation {previous} still accepts {quoted(annotations[previous])}: "
            "take it out once the upgrade is done",
        )


async def _renewal(api: Api, *, found_certs: bool) -> AsyncGenerator[Finding]:
    """Find an installation in which nobody renews the certificate."""
    if found_certs:
        return
    configuration = await found(api, configurations.path(configurations.MUTATING))
    annotations = (configuration or {"metadata": {}})["metadata"].get("annotations") or {}
    if INJECTED not in annotations:
        yield error(
            "certificate-not-renewed",
            f"Deployment {CERTS}",
            f"it is not there and cert-manager is not asked either, so that nobody renews the "
            f"webhook's certificate: {APPLY_AGAIN}",
        )


async def endpoints(api: Api) -> AsyncGenerator[Finding]:
    """Find a Service that leads to no pod."""
    query = {"labelSelector": f"kubernetes.io/service-name={SERVICE}"}
    ready = [
        address
        for each in await all_of(api, SLICES, query=query)
        for endpoint in each.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready", True)
        for address in endpoint["addresses"]
    ]
    if not ready:
        yield error(
            "no-endpoints",
            f"Service {SERVICE}",
            f"it leads to no pod that is ready, so that labelled pods are refused: compare its "
            f"selector with the pods' labels, or {APPLY_AGAIN}",
        )
