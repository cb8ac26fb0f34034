"""Other people's webhooks beside ours: in either order, called once or again, with each change.

Ours is registered under the manifests' name, which sorts last (decision 0018).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.other_webhook import other_webhook
from tests.e2e.api_server.webhook_registration import mutating_all, registered
from tests.e2e.api_server.workloads import vllm_spec, workload
from tests.support.fakes.openshift import CONSTRAINTS, admitted
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.api_server.control_plane import Answer, ControlPlane, Document
    from tests.e2e.api_server.fixtures import TeamFactory
    from tests.e2e.api_server.other_webhook import Patch

BEFORE, AFTER = "aaa-other", "zzz-other"
MOUNTED_AT = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
DIGEST = "@sha256:" + "0" * 64

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force")]


def environment(container: Document) -> None:
    """EKS Pod Identity, Datadog, proxies, time zones."""
    variables = container.setdefault("env", [])
    if not any(each["name"] == "AWS_REGION" for each in variables):
        variables.append({"name": "AWS_REGION", "value": "eu-central-1"})


def token(container: Document) -> None:
    """EKS IRSA, Azure Workload Identity: a projected token, mounted everywhere."""
    mounts = container.setdefault("volumeMounts", [])
    if not any(each["name"] == "aws-iam-token" for each in mounts):
        mounts.append({"name": "aws-iam-token", "mountPath": MOUNTED_AT, "readOnly": True})


def digest(container: Document) -> None:
    """Sigstore's policy-controller, Connaisseur: the tag is resolved."""
    if "@" not in container["image"]:
        container["image"] += DIGEST


def registry(container: Document) -> None:
    """Zarf, k8s-image-swapper: images come from a mirror."""
    if not container["image"].startswith("mirror.test/"):
        container["image"] = f"mirror.test/{container['image']}"


def resources(container: Document) -> None:
    """GKE Autopilot: more memory, and storage."""
    amounts = container.setdefault("resources", {})
    for kind in ("requests", "limits"):
        amounts[kind] = {**amounts.get(kind, {}), "memory": "2Gi", "ephemeral-storage": "1Gi"}


def capabilities(container: Document) -> None:
    """OpenShift's SCC anyuid."""
    context = container.setdefault("securityContext", {})
    dropped = context.setdefault("capabilities", {}).get("drop") or []
    context["capabilities"]["drop"] = [*dropped, *({"MKNOD"} - {*dropped})]


CHANGES: dict[str, Callable[[Document], None]] = {
    "environment": environment,
    "token": token,
    "digest": digest,
    "registry": registry,
    "resources": resources,
    "capabilities": capabilities,
}


def agent(**changes: Any) -> Document:
    """Return a native sidecar of somebody else's."""
    return {"name": "agent", "image": "registry.test/agent:1", "restartPolicy": "Always"} | changes


def last(container: Document) -> Callable[[Document], Patch]:
    """Return a webhook whose init container always stands last, as meshes order theirs."""

    def patch(pod: Document) -> Patch:
        given = pod["spec"].get("initContainers", [])
        wanted = [each for each in given if each["name"] != container["name"]] + [container]
        # The API server fills in defaults between two calls.
        if [each["name"] for each in given] == [each["name"] for each in wanted]:
            return []
        return [{"op": "add", "path": "/spec/initContainers", "value": wanted}]

    return patch


def patching(change: str) -> Callable[[Document], Patch]:
    """Return a webhook that changes each container, as Go's do: by whole lists."""
    if change == "sidecar":
        return last(agent())
    if change == "writer":
        return last(agent(volumeMounts=[{"name": "model", "mountPath": "/m"}], restartPolicy=None))

    def patch(pod: Document) -> Patch:
        if change == "label":
            return [{"op": "add", "path": "/metadata/labels/team", "value": "a"}]
        operations: Patch = []
        for field in ("initContainers", "containers"):
            if given := pod["spec"].get(field):
                changed = copy.deepcopy(given)
                for container in changed:
                    CHANGES[change](container)
                operations += (
                    [{"op": "replace", "path": f"/spec/{field}", "value": changed}]
                    if changed != given
                    else []
                )
        named = [volume["name"] for volume in pod["spec"].get("volumes", [])]
        if change == "token" and "aws-iam-token" not in named:
            source = {"audience": "sts.amazonaws.com", "expirationSeconds": 3600, "path": "token"}
            volume = {
                "name": "aws-iam-token",
                "projected": {"sources": [{"serviceAccountToken": source}]},
            }
            operations.append({"op": "add", "path": "/spec/volumes/0", "value": volume})
        return operations

    return patch


def created(control_plane: ControlPlane, team: TeamFactory, folder: Path, **other: Any) -> Answer:
    """Create a pod beside a webhook of somebody else's."""
    namespace = team()
    with other_webhook(folder, patch=patching(other["change"])) as running:
        made = mutating_all(running.endpoint, name=other["name"], namespace=namespace)
        for entry in made["webhooks"]:
            entry["reinvocationPolicy"] = other["again"]
        with registered(control_plane, made):
            return control_plane.create(workload("Pod", namespace, spec=vllm_spec()))


@pytest.mark.parametrize("change", [*CHANGES, "label"])
@pytest.mark.parametrize("other", [(BEFORE, "Never"), (BEFORE, "IfNeeded"), (AFTER, "Never")])
def test_ours_has_the_last_word(
    other: tuple[str, str],
    change: str,
    control_plane: ControlPlane,
    team: TeamFactory,
    tmp_path: Path,
) -> None:
    """The pod is admitted, with a gate that does its work: ours is asked once more in the end."""
    name, again = other
    answer = created(control_plane, team, tmp_path, name=name, again=again, change=change)
    assert answer.status == 201, answer.message
    assert answer.document["spec"]["initContainers"][0]["name"] == GATE_CONTAINER


@pytest.mark.parametrize("change", ["resources", "capabilities", "label"])
def test_what_cannot_weaken_the_gate_is_kept(
    change: str, control_plane: ControlPlane, team: TeamFactory, tmp_path: Path
) -> None:
    """Also where the other one insists on the last word."""
    answer = created(control_plane, team, tmp_path, name=AFTER, again="IfNeeded", change=change)
    assert answer.status == 201, answer.message
    gate = answer.document["spec"]["initContainers"][0]
    assert change != "resources" or gate["resources"]["limits"]["memory"] == "2Gi"
    assert change != "capabilities" or "MKNOD" in gate["securityContext"]["capabilities"]["drop"]


@pytest.mark.parametrize("name", [BEFORE, AFTER])
@pytest.mark.parametrize("again", ["Never", "IfNeeded"])
def test_a_native_sidecar_is_admitted_wherever_it_comes(
    name: str, again: str, control_plane: ControlPlane, team: TeamFactory, tmp_path: Path
) -> None:
    """Before the gate, or after it where the other one has the last word."""
    answer = created(control_plane, team, tmp_path, name=name, again=again, change="sidecar")
    assert answer.status == 201, answer.message
    names = [each["name"] for each in answer.document["spec"]["initContainers"]]
    insists = (name, again) == (AFTER, "IfNeeded")
    assert names == ([GATE_CONTAINER, "agent"] if insists else ["agent", GATE_CONTAINER])


def test_a_writer_that_insists_on_coming_last_is_named(
    control_plane: ControlPlane, team: TeamFactory, tmp_path: Path
) -> None:
    """It would write the model after the verdict."""
    answer = created(control_plane, team, tmp_path, name=AFTER, again="IfNeeded", change="writer")
    assert answer.status == 403
    assert "must be initContainers[1], after initContainers[1] 'agent'" in answer.message


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_openshifts_plugin_has_nothing_left_to_change(
    name: str, control_plane: ControlPlane, team: TeamFactory, tmp_path: Path
) -> None:
    """It runs before the webhooks and again after them, as a webhook does that is reinvoked."""
    constraint, namespace = CONSTRAINTS[name], team()
    spec = vllm_spec(securityContext={"runAsNonRoot": True})

    def patch(pod: Document) -> Patch:
        changed = admitted(pod, constraint)
        if changed == pod:
            return []
        return [
            {"op": "replace", "path": "/spec", "value": changed["spec"]},
            {
                "op": "add",
                "path": "/metadata/annotations",
                "value": changed["metadata"]["annotations"],
            },
        ]

    with other_webhook(tmp_path, patch=patch) as running:
        made = mutating_all(running.endpoint, name=BEFORE, namespace=namespace)
        for entry in made["webhooks"]:
            entry["reinvocationPolicy"] = "IfNeeded"
        with registered(control_plane, made):
            stored = control_plane.created(workload("Pod", namespace, spec=spec))
    assert stored["spec"]["initContainers"][0]["name"] == GATE_CONTAINER
    assert admitted(stored, constraint) == stored


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("environment", "annotate the pod eks.amazonaws.com/skip-containers: model-validation,"),
        ("token", "annotate the pod eks.amazonaws.com/skip-containers: model-validation,"),
        ("digest", "name the gate's image by that digest or mirror"),
        ("registry", "name the gate's image by that digest or mirror"),
    ],
)
def test_what_could_weaken_the_gate_is_refused_with_the_way_out(
    change: str, sentence: str, control_plane: ControlPlane, team: TeamFactory, tmp_path: Path
) -> None:
    """Whoever insists on the last word is named, and what to set."""
    answer = created(control_plane, team, tmp_path, name=AFTER, again="IfNeeded", change=change)
    assert answer.status == 403
    assert sentence in answer.message
