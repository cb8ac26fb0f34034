"""Which image the gate may have: what the admin's ConfigMap names, also during an upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster import manifests
from tests.cluster.policies import denied
from tests.cluster.processes import until
from tests.cluster.serving import ACCOUNT, GATE_IMAGE, NAMESPACE, running_webhook
from tests.cluster.webhook_registration import mutating, registered, validating
from tests.cluster.workloads import vllm, vllm_spec, workload
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster.control_plane import ControlPlane, Document
    from tests.cluster.fixtures import TeamFactory
    from tests.cluster.serving import ServingWebhook

    Name = Callable[[dict[str, str] | None], None]

MONITOR = "model-validation-monitor"
NEXT_IMAGE = "model-validation/validator:next"
CONFIG = f"/api/v1/namespaces/{NAMESPACE}/configmaps/model-validation-gate"
OTHER = "is not the one in the ConfigMap model-validation-gate"
UNNAMED = "no params found"

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("policies")]


@pytest.fixture
def name_images(control_plane: ControlPlane) -> Iterator[Name]:
    """Change the ConfigMap, obeyed on return; behind the test it is as shipped."""
    (shipped,) = manifests.overlay("default", "ConfigMap")

    def name(data: dict[str, str] | None) -> None:
        control_plane.call("DELETE", CONFIG)
        if data is not None:
            control_plane.created(shipped | {"data": data})
        named = {(data or {}).get(key) for key in ("image", "previous")}
        expected = [image in named for image in (GATE_IMAGE, NEXT_IMAGE)]
        until(lambda: _accepted(control_plane) == expected, what=f"the gate has one of {data}")

    yield name
    name(shipped["data"])


def _accepted(control_plane: ControlPlane) -> list[bool]:
    """Tell of both images whether the policy accepts them, where no webhook is asked."""
    pods = [pod(NAMESPACE, each, serviceAccountName=ACCOUNT) for each in (GATE_IMAGE, NEXT_IMAGE)]
    messages = [control_plane.create(each, dry_run=True).message for each in pods]
    return [OTHER not in message and UNNAMED not in message for message in messages]


def pod(namespace: str, image: str, **spec: object) -> Document:
    """Return a labelled pod that brings a gate of this image."""
    gate = {"name": GATE_CONTAINER, "image": image, "securityContext": vllm()["securityContext"]}
    return workload("Pod", namespace, spec=vllm_spec(initContainers=[gate], **spec))


def test_the_image_that_is_shipped(control_plane: ControlPlane, team: TeamFactory) -> None:
    """Where no webhook is asked, a gate of another image does not pass."""
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
    """During an upgrade both count, and behind it the new one alone."""
    name_images({"image": NEXT_IMAGE, "previous": GATE_IMAGE})
    name = team()
    for image in (GATE_IMAGE, NEXT_IMAGE):
        assert control_plane.create(pod(name, image), dry_run=True).status == 201
    denied(control_plane.create(pod(name, "evil:1")), OTHER)
    name_images({"image": NEXT_IMAGE})
    denied(control_plane.create(pod(name, GATE_IMAGE)), OTHER)


def test_no_config_map(control_plane: ControlPlane, team: TeamFactory, name_images: Name) -> None:
    """An image that nobody names is none; pods without the label are free."""
    name_images(None)
    name = team()
    assert UNNAMED in control_plane.create(pod(name, GATE_IMAGE)).message
    assert control_plane.create(workload("Pod", name, label=None)).status == 201


def test_a_config_map_without_an_image(
    control_plane: ControlPlane, team: TeamFactory, name_images: Name
) -> None:
    """A slip of the admin's lets nothing through."""
    for data in ({}, {"imege": GATE_IMAGE}):
        name_images(data)
        denied(control_plane.create(pod(team(), GATE_IMAGE)), OTHER)


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
        name_images({"image": NEXT_IMAGE, "previous": GATE_IMAGE})
        for first, second, image in ((old, new, GATE_IMAGE), (new, old, NEXT_IMAGE)):
            with registered(control_plane, mutating(first.endpoint), validating(second.endpoint)):
                made = control_plane.created(workload("Pod", name), dry_run=True)
                assert made["spec"]["initContainers"][0]["image"] == image
        name_images({"image": NEXT_IMAGE})
        with registered(control_plane, mutating(old.endpoint), validating(new.endpoint)):
            denied(control_plane.create(workload("Pod", name)), OTHER)
