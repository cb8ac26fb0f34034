"""`spec.onRestart: Verify` on a real API server: 1.36 stores the rules, an older one gets none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.workloads import pod_of, vllm, vllm_spec, workload

if TYPE_CHECKING:
    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import TeamFactory

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force")]

ANY_CODE: Document = {"action": "RestartAllContainers", "exitCodes": {"operator": "NotIn"}}
FAILURES: Document = {
    "action": "RestartAllContainers",
    "exitCodes": {"operator": "NotIn", "values": [0]},
}
VERIFY: Document = {"onRestart": "Verify"}


@pytest.fixture
def verified(control_plane: ControlPlane) -> bool:
    """Whether this API server takes the action."""
    told = control_plane.call("GET", "/version").document
    return (int(told["major"]), int(told["minor"].rstrip("+"))) >= (1, 36)


def rules_of(container: Document) -> dict[str, Any]:
    """Return what a container says of restarts."""
    return {
        field: container[field]
        for field in ("restartPolicy", "restartPolicyRules")
        if field in container
    }


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("Pod", {}, {"restartPolicy": "Never", "restartPolicyRules": [ANY_CODE]}),
        ("Deployment", {}, {"restartPolicy": "Never", "restartPolicyRules": [ANY_CODE]}),
        ("StatefulSet", {}, {"restartPolicy": "Never", "restartPolicyRules": [ANY_CODE]}),
        (
            "Job",
            {"restartPolicy": "OnFailure"},
            {"restartPolicy": "OnFailure", "restartPolicyRules": [FAILURES]},
        ),
        ("Job", {"restartPolicy": "Never"}, {}),
    ],
)
def test_the_pods_of_a_workload(  # noqa: PLR0913 — fixtures
    kind: str,
    spec: Document,
    expected: Document,
    control_plane: ControlPlane,
    team: TeamFactory,
    *,
    verified: bool,
) -> None:
    """Stored as they were meant, and past our own look; on an older server with a warning."""
    made = control_plane.create(workload(kind, team(**VERIFY), spec=vllm_spec(**spec)))
    if kind != "Pod":
        made = control_plane.create(pod_of(made.document))
    assert made.status == 201, made.message
    assert rules_of(made.document["spec"]["containers"][0]) == (expected if verified else {})
    assert any("onRestart Verify needs Kubernetes 1.36" in each for each in made.warnings) != (
        verified
    )


def test_sidecars_and_init_containers(
    control_plane: ControlPlane, team: TeamFactory, *, verified: bool
) -> None:
    """A native sidecar may have such a rule, too; a pod copied from the cluster is admitted."""
    if not verified:
        pytest.skip("an older API server")
    name = team(**VERIFY)
    mounts = {"volumeMounts": [{"name": "model", "mountPath": "/models", "readOnly": True}]}
    tool = {"image": "busybox:1", "command": ["/bin/tool"]}
    init = [
        vllm(name="reader", **tool, **mounts),
        vllm(name="cache", restartPolicy="Always", **tool, **mounts),
    ]
    first = control_plane.created(workload("Pod", name, spec=vllm_spec(initContainers=init)))
    _, reader, cache = first["spec"]["initContainers"]
    assert rules_of(reader) == {"restartPolicy": "OnFailure", "restartPolicyRules": [FAILURES]}
    assert rules_of(cache) == {"restartPolicy": "Always", "restartPolicyRules": [ANY_CODE]}
    copied = {"name": "copy", "namespace": name, "labels": first["metadata"]["labels"]}
    second = control_plane.created({**first, "metadata": copied})
    assert second["spec"] == first["spec"]


def test_own_rules_are_kept(
    control_plane: ControlPlane, team: TeamFactory, *, verified: bool
) -> None:
    """Before ours, with a warning."""
    if not verified:
        pytest.skip("an older API server")
    own = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
    serving = vllm(restartPolicy="Never", restartPolicyRules=[own])
    other = vllm(name="b", restartPolicy="Always", restartPolicyRules=[own])
    made = control_plane.create(
        workload("Pod", team(**VERIFY), spec=vllm_spec(containers=[serving, other]))
    )
    assert made.status == 201, made.message
    kept = [each["restartPolicyRules"] for each in made.document["spec"]["containers"]]
    assert kept == [[own], [own, ANY_CODE]]
    assert sum(
        "restarts without a verification after the exit codes 42" in w for w in made.warnings
    )
