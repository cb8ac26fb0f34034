"""The examples, as the API server and the webhook take them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.api_server.admission.serving import GATE_IMAGE
from tests.e2e.api_server.workloads import pod_of
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import NamespaceFactory

EXAMPLES = Path(__file__).parents[4] / "manifests" / "examples"
NAMESPACE = "model-validation-example"

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("policies", "webhook_in_force")]


@pytest.fixture
def example(control_plane: ControlPlane) -> Iterator[Document]:
    """The labelled Deployment, from one `kubectl apply` of the file as it is."""
    control_plane.kubectl("apply", "-f", str(EXAMPLES / "labelled-pod.yaml"))
    control_plane.created(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": NAMESPACE},
        }
    )
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/tiny"
    yield control_plane.call("GET", path).document
    control_plane.kubectl("delete", "--wait=false", "-f", str(EXAMPLES / "labelled-pod.yaml"))
    control_plane.remove_namespace(NAMESPACE)


def test_the_labelled_pod_gets_its_gate(control_plane: ControlPlane, example: Document) -> None:
    """After the container that brings the model, in a restricted namespace."""
    made = control_plane.created(pod_of(example))
    init = {each["name"]: each["image"] for each in made["spec"]["initContainers"]}
    assert list(init) == ["fetch", GATE_CONTAINER]
    assert set(init.values()) == {GATE_IMAGE}


def test_the_job_runs_where_pods_are_restricted(
    control_plane: ControlPlane, namespace: NamespaceFactory
) -> None:
    """It needs neither the webhook nor a right."""
    name = namespace({"pod-security.kubernetes.io/enforce": "restricted"})
    control_plane.kubectl("apply", "-n", name, "-f", str(EXAMPLES / "standalone-job.yaml"))
    (job,) = [
        document
        for document in yaml.safe_load_all((EXAMPLES / "standalone-job.yaml").read_text())
        if document["kind"] == "Job"
    ]
    path = f"/apis/batch/v1/namespaces/{name}/jobs/{job['metadata']['name']}"
    answer = control_plane.create(pod_of(control_plane.call("GET", path).document))
    assert (answer.status, answer.message, answer.warnings) == (201, "", ())
