"""Re-validation on a real API server: a pod with its monitor is stored as the core makes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.admission.serving import GATE_IMAGE
from tests.e2e.api_server.admission.test_workloads import (
    RESTRICTED,
    created_once_limited,
    gate_of,
    init_names,
    limit_range,
)
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.workloads import KINDS, pod_of, policy, vllm, vllm_spec, workload
from validator.contract import (
    GATE_CONTAINER,
    MONITOR_CONTAINER,
    SCRATCH_VOLUME,
    SERVICE_ACCOUNT_PATH,
)
from validator.policy.document import ModelValidation
from webhook.admission.mutation import mutate
from webhook.admission.pod import Manifest
from webhook.settings import GateSettings, NamespaceOptions

if TYPE_CHECKING:
    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import TeamFactory

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force")]

OURS = [GATE_CONTAINER, MONITOR_CONTAINER]


def monitor_of(pod: Document) -> Document:
    """Return a pod's one monitor, which follows its gate."""
    assert init_names(pod) == OURS
    return dict(pod["spec"]["initContainers"][1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_workload_gets_its_monitor(
    kind: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """With `restricted` enforced, without a warning, and exactly as mutation writes it."""
    name = team(RESTRICTED, revalidation={"interval": "10m"})
    pod = control_plane.created(workload(kind, name))
    if kind != "Pod":
        answer = control_plane.create(pod_of(pod))
        assert (answer.status, answer.warnings) == (201, ()), answer.message
        pod = answer.document
    monitor = monitor_of(pod)
    assert (monitor["image"], monitor["restartPolicy"]) == (GATE_IMAGE, "Always")
    stored = control_plane.call(
        "GET", f"/apis/rhtas.redhat.com/v1alpha1/namespaces/{name}/modelvalidations/granite"
    )
    chosen = ModelValidation.from_object(stored.document, source="test")
    again = mutate(
        Manifest(raw=pod),
        chosen,
        gate=GateSettings(image=GATE_IMAGE),
        namespace=NamespaceOptions(name=name),
    )
    assert again.pod == pod


@pytest.mark.parametrize("mode", ["Enforce", "Audit"])
@pytest.mark.parametrize("action", ["Unready", "Report"])
def test_all_probes_are_stored_as_they_are_written(
    mode: str, action: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """The API server finds nothing to add to them, or the pod would be refused in the end."""
    name = team(mode=mode, revalidation={"action": action})
    monitor = monitor_of(control_plane.created(workload("Pod", name)))
    probes = {each for each in monitor if each.endswith("Probe")}
    expected = {"startupProbe", "readinessProbe"} if mode == "Enforce" else set()
    assert probes == (expected - {"readinessProbe"} if action == "Report" else expected)


def test_it_gets_no_token(control_plane: ControlPlane, team: TeamFactory) -> None:
    """As the gate gets none: the volume in its place is where the monitor keeps its verdicts."""
    monitor = monitor_of(control_plane.created(workload("Pod", team(revalidation={}))))
    assert monitor["volumeMounts"] == [
        {"name": "model", "mountPath": "/models", "readOnly": True},
        {"name": SCRATCH_VOLUME, "mountPath": SERVICE_ACCOUNT_PATH},
    ]


def test_limit_range_defaults(control_plane: ControlPlane, team: TeamFactory) -> None:
    """They become the monitor's where neither it nor the workload says something."""
    name = team(revalidation={})
    amounts = {"cpu": "700m", "memory": "2Gi", "ephemeral-storage": "3Gi"}
    control_plane.created(limit_range(name, default=amounts, defaultRequest=amounts))
    pod = workload("Pod", name, spec=vllm_spec(containers=[vllm(resources={})]))
    made = created_once_limited(control_plane, pod, limit="3Gi")
    own = {"cpu": "250m", "memory": "256Mi", "ephemeral-storage": "3Gi"}
    # The plugin runs first: when we see the pod, its workload has the defaults already.
    assert monitor_of(made)["resources"] == {"limits": own, "requests": own}


def test_a_limit_range_of_bounds_and_ratio(control_plane: ControlPlane, team: TeamFactory) -> None:
    """A LimitRange that admits the workload admits the monitor, with the lesser of both amounts."""
    name = team(revalidation={})
    bounds = {"min": {"cpu": "100m"}, "max": {"cpu": "200m"}, "maxLimitRequestRatio": {"cpu": "2"}}
    control_plane.created(limit_range(name, **bounds))
    small = vllm(resources={"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}})
    wide = vllm(resources={"requests": {"cpu": "100m"}, "limits": {"cpu": "4"}})

    def refused() -> bool:
        pod = workload("Pod", name, spec=vllm_spec(containers=[wide]))
        return "cpu" in control_plane.create(pod, dry_run=True).message

    until(refused, what="the LimitRange is in force")
    pod = control_plane.created(workload("Pod", name, spec=vllm_spec(containers=[small])))
    resources = monitor_of(pod)["resources"]
    assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == ("100m", "200m")


@pytest.mark.parametrize(
    ("resource", "hard"),
    [("cpu", ("2250m", "4250m")), ("memory", ("8448Mi", "16640Mi"))],
)
def test_a_quota_that_demands_requests_and_limits(
    resource: str, hard: tuple[str, str], control_plane: ControlPlane, team: TeamFactory
) -> None:
    """The monitor names both, and costs what it says: a quarter of a core and 256 MiB."""
    name = team(revalidation={})
    asked, allowed = hard
    control_plane.make_quota(name, {f"requests.{resource}": asked, f"limits.{resource}": allowed})
    without = workload("Pod", name, spec=vllm_spec(containers=[vllm(resources={})]))

    def demanded() -> bool:
        return "must specify" in control_plane.create(without, dry_run=True).message

    until(demanded, what="the quota is enforced")
    answer = control_plane.create(workload("Pod", name))
    assert answer.status == 201, answer.message
    used = control_plane.call("GET", f"/api/v1/namespaces/{name}/resourcequotas/quota")
    assert used.document["status"]["used"] == used.document["status"]["hard"]


@pytest.mark.parametrize(
    ("amounts", "quality"),
    [
        ({"requests": {"cpu": "2", "memory": "8Gi"}}, "Burstable"),
        (
            {
                "requests": {"cpu": "2", "memory": "8Gi"},
                "limits": {"cpu": "2", "memory": "8Gi"},
            },
            "Guaranteed",
        ),
    ],
)
def test_the_class_of_service_stays(
    amounts: dict[str, Any], quality: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """A pod that is Guaranteed without the monitor is so with it."""
    spec = vllm_spec(containers=[vllm(resources=amounts)])
    pod = control_plane.created(workload("Pod", team(revalidation={}), spec=spec))
    assert init_names(pod) == OURS
    assert pod["status"]["qosClass"] == quality


def test_a_copy_of_its_pod_is_the_next_template(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """With re-validation nothing changes in it; under a policy without, the monitor is gone."""
    name = team(revalidation={}, default=True)
    control_plane.created(policy(name, name="plain"))
    first = control_plane.created(workload("Pod", name))
    copied = json.loads(json.dumps(first))
    copied["spec"].pop("nodeName", None)
    for policy_name, expected in (("granite", OURS), ("plain", OURS[:1])):
        labels = {"validation.rhtas.redhat.com/ml": policy_name}
        copied["metadata"] = {"name": policy_name, "namespace": name, "labels": labels}
        second = control_plane.created(copied)
        assert init_names(second) == expected
        if expected == OURS:
            assert second["spec"] == first["spec"]
    assert gate_of(second)["image"] == GATE_IMAGE


@pytest.mark.usefixtures("policies")
def test_its_image_stays(control_plane: ControlPlane, team: TeamFactory) -> None:
    """The one field of a container that Kubernetes lets change is kept by the API server."""
    name = team(revalidation={})
    pod = control_plane.created(workload("Pod", name))
    path = f"/api/v1/namespaces/{name}/pods/{pod['metadata']['name']}"
    change = {"spec": {"initContainers": [{"name": MONITOR_CONTAINER, "image": "evil"}]}}
    merge = "application/strategic-merge-patch+json"
    answer = control_plane.call("PATCH", path, change, content_type=merge)
    assert answer.status == 403
    assert "cannot be changed" in answer.message
