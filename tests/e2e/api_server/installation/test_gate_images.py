"""The gate's accepted images: those that the admin names, also during an upgrade."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.admission.policies.in_force import denied
from tests.e2e.api_server.admission.serving import ACCOUNT, GATE_IMAGE, NAMESPACE, running_webhook
from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.webhook_registration import mutating, registered, validating
from tests.e2e.api_server.workloads import vllm, vllm_spec, workload
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.api_server.admission.serving import ServingWebhook
    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import TeamFactory

    Name = Callable[..., None]

MONITOR = "model-validation-monitor"
NEXT_IMAGE = "model-validation/validator:next"
OURS = f"/api/v1/namespaces/{NAMESPACE}"
GATE, PREVIOUS = (f"validation.rhtas.redhat.com/{name}gate-image" for name in ("", "previous-"))
OTHER = "is not the one that the namespace model-validation names in its annotation"

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("policies")]


@pytest.fixture
def name_images(control_plane: ControlPlane) -> Iterator[Name]:
    """Change the annotations, and wait for the effect; after the test they are as shipped."""

    def name(image: str | None, previous: str | None = None) -> None:
        body = {"metadata": {"annotations": {GATE: image, PREVIOUS: previous}}}
        # As kubectl, whose apply may then set them anew.
        path = f"{OURS}?fieldManager=kubectl"
        answer = control_plane.call(
            "PATCH", path, body, content_type="application/merge-patch+json"
        )
        assert answer.status == 200, answer.message
        expected = [each in {image, previous} for each in (GATE_IMAGE, NEXT_IMAGE)]
        until(lambda: _accepted(control_plane) == expected, what=f"{image} or {previous} counts")

    yield name
    name(GATE_IMAGE)


def _accepted(control_plane: ControlPlane) -> list[bool]:
    """Tell of both images whether the policy accepts them, where no webhook is asked."""
    pods = [pod(NAMESPACE, each, serviceAccountName=ACCOUNT) for each in (GATE_IMAGE, NEXT_IMAGE)]
    return [OTHER not in control_plane.create(each, dry_run=True).message for each in pods]


def pod(namespace: str, image: str, **spec: object) -> Document:
    """Return a labelled pod that brings a gate of this image."""
    gate = {"name": GATE_CONTAINER, "image": image, "securityContext": vllm()["securityContext"]}
    return workload("Pod", namespace, spec=vllm_spec(initContainers=[gate], **spec))


def test_the_image_that_is_shipped(control_plane: ControlPlane, team: TeamFactory) -> None:
    """In a namespace without the webhook, a gate with another image is refused."""
    name = team()
    for image in ("evil:1", NEXT_IMAGE, f"{GATE_IMAGE}1"):
        denied(control_plane.create(pod(name, image)), OTHER)
    monitor = {"name": MONITOR, "image": "evil:1", "restartPolicy": "Always"}
    brought = pod(name, GATE_IMAGE)
    brought["spec"]["initContainers"].append(monitor)
    denied(control_plane.create(brought), OTHER)
    assert control_plane.create(pod(name, GATE_IMAGE)).status == 201


def test_the_previous_image_while_it_is_named(
    control_plane: ControlPlane, team: TeamFactory, name_images: Name
) -> None:
    """During an upgrade both images are accepted, and after it the new one alone."""
    name_images(NEXT_IMAGE, GATE_IMAGE)
    name = team()
    for image in (GATE_IMAGE, NEXT_IMAGE):
        assert control_plane.create(pod(name, image), dry_run=True).status == 201
    denied(control_plane.create(pod(name, "evil:1")), OTHER)
    name_images(NEXT_IMAGE)
    denied(control_plane.create(pod(name, GATE_IMAGE)), OTHER)


def test_nothing_is_named(
    control_plane: ControlPlane, team: TeamFactory, name_images: Name
) -> None:
    """A slip of the admin's lets no gate through; pods without the label are free."""
    name_images(None)
    name = team()
    denied(control_plane.create(pod(name, GATE_IMAGE)), OTHER)
    assert control_plane.create(workload("Pod", name, label=None)).status == 201


def test_policies_that_are_deleted_and_come_back(
    control_plane: ControlPlane, team: TeamFactory, name_images: Name
) -> None:
    """They see what is named now, and not what was when they went."""
    kind = "ValidatingAdmissionPolicyBinding"
    bindings = manifests.of_webhook(manifests.overlay("operator-compat", kind))
    for _ in range(2):
        control_plane.kubectl("delete", kind, "--all")
        until(lambda: all(_accepted(control_plane)), what="nothing is asked")
        # The API server drops what it knows of a parameter a second after its last binding.
        time.sleep(2)
        control_plane.apply(bindings)
        name_images(NEXT_IMAGE)
        denied(control_plane.create(pod(team(), GATE_IMAGE)), OTHER)
        name_images(GATE_IMAGE)


def test_replicas_of_two_releases(
    control_plane: ControlPlane,
    team: TeamFactory,
    name_images: Name,
    serving_webhook: ServingWebhook,
    tmp_path: Path,
) -> None:
    """One mutates and the other validates: while both images are named, no pod fails."""
    name, old = team(), serving_webhook
    with running_webhook(control_plane, tmp_path, gate_image=NEXT_IMAGE) as new:
        name_images(NEXT_IMAGE, GATE_IMAGE)
        for first, second, image in ((old, new, GATE_IMAGE), (new, old, NEXT_IMAGE)):
            with registered(control_plane, mutating(first.endpoint), validating(second.endpoint)):
                made = control_plane.created(workload("Pod", name), dry_run=True)
                assert made["spec"]["initContainers"][0]["image"] == image
        name_images(NEXT_IMAGE)
        with registered(control_plane, mutating(old.endpoint), validating(new.endpoint)):
            denied(control_plane.create(workload("Pod", name)), OTHER)
