"""Audit: verify, report, admit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.pods import (
    MODEL,
    NAMESPACE,
    SETTINGS,
    claim,
    container,
    gate_of,
    mount,
    pod,
    policy,
    run,
    vllm,
)
from validator import contract
from webhook.admission.pod import Manifest
from webhook.admission.validation import check_created
from webhook.errors import PodRefused


def test_what_enforce_would_refuse_is_a_warning() -> None:
    """The gate is there all the same, and so is the sentence."""
    result = run(pod(hostPID=True), policy(mode="Audit"))
    assert gate_of(result.pod)
    assert result.warnings[0].startswith("would be refused under Enforce: spec.hostPID")


@pytest.mark.parametrize("given", [pod(vllm(volumeMounts=[])), {"spec": 7}])
def test_a_pod_that_can_have_no_gate_stays_as_it_is(given: dict[str, object]) -> None:
    """It is admitted, with a warning, by both of our webhooks."""
    before = json.dumps(given)
    result = run(given, policy(mode="Audit"))
    assert result.pod["metadata"]["annotations"] == {contract.AUDIT_ANNOTATION: "granite"}
    assert result.pod["spec"] == given["spec"]
    assert json.dumps(given) == before
    (warning,) = result.warnings
    assert warning.startswith("would be refused under Enforce: ")
    chosen = policy(mode="Audit")
    assert check_created(Manifest(raw=result.pod), chosen, gate=SETTINGS, namespace=NAMESPACE) == ()


BROUGHT = [
    container(contract.GATE_CONTAINER, image="registry.example/evil:1"),
    container(contract.MONITOR_CONTAINER, image="registry.example/evil:1"),
]


@pytest.mark.parametrize(
    ("given", "others"),
    [
        (pod(vllm(volumeMounts=[]), initContainers=[*BROUGHT, container("load")]), ["load"]),
        (pod(vllm(volumeMounts=7), initContainers=BROUGHT), []),
        (pod(vllm(volumeMounts=7), initContainers=[*BROUGHT, 7, {}]), [None, None]),
    ],
)
def test_nobody_speaks_in_the_gates_name_where_there_is_none(
    given: dict[str, Any], others: list[str | None]
) -> None:
    """Such a container could forge a verdict, and have any image under an exemption."""
    chosen = policy(mode="Audit")
    before = json.dumps(given)
    made = run(given, chosen).pod
    left = [
        each.get("name") if isinstance(each, dict) else None
        for each in made["spec"]["initContainers"]
    ]
    assert left == others
    assert json.dumps(given) == before
    assert check_created(Manifest(raw=made), chosen, gate=SETTINGS, namespace=NAMESPACE) == ()
    (warning,) = check_created(Manifest(raw=given), chosen, gate=SETTINGS, namespace=NAMESPACE)
    assert warning.startswith("would be refused under Enforce: ")


def test_changes_nothing_in_the_workload() -> None:
    """A mount that becomes read-only can stop a workload; the gate learns of the mode itself."""
    given = pod(vllm(mount(), mount("x", "/x")), volumes=[claim(), claim("x")])
    result = run(given, policy(mode="Audit"))
    assert result.pod["spec"]["containers"] == given["spec"]["containers"]
    (variable, *_) = gate_of(result.pod)["env"]
    assert json.loads(variable["value"])["spec"]["mode"] == "Audit"


def test_validation_warns_of_what_was_changed() -> None:
    """A gate that was taken out again is reported, not refused."""
    chosen = policy(mode="Audit")
    (warning,) = check_created(Manifest(raw=pod()), chosen, gate=SETTINGS, namespace=NAMESPACE)
    assert warning.startswith("would be refused under Enforce: the pod has no init container")
    assert contract.GATE_CONTAINER in warning


@pytest.mark.parametrize("given", [pod(vllm(volumeMounts=[])), {"spec": None}, {"spec": 7}])
def test_validation_warns_of_a_missing_mark(given: dict[str, Any]) -> None:
    """The API server's own policies refuse such a pod: the sentence says why."""
    chosen = policy(mode="Audit")
    (warning,) = check_created(Manifest(raw=given), chosen, gate=SETTINGS, namespace=NAMESPACE)
    assert warning.startswith("would be refused under Enforce: metadata")


def annotated(**annotations: str) -> dict[str, Any]:
    """Return a pod with annotations."""
    made = pod()
    made["metadata"]["annotations"] = annotations
    return made


@pytest.mark.parametrize("others", [{}, {"a": "b"}])
def test_nobody_but_the_webhook_says_that_a_pod_is_under_audit(others: dict[str, str]) -> None:
    """Under Enforce a forged mark is taken out, and refused if it comes back."""
    forged = annotated(**others, **{contract.AUDIT_ANNOTATION: "granite"})
    made = run(forged).pod
    assert made["metadata"]["annotations"] == others
    forged_again = {**made, "metadata": forged["metadata"]}
    with pytest.raises(PodRefused, match="annotations"):
        check_created(Manifest(raw=forged_again), policy(), gate=SETTINGS, namespace=NAMESPACE)


def test_the_mark_names_the_policy_that_was_chosen() -> None:
    """Also where the pod says another name."""
    forged = annotated(**{contract.AUDIT_ANNOTATION: "another"})
    made = run(forged, policy(mode="Audit")).pod
    assert made["metadata"]["annotations"] == {contract.AUDIT_ANNOTATION: "granite"}


@pytest.mark.parametrize("metadata", [None, {}, {"annotations": None}])
def test_a_pod_without_annotations_is_marked(metadata: dict[str, Any] | None) -> None:
    """The API server leaves out what is empty."""
    made = run(pod() | {"metadata": metadata}, policy(mode="Audit")).pod
    assert made["metadata"]["annotations"] == {contract.AUDIT_ANNOTATION: "granite"}


EVIL = {"name": "evil", "emptyDir": {}}
REFUSED: dict[str, dict[str, Any]] = {
    "a limit": pod(vllm(args=["a"] * 3000)),
    "a field's type": pod(vllm(volumeMounts=7)),
    "a reserved container": pod(vllm(), container(contract.GATE_CONTAINER)),
    "a reserved volume": pod(volumes=[claim(), {"name": contract.SCRATCH_VOLUME}]),
    "the gate's volume": pod(vllm(mount(), mount(contract.SCRATCH_VOLUME, "/x"))),
    "ephemeral containers": pod(ephemeralContainers=[container("debug")]),
    "no volume": pod(vllm(volumeMounts=[])),
    "an undeclared volume": pod(volumes=[]),
    "an unfit volume": pod(volumes=[{"name": "model", "configMap": {"name": "m"}}]),
    "a differing mount": pod(vllm(), container("x", mount("evil")), volumes=[claim(), EVIL]),
    "a nested mount": pod(
        vllm(mount(), mount("data", "/data"), mount("evil", "/data/x")),
        container("other", mount("data", "/data")),
        volumes=[claim(), claim("data", of="data"), EVIL],
    ),
    "a termination message": pod(vllm(terminationMessagePath=MODEL)),
    "hostPID": pod(hostPID=True),
    "shared processes": pod(shareProcessNamespace=True),
    "Windows": pod(os={"name": "windows"}),
    "a privilege": pod(vllm(securityContext={"privileged": True})),
    "a capability": pod(vllm(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}})),
    "a device": pod(vllm(volumeDevices=[{"name": "model", "devicePath": "/dev/x"}])),
    "an early server": pod(
        initContainers=[
            container("proxy", mount(), restartPolicy="Always"),
            container("fetch", mount()),
        ]
    ),
    "an argument": pod(vllm(args=["--tokenizer=/evil"])),
    "the gate's program": pod(vllm(mount(at="/usr/models"))),
    "a quantity": pod(vllm(resources={"limits": {"cpu": "much"}})),
}
"""A pod for each refusal that there is, by what is wrong with it."""


@pytest.mark.parametrize("what", REFUSED)
def test_audit_stops_nothing(what: str) -> None:
    """Neither webhook refuses: there is a warning in place of each refusal."""
    path = "/usr/models/granite" if what == "the gate's program" else MODEL
    enforcing, auditing = (policy(mode=mode, model={"path": path}) for mode in ("Enforce", "Audit"))
    with pytest.raises(PodRefused):
        run(REFUSED[what], enforcing)
    result = run(REFUSED[what], auditing)
    assert result.warnings[0].startswith("would be refused under Enforce: ")
    made = Manifest(raw=result.pod)
    assert check_created(made, auditing, gate=SETTINGS, namespace=NAMESPACE) == ()
