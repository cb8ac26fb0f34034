"""The webhook's knowledge of the cluster while the watches of a real API server fail."""

from __future__ import annotations

import http.client
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.admission.serving import in_force, running_webhook
from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.installation.installing import delete
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.webhook_registration import mutating, registered, validating
from tests.e2e.api_server.workloads import MODEL, policy, workload
from validator.contract import GATE_CONTAINER, NAMESPACE_POLICY_LABEL
from validator.policy.crd import definition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.admission.serving import ServingWebhook
    from tests.e2e.api_server.control_plane import Answer, ControlPlane, Document

pytestmark = pytest.mark.apiserver

MERGE = "application/merge-patch+json"
STREAM_SECONDS = 5
ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/model-validation-webhook"


@pytest.fixture(scope="module")
def own(empty: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane that may be stopped, left as empty as it was."""
    yield empty
    delete(empty, manifests.overlay_folder("operator-compat"))


@pytest.fixture(scope="module")
def webhook(
    own: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServingWebhook]:
    """A webhook that watches it."""
    with running_webhook(own, tmp_path_factory.mktemp("watching")) as running:
        yield running


@pytest.fixture
def here(own: ControlPlane, webhook: ServingWebhook) -> Iterator[str]:
    """A namespace with a policy, where the webhook is in force."""
    name = f"test-{os.urandom(5).hex()}"
    with in_force(own, webhook):
        own.make_namespace(name)
        own.created(policy(name))
        yield name
        own.remove_namespace(name)


def policy_path(namespace: str) -> str:
    """Return the path of the namespace's policy."""
    return f"/apis/rhtas.redhat.com/v1alpha1/namespaces/{namespace}/modelvalidations/granite"


def sign_elsewhere(own: ControlPlane, namespace: str, name: str) -> str:
    """Change the policy; return the signature's path, which a new pod's gate then names."""
    path = f"{MODEL}/{name}"
    body = {"spec": {"model": {"signaturePath": path}}}
    answer = own.call("PATCH", policy_path(namespace), body, content_type=MERGE)
    assert answer.status == http.client.OK, answer.message
    return path


def policy_of(pod: Document) -> str:
    """Return the policy that a pod's gate was given."""
    (gate,) = pod["spec"]["initContainers"]
    assert gate["name"] == GATE_CONTAINER
    return str(gate["env"][0]["value"])


def tried(own: ControlPlane, namespace: str) -> str:
    """Return what a new pod's gate would be given, or why there would be no pod."""
    answer = own.create(workload("Pod", namespace), dry_run=True)
    return answer.message or policy_of(answer.document)


def seen(own: ControlPlane, namespace: str, words: str) -> None:
    """Return when a new pod shows that the webhook has seen a change."""
    until(lambda: words in tried(own, namespace), what=f"new pods show {words!r}")


def test_policies_are_seen_as_they_come_and_go(own: ControlPlane, here: str) -> None:
    """Created, changed, deleted and created anew, each within seconds."""
    assert "granite" in tried(own, here)
    for name in ("a.sig", "b.sig"):
        seen(own, here, sign_elsewhere(own, here, name))
    own.call("DELETE", policy_path(here))
    seen(own, here, "has no ModelValidation")
    own.created(policy(here, model={"signaturePath": "/models/c.sig"}))
    assert "/models/c.sig" in tried(own, here)


def test_namespaces_are_seen_as_they_change(own: ControlPlane, here: str) -> None:
    """A label of the cluster's admin counts for the next pod."""
    own.kubectl("label", "namespace", here, f"{NAMESPACE_POLICY_LABEL}=other")
    seen(own, here, "is bound to the ModelValidation 'other'")
    own.kubectl("label", "namespace", here, f"{NAMESPACE_POLICY_LABEL}-")
    seen(own, here, '"name":"granite"')


def test_an_api_server_that_restarts(own: ControlPlane, webhook: ServingWebhook, here: str) -> None:
    """The watches begin anew; until then what was known is answered from."""
    pid = webhook.program.pid
    own.stop_api_server()
    try:
        assert webhook.ready
    finally:
        own.start_api_server()
    seen(own, here, sign_elsewhere(own, here, "after-restart.sig"))
    assert webhook.program.pid == pid


def test_history_that_is_forgotten(own: ControlPlane, webhook: ServingWebhook, here: str) -> None:
    """A new list has changes that no watch can repeat."""
    assert "granite" in tried(own, here)
    pid = webhook.program.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        own.call("DELETE", policy_path(here))
        own.created(policy("default", name="new"))
        own.forget_history()
    finally:
        os.kill(pid, signal.SIGCONT)
    seen(own, here, "has no ModelValidation")
    until(lambda: webhook.metric('policies{state="usable"}') == 1, what="the new one is known")
    own.call("DELETE", policy_path("default").replace("granite", "new"))


def test_it_is_not_ready_without_an_api_server(own: ControlPlane, webhook: ServingWebhook) -> None:
    """It waits, alive, and goes on by itself."""
    webhook.program.kill()
    own.stop_api_server()
    webhook.program.start()
    try:
        until(lambda: webhook.alive, what="the probes answer", seconds=30)
        time.sleep(0.5)
        assert not webhook.ready
    finally:
        own.start_api_server()
        until(lambda: webhook.ready, what="it is ready", seconds=60)


def test_it_is_not_ready_without_its_rights(own: ControlPlane, webhook: ServingWebhook) -> None:
    """It knows the policies but not the namespaces, and its log says what is missing."""
    role = own.call("GET", ROLE).document
    webhook.program.kill()
    said = len(webhook.lines())
    own.call("PATCH", ROLE, {"rules": role["rules"][:1]}, content_type=MERGE)
    webhook.program.start()
    try:
        until(lambda: webhook.alive, what="the probes answer", seconds=30)
        start = "/api/v1/namespaces: the API server answered 403: namespaces is forbidden"
        end = "give our ServiceAccount get, list and watch"

        def told() -> bool:
            reasons = [str(line.get("reason")) for line in webhook.lines()[said:]]
            return any(each.startswith(start) and each.endswith(end) for each in reasons)

        until(told, what="the log says why")
        assert (webhook.alive, webhook.ready) == (True, False)
    finally:
        own.call("PATCH", ROLE, {"rules": role["rules"]}, content_type=MERGE)
        until(lambda: webhook.ready, what="it is ready", seconds=60)


def test_a_policy_from_before_the_definition_was_tightened(own: ControlPlane, here: str) -> None:
    """It is stored and cannot be used: its pods are refused with what to correct."""
    loose = definition()
    for version in loose["spec"]["versions"]:
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version["schema"] = {"openAPIV3Schema": anything}
    own.apply([loose])
    try:
        body = {"spec": {"config": {"privateKeyConfig": None}}}

        def stored() -> bool:
            answer = own.call("PATCH", policy_path(here), body, content_type=MERGE)
            return answer.status == http.client.OK

        until(stored, what="the loose definition is in force")
    finally:
        own.apply([definition()])
    seen(own, here, "the ModelValidation 'granite' cannot be used")
    assert "exactly one" in tried(own, here)
    body = {"spec": {"config": policy(here)["spec"]["config"]}}
    assert own.call("PATCH", policy_path(here), body, content_type=MERGE).status == http.client.OK
    seen(own, here, '"name":"granite"')


def test_a_stream_of_pods_while_the_policy_changes(
    own: ControlPlane, webhook: ServingWebhook, tmp_path: Path
) -> None:
    """Two replicas, one mutating and one validating, may disagree for a moment: none fails."""
    namespace = f"test-{os.urandom(5).hex()}"
    own.make_namespace(namespace)
    own.created(policy(namespace))
    with (
        running_webhook(own, tmp_path) as other,
        registered(own, mutating(webhook.endpoint), validating(other.endpoint)),
        ThreadPoolExecutor() as threads,
    ):
        end = time.monotonic() + STREAM_SECONDS
        streams = [threads.submit(_stream, own, namespace, end=end) for _ in range(2)]
        changes = 0
        while time.monotonic() < end:
            sign_elsewhere(own, namespace, f"{changes}.sig")
            changes += 1
            time.sleep(0.05)
        answers = [answer for stream in streams for answer in stream.result()]
    own.remove_namespace(namespace)
    assert [answer.message for answer in answers if answer.status != http.client.CREATED] == []
    given = {policy_of(answer.document) for answer in answers}
    assert len(answers) >= 10
    assert len(given) >= 3  # many generations were in use, each by pods of its time


def _stream(own: ControlPlane, namespace: str, *, end: float) -> list[Answer]:
    """Create pods one after another until the time is up."""
    pod = workload("Pod", namespace)
    del pod["metadata"]["name"]
    pod["metadata"]["generateName"] = "vllm-"
    answers = []
    while time.monotonic() < end:
        answers.append(own.create(pod))
    return answers
