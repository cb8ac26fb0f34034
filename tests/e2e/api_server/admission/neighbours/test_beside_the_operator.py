"""The Go operator's webhook, simulated by its source, beside ours on one API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.other_webhook import other_webhook
from tests.e2e.api_server.webhook_registration import (
    POD_CREATE,
    mutating,
    mutating_all,
    registered,
    validating,
)
from tests.e2e.api_server.workloads import MODEL, policy, workload
from tests.support.fakes import go_operator
from validator.contract import GATE_CONTAINER, LABEL
from webhook.cli.convert import converted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.admission.serving import ServingWebhook
    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import NamespaceFactory, TeamFactory

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("both")]


@pytest.fixture(scope="module")
def both(
    control_plane: ControlPlane,
    serving_webhook: ServingWebhook,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Both webhooks in force: ours as in overlays/default, theirs on creations and updates."""
    endpoint = serving_webhook.endpoint
    ours = [mutating(endpoint), validating(endpoint)]
    for configuration in ours:
        configuration["webhooks"] = [
            entry
            for entry in configuration["webhooks"]
            if entry["objectSelector"]["matchExpressions"][0]["key"] == LABEL
        ]
    folder = tmp_path_factory.mktemp("operator")
    with other_webhook(folder, patch=go_operator.patch) as running:
        theirs = mutating_all(running.endpoint, name="mutating-webhook-configuration")
        (entry,) = theirs["webhooks"]
        entry["rules"] = [POD_CREATE | {"operations": ["CREATE", "UPDATE"]}]
        entry["reinvocationPolicy"] = "Never"
        with registered(control_plane, *ours, theirs):
            yield


def labelled(namespace: str, **labels: str) -> Document:
    """Return a pod with these labels alone."""
    made = workload("Pod", namespace, label=None)
    made["metadata"]["labels"] = labels
    return made


def gates(pod: Document) -> list[str]:
    """Return the images of the containers with the name that both use."""
    init = pod["spec"].get("initContainers", [])
    return [each["image"] for each in init if each["name"] == GATE_CONTAINER]


def test_each_pod_is_handled_by_one(control_plane: ControlPlane, team: TeamFactory) -> None:
    """By the label; with both labels by ours, in the place of the operator's container."""
    namespace = team()
    theirs = control_plane.created(labelled(namespace, **{go_operator.LABEL: "granite"}))
    assert gates(theirs) == [go_operator.IMAGE]
    ours = labelled(namespace, **{LABEL: "true"})
    ours["metadata"]["name"] = "ours"
    (image,) = gates(control_plane.created(ours))
    assert image != go_operator.IMAGE
    both = labelled(namespace, **{LABEL: "true", go_operator.LABEL: "granite"})
    both["metadata"]["name"] = "both"
    made = control_plane.created(both)
    assert gates(made) == [image]
    assert f"{go_operator.DOMAIN}/finalizer" in made["metadata"]["finalizers"]
    # The operator is asked about updates, too: the gate stays.
    control_plane.kubectl("annotate", "pod", "both", "a=b", f"--namespace={namespace}")
    path = f"/api/v1/namespaces/{namespace}/pods/both"
    assert gates(control_plane.call("GET", path).document) == [image]
    control_plane.kubectl(
        *("patch", "pod", "both", f"--namespace={namespace}", "--type=merge"),
        '--patch={"metadata":{"finalizers":null}}',
    )


def test_what_is_converted_can_be_applied(
    control_plane: ControlPlane, namespace: NamespaceFactory
) -> None:
    """A policy of the operator is accepted when it is whole, and refused while it is not."""
    name = namespace()
    theirs = policy(name, config={"publicKeyConfig": {"keyPath": "/models/key.pub"}})
    theirs["apiVersion"] = "ml.sigstore.dev/v1alpha1"
    theirs["spec"] |= {"continuousValidation": {"enabled": True, "interval": "5m"}}
    made, notes = converted(theirs)
    assert not notes.by_hand
    control_plane.created(made)
    pod, _ = converted(labelled(name, **{go_operator.LABEL: "granite"}))
    gated = control_plane.created(pod)
    assert len(gates(gated)) == 1
    assert MODEL in str(gated["spec"]["initContainers"])

    signer = {"certificateIdentity": "a@example.com", "certificateOidcIssuer": "https://i.example"}
    trust = {"trustConfigPath": "/trust.json"}
    unfinished = policy(name, config={"sigstoreConfig": signer, "clientTrustConfig": trust})
    unfinished["apiVersion"] = "ml.sigstore.dev/v1alpha1"
    unfinished["metadata"]["name"] = "unfinished"
    made, notes = converted(unfinished)
    assert notes.by_hand
    answer = control_plane.create(made)
    assert (answer.status, "trust names no root or several" in answer.message) == (422, True)
