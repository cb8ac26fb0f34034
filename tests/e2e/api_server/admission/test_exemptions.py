"""Exemptions on a real API server, whose own policies do not know of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.admission.policies.in_force import denied
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.workloads import vllm, vllm_spec, workload
from validator import contract
from validator.policy.exemption import PLURAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import TeamFactory

COLLECTION = f"/apis/{contract.API_VERSION}/{PLURAL}"
DIGEST = "sha256:" + "1" * 64
IMAGE = f"docker.io/vllm/vllm-openai@{DIGEST}"
MERGE = "application/merge-patch+json"
REQUIRE = {"validation.rhtas.redhat.com/require": "true"}
NOWHERE: dict[str, Any] = {"volumes": [], "containers": [vllm(image=IMAGE, volumeMounts=[])]}
"""A pod's fields with which it can have no gate: no volume holds the model."""

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force", "policies")]


def pod(namespace: str, *, image: str = IMAGE, **spec: Any) -> Document:
    """Return a labelled pod with an image by its digest."""
    return workload("Pod", namespace, spec=vllm_spec(**{"containers": [vllm(image=image)]} | spec))


def exemption(namespace: str, **spec: Any) -> Document:
    """Return an exemption of that pod, for an hour; it has the namespace's name."""
    whole = {
        "namespace": namespace,
        "workload": {"kind": "Pod", "name": "vllm"},
        "images": [DIGEST],
        "expires": f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        "requestedBy": "jane@models.corp",
        "reason": "the signer is down",
    }
    return {
        "apiVersion": contract.API_VERSION,
        "kind": "ModelValidationExemption",
        "metadata": {"name": namespace},
        "spec": whole | spec,
    }


@pytest.fixture
def exempt(control_plane: ControlPlane) -> Iterator[Callable[..., None]]:
    """Exempt the pod of a namespace, until the test's end."""
    made: list[str] = []

    def make(namespace: str, **spec: Any) -> None:
        control_plane.created(exemption(namespace, **spec))
        made.append(namespace)

    yield make
    for name in made:
        control_plane.call("DELETE", f"{COLLECTION}/{name}")


def is_exempt(control_plane: ControlPlane, given: Document) -> bool:
    """Tell whether a pod would be admitted as an exempt one."""
    answer = control_plane.create(given, dry_run=True)
    metadata = answer.document.get("metadata", {})
    return contract.EXEMPTION_ANNOTATION in metadata.get("annotations", {})


@pytest.mark.parametrize("labels", [{}, REQUIRE], ids=["label opt-in", "label demanded"])
def test_an_exempt_pod_has_its_gate_and_starts_whatever_that_says(
    labels: dict[str, str],
    control_plane: ControlPlane,
    team: TeamFactory,
    exempt: Callable[..., None],
) -> None:
    """The API server's own policies demand the gate, and find it."""
    here = team(labels)
    exempt(here)
    until(lambda: is_exempt(control_plane, pod(here)), what="the webhook has seen it")
    answer = control_plane.create(pod(here))
    assert answer.status == 201, answer.message
    assert answer.document["metadata"]["annotations"] == {
        contract.AUDIT_ANNOTATION: "granite",
        contract.EXEMPTION_ANNOTATION: here,
    }
    (gate,) = answer.document["spec"]["initContainers"]
    resolved = json.loads(gate["env"][0]["value"])
    assert resolved["spec"]["mode"] == "Audit"
    assert resolved["resolved"]["exemption"]["name"] == here
    assert any(f"exempt by the ModelValidationExemption '{here}'" in w for w in answer.warnings)


def test_where_the_label_is_demanded_no_pod_goes_without_a_gate(
    control_plane: ControlPlane, team: TeamFactory, exempt: Callable[..., None]
) -> None:
    """The API server decides that by itself; elsewhere such a pod is admitted, as under Audit."""
    for labels in ({}, REQUIRE):
        here = team(labels)
        exempt(here)
        until(lambda here=here: is_exempt(control_plane, pod(here)), what="it is seen")  # type: ignore[misc]
        for spec, sentence in ((NOWHERE, "has no init container"), ({"hostPID": True}, "hostPID")):
            answer = control_plane.create(pod(here, **spec), dry_run=True)
            if labels:
                denied(answer, sentence)
            else:
                assert answer.status == 201, answer.message


def test_only_the_named_workload_and_images_are_exempt(
    control_plane: ControlPlane, team: TeamFactory, exempt: Callable[..., None]
) -> None:
    """And only in that namespace."""
    here, other = team(), team()
    exempt(here)
    until(lambda: is_exempt(control_plane, pod(here)), what="the webhook has seen it")
    assert not is_exempt(control_plane, pod(other))
    assert not is_exempt(control_plane, pod(here, image="docker.io/vllm/vllm-openai:v0.32.0"))
    renamed = pod(here)
    renamed["metadata"]["name"] = "another"
    assert not is_exempt(control_plane, renamed)


def test_an_exemption_ends(
    control_plane: ControlPlane, team: TeamFactory, exempt: Callable[..., None]
) -> None:
    """What would be refused without it is refused again, with a sentence that names it."""
    here = team()
    exempt(here)
    until(lambda: is_exempt(control_plane, pod(here, **NOWHERE)), what="it is seen")
    change = {"spec": {"expires": "2026-01-01T00:00:00Z"}}
    control_plane.call("PATCH", f"{COLLECTION}/{here}", change, content_type=MERGE)
    until(lambda: not is_exempt(control_plane, pod(here)), what="the end is seen")
    sentence = f"the ModelValidationExemption '{here}' of this workload ended at 2026-01-01 00:00"
    refused = control_plane.create(pod(here, **NOWHERE))
    assert (refused.status, sentence in refused.message) == (403, True), refused.message
    admitted = control_plane.create(pod(here))
    assert any(sentence in each for each in admitted.warnings)
    assert contract.AUDIT_ANNOTATION not in admitted.document["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"expires": "tomorrow"}, "spec.expires"),
        ({"expires": None}, "spec.expires"),
        ({"images": ["docker.io/vllm/vllm-openai:v0.32.0"]}, "spec.images"),
        ({"images": []}, "spec.images"),
        ({"reason": ""}, "spec.reason"),
        ({"requestedBy": None}, "spec.requestedBy"),
    ],
)
def test_one_that_is_not_whole_is_refused_when_it_is_written(
    spec: dict[str, Any], said: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """By the API server."""
    answer = control_plane.create(exemption(team(), **spec))
    assert (answer.status, said in answer.message) == (422, True), answer.message


def test_a_table_of_exemptions_says_who_and_until_when(
    control_plane: ControlPlane, team: TeamFactory, exempt: Callable[..., None]
) -> None:
    """For whoever looks after them."""
    here = team()
    exempt(here)
    table = control_plane.kubectl("get", PLURAL, here, "-o", "wide").stdout
    assert all(word in table for word in (here, "Pod", "vllm", "jane@models.corp", "signer is"))
