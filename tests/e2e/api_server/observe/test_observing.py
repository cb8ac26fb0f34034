"""Verdicts on a real API server: pods of the real webhook, their status as a kubelet writes it."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.admission.test_exemptions import COLLECTION, exemption, is_exempt, pod
from tests.e2e.api_server.admission.test_trust_roots import COLLECTION as ROOTS
from tests.e2e.api_server.admission.test_trust_roots import gates_policy, root
from tests.e2e.api_server.observe.running import USER, rights, running_observer
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.workloads import policy, workload
from tests.support.cluster_rules import rule_document
from tests.support.observed import ended, refused, verified, with_monitor
from validator.policy.cluster_rules.namespace_selector import NAME_LABEL
from webhook.admission.injected.restart_rules import FIRST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import NamespaceFactory, TeamFactory
    from tests.e2e.api_server.probed import ProbedProgram

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force")]

RULES = "/apis/rhtas.redhat.com/v1alpha1/clustermodelvalidations"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def observer(
    control_plane: ControlPlane, webhook_in_force: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProbedProgram]:
    """The controller, running while the module's tests do."""
    assert webhook_in_force  # it has installed the resource definition
    with (
        rights(control_plane),
        running_observer(control_plane, tmp_path_factory.mktemp("observe")) as running,
    ):
        yield running


def made(control_plane: ControlPlane, namespace: str, name: str) -> Document:
    """Create a labelled pod and return it with the gate of the webhook."""
    pod = workload("Pod", namespace)
    pod["metadata"]["name"] = name
    return control_plane.created(pod)


def say(control_plane: ControlPlane, pod: Document) -> None:
    """Write the status of a pod, as its kubelet does."""
    named = pod["metadata"]
    path = f"/api/v1/namespaces/{named['namespace']}/pods/{named['name']}/status"
    states = pod["status"]["initContainerStatuses"]
    for state in states:
        state |= {"image": "", "imageID": "", "restartCount": 0}
        for of in ("running", "terminated"):
            if of in state["state"]:
                state["state"][of].setdefault("startedAt", "2026-11-28T19:59:00Z")
    body = {"status": {"phase": pod["status"]["phase"], "initContainerStatuses": states}}
    answer = control_plane.call("PATCH", path, body, content_type=MERGE)
    assert answer.status == 200, answer.message


def status_of(control_plane: ControlPlane, namespace: str, name: str = "granite") -> Document:
    """Return a policy's status."""
    path = f"/apis/rhtas.redhat.com/v1alpha1/namespaces/{namespace}/modelvalidations/{name}"
    found: Document = control_plane.call("GET", path).document.get("status", {})
    return found


def counted(control_plane: ControlPlane, namespace: str) -> dict[str, Any]:
    """Return the numbers of pods above zero."""
    pods = status_of(control_plane, namespace).get("pods", {})
    return {name: number for name, number in pods.items() if number}


def _counts(control_plane: ControlPlane, namespace: str, expected: Document) -> bool:
    return counted(control_plane, namespace) == expected


@pytest.mark.usefixtures("observer")
def test_a_verdict_is_in_the_policys_status(control_plane: ControlPlane, team: TeamFactory) -> None:
    """Verified, refused and waiting pods, and in kubectl's columns."""
    name = team()
    pods = [made(control_plane, name, each) for each in ("good", "bad", "new")]
    until(lambda: counted(control_plane, name) == {"waiting": 3}, what="pods wait")
    say(control_plane, ended(pods[0], [verified()]))
    say(control_plane, ended(pods[1], [refused(reason="signed by mallory")], code=1))
    expected = {"verified": 1, "refused": 1, "waiting": 1}
    until(lambda: counted(control_plane, name) == expected, what="verdicts are there")
    found = status_of(control_plane, name)
    (model,) = found["models"]
    assert (model["signer"], model["logIndex"], model["pods"]) == ("alice@models.corp", 42, 1)
    (bad,) = found["refusals"]
    until(partial(_announced, control_plane, name, "bad"), what="there are events")
    assert (bad["pod"], bad["code"], bad["sentence"]) == ("bad", "OtherSigner", "signed by mallory")
    header, row = control_plane.kubectl("get", "mv", "-n", name).stdout.splitlines()
    shown = {title: row[header.index(title) :].split()[0] for title in header.split()}
    assert (shown["VERIFIED"], shown["REFUSED"], shown["MODE"]) == ("1", "1", "Enforce")
    assert shown["MODEL"] == "/models/granite"


def _announced(control_plane: ControlPlane, namespace: str, pod: str) -> bool:
    """Tell whether kubectl shows the refusal on the pod, and both verdicts on the policy."""
    on_pod = control_plane.kubectl("describe", "pod", pod, "-n", namespace).stdout
    on_policy = control_plane.kubectl("describe", "mv", "granite", "-n", namespace).stdout
    return (
        f"pod {pod}: signed by mallory (OtherSigner)" in on_pod
        and "ModelRefused" in on_policy
        and "ModelVerified" in on_policy
    )


def _created_event(control_plane: ControlPlane, namespace: str) -> int:
    """Create an event with the account's rights; return the status of the answer."""
    event = {
        "metadata": {"name": "probe", "namespace": namespace},
        "eventTime": "2026-11-28T20:00:00.000000Z",
        "reportingController": "a.b/c",
        "reportingInstance": "x",
        "action": "Verify",
        "reason": "Probe",
        "type": "Normal",
        "regarding": {"kind": "Pod", "namespace": namespace, "name": "any"},
    }
    path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
    return control_plane.call("POST", path, event, user=USER).status


@pytest.mark.usefixtures("observer")
def test_kubectl_waits_for_a_policy(control_plane: ControlPlane, team: TeamFactory) -> None:
    """By its conditions; a placeholder and a model without a pin are said."""
    config = {
        "sigstoreConfig": {
            "certificateIdentity": "signer@example.invalid",
            "certificateOidcIssuer": "https://accounts.example.com",
        }
    }
    name = team(config=config)
    wait = ("wait", "-n", name, "mv/granite", "--timeout=20s")
    control_plane.kubectl(*wait, "--for=condition=Ready")
    control_plane.kubectl(*wait, "--for=condition=Signer=False")
    control_plane.kubectl(*wait, "--for=condition=Pinned=False")
    found = status_of(control_plane, name)
    assert found["observedGeneration"] == 1
    assert {c["type"]: c["reason"] for c in found["conditions"]} == {
        "Accepted": "Valid",
        "Ready": "InForce",
        "Narrowed": "NoRules",
        "Pinned": "NoDigests",
        "Signer": "Placeholder",
        "RestartVerifies": "NodesMayBeOlder",
    }


@pytest.mark.usefixtures("observer")
def test_whether_a_restart_verifies(control_plane: ControlPlane, team: TeamFactory) -> None:
    """By this API server's own version; `kubectl wait` understands it."""
    told = control_plane.call("GET", "/version").document
    version = int(told["major"]), int(told["minor"].rstrip("+"))
    holds = version >= FIRST
    name = team(onRestart="Verify", revalidation={"action": "Stop"})
    wait = ("wait", "-n", name, "mv/granite", "--timeout=20s")
    for kind in ("RestartVerifies", "ChangeStops"):
        control_plane.kubectl(*wait, f"--for=condition={kind}={holds}")
    if not holds:
        said = {c["type"]: c["message"] for c in status_of(control_plane, name)["conditions"]}
        assert "the API server is {}.{}".format(*version) in said["RestartVerifies"]


@pytest.mark.usefixtures("observer")
def test_a_pruned_digest(control_plane: ControlPlane, namespace: NamespaceFactory) -> None:
    """The API server drops a field that it does not know; the author meant a pin."""
    name = namespace()
    document = policy(name, model={"digest": f"sha256:{'0' * 64}"})
    control_plane.kubectl("apply", "--validate=false", "-f", "-", given=json.dumps(document))

    def pinned() -> list[str]:
        conditions = status_of(control_plane, name).get("conditions", ())
        return [each["reason"] for each in conditions if each["type"] == "Pinned"]

    until(lambda: pinned() == ["Pruned"], what="it is said")


@pytest.mark.usefixtures("observer")
def test_re_validation_makes_a_pod_unready(control_plane: ControlPlane, team: TeamFactory) -> None:
    """And ready again."""
    name = team(revalidation={})
    pod = ended(made(control_plane, name, "served"), [verified()])
    for ready, verdict in ((True, "verified"), (False, "unready"), (True, "verified")):
        say(control_plane, with_monitor(pod, ready=ready))
        until(
            partial(_counts, control_plane, name, {verdict: 1}),
            what=f"it is {verdict}",
        )


@pytest.mark.usefixtures("observer")
def test_an_exemption_is_shown(control_plane: ControlPlane, team: TeamFactory) -> None:
    """By whose leave a refused pod runs, in the policy's status."""
    name = team()
    control_plane.created(exemption(name))
    try:
        until(lambda: is_exempt(control_plane, pod(name)), what="the webhook has seen it")
        made_here = control_plane.created(pod(name))
        say(control_plane, ended(made_here, [refused()], code=1))
        until(lambda: counted(control_plane, name) == {"refused": 1}, what="it is counted")
        (found,) = status_of(control_plane, name)["refusals"]
        assert found["exemption"].startswith(f"{name} until 20")
    finally:
        control_plane.call("DELETE", f"{COLLECTION}/{name}")


@pytest.mark.usefixtures("observer")
def test_a_root_that_goes_takes_its_policies_out_of_force(
    control_plane: ControlPlane, namespace: NamespaceFactory
) -> None:
    """The status says what the webhook tells whoever creates a pod; it is back with the root."""
    name = namespace()
    config = {"privateKeyConfig": {"trustRootRef": {"name": name}}}
    control_plane.created(policy(name, config=config))

    def accepted() -> Document:
        conditions = status_of(control_plane, name).get("conditions", ())
        return next((each for each in conditions if each["type"] == "Accepted"), {})

    control_plane.created(root(name))
    try:
        for _ in range(2):
            until(lambda: accepted().get("reason") == "Valid", what="it is accepted")
            control_plane.call("DELETE", f"{ROOTS}/{name}")
            until(lambda: accepted()["reason"] == "TrustRootNotUsable", what="the root is missed")
            assert f"the TrustRoot '{name}' does not exist" in accepted()["message"]
            until(
                lambda: accepted()["message"] in str(gates_policy(control_plane, name)),
                what="pods are refused with the same sentence",
            )
            wait = ("wait", "-n", name, "mv/granite", "--timeout=20s")
            control_plane.kubectl(*wait, "--for=condition=Ready=False")
            control_plane.created(root(name))
    finally:
        control_plane.call("DELETE", f"{ROOTS}/{name}")


def test_rules_and_exemptions_have_a_status(
    control_plane: ControlPlane, observer: ProbedProgram, team: TeamFactory
) -> None:
    """In columns of `kubectl get`, and in the policy which a rule narrows; all are counted."""
    for kind in ("trustroots", "clustermodelvalidations", "modelvalidationexemptions"):
        series = f'model_validation_observe_left_out{{resource="{kind}"}} 0.0'
        assert series in observer.probe("/metrics")
    name = team(mode="Audit")
    chosen = {"matchLabels": {NAME_LABEL: name}}
    control_plane.created(rule_document(name, namespaceSelector=chosen))
    long = exemption(name)
    long["spec"]["expires"] = "2126-12-24T00:00:00Z"
    control_plane.created(long)
    try:
        for kind in ("cmv", "modelvalidationexemptions"):
            control_plane.kubectl(
                "wait", f"{kind}/{name}", "--timeout=20s", "--for=condition=Accepted"
            )
        control_plane.kubectl("wait", f"cmv/{name}", "--timeout=20s", "--for=condition=Ready")
        assert _columns(control_plane, "cmv", name)["NAMESPACES"] == "1"
        shown = _columns(control_plane, "modelvalidationexemptions", name)
        assert shown["IN FORCE"] == "True"
        assert shown["UNTIL"] < shown["EXPIRES"]
        wait = ("wait", "-n", name, "mv/granite", "--timeout=20s")
        control_plane.kubectl(*wait, "--for=condition=Narrowed")
        said = {each["type"]: each for each in status_of(control_plane, name)["conditions"]}
        assert said["Ready"]["reason"] == "InForce"
        assert said["Narrowed"]["message"].endswith("and it narrows mode")
    finally:
        for collection in (RULES, COLLECTION):
            control_plane.call("DELETE", f"{collection}/{name}")


def _columns(control_plane: ControlPlane, kind: str, name: str) -> dict[str, str]:
    """Return what `kubectl get -o wide` shows of an object, by column."""
    head, row = control_plane.kubectl("get", kind, name, "-o", "wide").stdout.splitlines()
    starts = [match.start() for match in re.finditer(r"(?<!\S)\S+( \S+)*", head)]
    ends = [*starts[1:], None]
    return {
        head[start:end].strip(): row[start:end].strip()
        for start, end in zip(starts, ends, strict=True)
    }


@pytest.mark.usefixtures("observer")
def test_a_status_is_not_written_with_the_policy(
    control_plane: ControlPlane, team: TeamFactory
) -> None:
    """Whoever may write a policy cannot write what became of its pods."""
    name = team()
    until(lambda: bool(status_of(control_plane, name)), what="there is a status")
    path = f"/apis/rhtas.redhat.com/v1alpha1/namespaces/{name}/modelvalidations/granite"
    body = {"status": {"pods": {"verified": 1000}}}
    assert control_plane.call("PATCH", path, body, content_type=MERGE).status == 200
    assert counted(control_plane, name) == {}


def test_its_rights(
    control_plane: ControlPlane, observer: ProbedProgram, team: TeamFactory
) -> None:
    """It reads pods, policies and what they are judged by, writes statuses, and nothing else."""
    assert observer.ready
    name = team()
    pod = made(control_plane, name, "any")["metadata"]
    policies = f"/apis/rhtas.redhat.com/v1alpha1/namespaces/{name}/modelvalidations"
    allowed: list[tuple[str, str, Document | None]] = [
        ("GET", "/api/v1/pods?limit=1", None),
        ("GET", "/apis/rhtas.redhat.com/v1alpha1/modelvalidations?limit=1", None),
        *(("GET", f"{each}?limit=1", None) for each in (ROOTS, COLLECTION, RULES)),
        ("GET", "/api/v1/namespaces?limit=1", None),
        ("PATCH", f"{policies}/granite/status", {}),
    ]
    assert _created_event(control_plane, name) == 201
    forbidden: list[tuple[str, str, Document | None]] = [
        ("PATCH", f"{policies}/granite", {}),
        ("DELETE", f"{policies}/granite", None),
        ("PATCH", f"/api/v1/namespaces/{name}/pods/{pod['name']}", {}),
        ("PATCH", f"/api/v1/namespaces/{name}/pods/{pod['name']}/status", {}),
        ("DELETE", f"/api/v1/namespaces/{name}/pods/{pod['name']}", None),
        ("GET", f"/api/v1/namespaces/{name}/secrets", None),
        ("GET", f"/api/v1/namespaces/{name}/configmaps", None),
        ("GET", f"/api/v1/namespaces/{name}", None),
        ("PATCH", f"/api/v1/namespaces/{name}", {}),
        *(("POST", each, {}) for each in (ROOTS, COLLECTION, RULES)),
        *(("PATCH", f"{each}/any", {}) for each in (ROOTS, COLLECTION, RULES)),
        ("PATCH", f"{ROOTS}/any/status", {}),
        ("POST", f"/api/v1/namespaces/{name}/pods", {}),
        ("GET", f"/apis/events.k8s.io/v1/namespaces/{name}/events", None),
    ]
    for expected, requests in ((200, allowed), (403, forbidden)):
        for method, path, body in requests:
            answer = control_plane.call(method, path, body, content_type=MERGE, user=USER)
            assert answer.status == expected, (method, path, answer.message)
    # In a namespace that is going no event can be created; RBAC's sentence is "User … cannot …".
    assert not [line for line in observer.lines() if " cannot " in line.get("reason", "")]
