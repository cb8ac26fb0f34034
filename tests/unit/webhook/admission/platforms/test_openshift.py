"""Gate, monitor and workload under OpenShift's SecurityContextConstraints."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes.openshift import ANNOTATION, CONSTRAINTS, UID_RANGE, admitted
from tests.support.pods import (
    NAMESPACE,
    SETTINGS,
    gate_of,
    monitor_of,
    mount,
    mutated,
    pod,
    policy,
    vllm,
)
from validator.contract import GATE_CONTAINER, MONITOR_CONTAINER
from webhook.admission.pod import Manifest
from webhook.admission.validation import check_created

if TYPE_CHECKING:
    from tests.support.fakes.openshift import Constraint

Document = dict[str, Any]

WATCHED = policy(revalidation={"interval": "10m"})
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
WORKLOADS = {
    "says nothing": pod(vllm(mount())),
    "hardened": pod(vllm(mount(), securityContext=HARDENED)),
    "its own user": pod(
        vllm(mount(), securityContext={"runAsUser": UID_RANGE[0] + 7, "runAsGroup": 0})
    ),
    "the pod's user and group": pod(
        vllm(mount()),
        securityContext={"runAsUser": UID_RANGE[0] + 7, "fsGroup": UID_RANGE[0] + 8},
    ),
    "two users": pod(
        vllm(mount(), securityContext={"runAsUser": UID_RANGE[0] + 1}),
        {"name": "helper", "image": "helper:1", "securityContext": {"runAsUser": UID_RANGE[0]}},
    ),
}


def through(given: Document, constraint: Constraint) -> Document:
    """Return the pod after the plugin, our webhook, the plugin again, and our webhook once more."""
    once = mutated(admitted(copy.deepcopy(given), constraint), WATCHED)
    return mutated(admitted(once, constraint), WATCHED)


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_labelled_pod_is_admitted(name: str, workload: str) -> None:
    """The plugin has nothing more to change in the end, and neither has our webhook a complaint."""
    constraint = CONSTRAINTS[name]
    final = through(WORKLOADS[workload], constraint)
    assert admitted(final, constraint) == final
    check_created(Manifest(raw=final), WATCHED, gate=SETTINGS, namespace=NAMESPACE)
    assert final["metadata"]["annotations"][ANNOTATION] == name
    assert gate_of(final)["name"] == GATE_CONTAINER
    assert monitor_of(final)["name"] == MONITOR_CONTAINER


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_the_gate_reads_as_the_workload_does(name: str, workload: str) -> None:
    """By the same user, so that what the workload may read, the gate may, too.

    Where its image alone names its user, as `nonroot-v2` and `anyuid` allow, the gate has its own.
    """
    final = through(WORKLOADS[workload], CONSTRAINTS[name])
    shared = final["spec"]["securityContext"]

    def user(container: Document) -> int | None:
        found = container.get("securityContext", {}).get("runAsUser", shared.get("runAsUser"))
        return None if found is None else int(found)

    serving = user(final["spec"]["containers"][0]) or SETTINGS.user
    assert user(gate_of(final)) == user(monitor_of(final)) == serving
    assert name != "restricted-v2" or serving >= UID_RANGE[0]
