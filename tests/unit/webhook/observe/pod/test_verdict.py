"""The verdict on one pod, from what its kubelet says."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.support import observed as made
from tests.support import pods
from tests.support.cluster_rules import rule
from tests.support.observed import (
    ended,
    exempted,
    gated,
    message,
    refused,
    verified,
    with_monitor,
)
from validator import contract
from validator.cli.injected import sentence_message
from validator.errors import Refused, Undecided
from validator.policy.cluster_rules.resolution import stand_in
from webhook.observe.pod.verdict import Observed, Verdict, observed
from webhook.observe.pod.wire import Pod
from webhook.observe.pods import under

if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.policy.document import ModelValidation

    Document = dict[str, Any]

IMAGES = (made.IMAGE,)


def judged(pod: Document) -> Observed:
    """Return the verdict on a pod as it comes over the wire."""
    text = msgspec.json.encode(pod)
    return observed(msgspec.json.decode(text, type=Pod), images=IMAGES)


def test_a_verified_pod() -> None:
    """Who signed what, and when it was verified."""
    found = judged(ended(gated(), [verified()]))
    assert (found.verdict, found.policy, found.policy_uid) == (
        Verdict.VERIFIED,
        "granite",
        "uid-of-granite",
    )
    (model,) = found.models
    assert (model.path, model.digest) == ("/models/granite", f"sha256:{made.DIGEST}")
    assert (model.signer, model.issuer) == ("alice@models.corp", "https://issuer.corp")
    assert (model.log_index, model.method) == (42, "sigstore")
    assert found.at == made.AT
    assert found.sentence == ""


def stand_in_for(**spec: Any) -> ModelValidation:
    """Return a rule of the cluster as the policy of a namespace that has none."""
    metadata = {"uid": "uid-of-base", "generation": 1}
    chosen = rule("base", metadata=metadata, model={"path": pods.MODEL}, default=True, **spec)
    return stand_in(chosen, [chosen])


def test_a_rule_of_the_cluster_in_place_of_a_policy() -> None:
    """It is named, and nothing is said of a policy of the namespace that has its name."""
    found = judged(ended(gated(policy=stand_in_for()), [verified()]))
    assert (found.verdict, found.namespace) == (Verdict.VERIFIED, "team")
    assert (found.policy, found.policy_uid, found.rule) == ("", "", "base")
    assert under(found, uid=None) is Verdict.VERIFIED
    assert under(found, uid="another") is Verdict.VERIFIED


def test_a_policy_that_says_it_is_the_clusters_has_no_namespace() -> None:
    """Else an author could have it taken for another one than the report names."""
    pod = gated(policy=stand_in_for())
    for each in pods.gate_of(pod)["env"]:
        if each["name"] == contract.POLICY_VARIABLE:
            policy = json.loads(each["value"])
            policy["metadata"]["namespace"] = "team"
            each["value"] = json.dumps(policy)
    assert judged(pod).verdict is Verdict.UNPROVEN


def test_an_exempt_pod() -> None:
    """It runs whatever its gate has found, by whose leave, and until when."""
    found = judged(ended(gated(policy=exempted(made.stored_policy())), [refused()], code=1))
    assert (found.verdict, found.audit) == (Verdict.REFUSED, True)
    assert found.exemption == f"until-signed until {made.EXPIRES}"
    assert judged(ended(gated(), [verified()])).exemption == ""


def test_an_exempt_pod_without_a_gate() -> None:
    """One that can have none is admitted all the same; the webhook has left the name on it."""
    pod = gated()
    pod["spec"]["initContainers"] = []
    pod["metadata"]["annotations"] = {contract.EXEMPTION_ANNOTATION: "until-signed"}
    found = judged(pod)
    assert (found.verdict, found.exemption) == (Verdict.UNPROVEN, "until-signed")


def test_a_pod_that_is_not_verified_yet_waits() -> None:
    """Before its kubelet has said anything, and while the gate runs."""
    assert judged(gated()).verdict is Verdict.WAITING
    running = {"name": contract.GATE_CONTAINER, "state": {"running": {}}}
    pod = gated() | {"status": {"phase": "Pending", "initContainerStatuses": [running]}}
    assert judged(pod).verdict is Verdict.WAITING


def test_a_refused_pod() -> None:
    """By its code and its sentence."""
    pod = ended(gated(), [refused(reason="signed by mallory")], code=1)
    found = judged(pod)
    assert (found.verdict, found.code) == (Verdict.REFUSED, "OtherSigner")
    assert found.sentence == "signed by mallory"
    assert found.models == ()


def test_a_refused_pod_is_refused_while_its_gate_tries_again() -> None:
    """The verdict is that of the last end."""
    pod = ended(gated(), [refused()], code=1)
    (said,) = pod["status"]["initContainerStatuses"]
    said["lastState"], said["state"] = said["state"], {"running": {}}
    assert judged(pod).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("error", "code"), [(Undecided("no root"), "Undecided"), (Refused("outside"), "OutsideModel")]
)
def test_a_gate_that_reached_no_model(error: Refused | Undecided, code: str) -> None:
    """It leaves a verdict and a sentence alone."""
    text = sentence_message(error).decode()
    found = judged(ended(gated(), code=3, text=text))
    assert (found.verdict, found.code, found.sentence) == (Verdict.REFUSED, code, str(error))


def test_a_gate_that_was_killed() -> None:
    """It has no report, and is no verdict on the model."""
    pod = ended(gated(), code=137, text="")
    pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"] = "OOMKilled"
    found = judged(pod)
    assert (found.verdict, found.code) == (Verdict.REFUSED, "Undecided")
    assert found.sentence == "the gate ended with exit code 137 (OOMKilled) and left no report"


def test_a_gate_that_runs_again_after_a_restart() -> None:
    """The kubelet has removed the old one with the pod's other containers; the new one decides."""
    pod = ended(gated(), code=137, text="The container is removed because RestartAllContainers")
    (said,) = pod["status"]["initContainerStatuses"]
    said["state"]["terminated"]["reason"] = "RestartingAllContainers"
    said["lastState"] = said["state"]
    for state in ("waiting", "running"):
        said["state"] = {state: {}}
        assert judged(pod).verdict is Verdict.WAITING


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_a_gate_that_has_verified_and_runs_again(state: str) -> None:
    """After a node's restart, or that of the pod's sandbox: what it found before does not count."""
    pod = ended(gated(), [verified()])
    (said,) = pod["status"]["initContainerStatuses"]
    said["lastState"], said["state"] = said["state"], {state: {}}
    found = judged(pod)
    assert (found.verdict, found.models) == (Verdict.WAITING, ())
    assert found.sentence == "the gate verifies again"


def test_verified_without_saying_what_proves_nothing() -> None:
    """A report that did not fit into a message is its verdict and reason alone."""
    found = judged(ended(gated(), text='{"verdict":"verified","reason":""}'))
    assert (found.verdict, found.models) == (Verdict.UNPROVEN, ())


def test_under_audit_a_refused_pod_runs() -> None:
    """The gate ends with 0, and its report says what it found."""
    audit = made.stored_policy(mode="Audit")
    found = judged(ended(gated(policy=audit), [refused()]))
    assert (found.verdict, found.audit) == (Verdict.REFUSED, True)


@pytest.mark.parametrize(
    ("ready", "phase", "verdict"),
    [
        (True, "Running", Verdict.VERIFIED),
        (False, "Running", Verdict.UNREADY),
        (False, "Pending", Verdict.WAITING),
    ],
)
def test_the_monitor_has_the_last_word(*, ready: bool, phase: str, verdict: Verdict) -> None:
    """Before the workload starts, its first verification is waited for."""
    policy = made.stored_policy(revalidation={})
    pod = with_monitor(ended(gated(policy=policy), [verified()]), ready=ready)
    pod["status"]["phase"] = phase
    assert judged(pod).verdict is verdict


def change_report(**fields: Any) -> Callable[[Document], str]:
    """Return a forgery that has other fields in an honest report."""

    def forge(pod: Document) -> str:
        return json.dumps(json.loads(message(pod, verified())) | fields)

    return forge


def of_another_pod(_: Document) -> str:
    """Return a report that another pod's gate has left."""
    return message(gated("other"), verified())


FORGED: dict[str, Callable[[Document], str]] = {
    "empty": lambda _: "",
    "no JSON": lambda _: "verified",
    "no object": lambda _: "[]",
    "no verdict": lambda _: '{"reason":"fine"}',
    "a deep one": lambda _: "[" * 4000,
    "a long one": lambda pod: message(pod, verified()) + " " * 4096,
    "another policy": change_report(policy="ModelValidation team/lax"),
    "another namespace's": change_report(policy="ModelValidation other/granite"),
    "another generation": change_report(generation=2),
    "another pod": of_another_pod,
    "no model": change_report(models=[]),
    "another model": change_report(models=[{"verdict": "verified", "model": "/models/x"}]),
    "a refused model": change_report(models=[{"verdict": "refused", "model": "/models/granite"}]),
    "models of nobody": lambda _: (
        '{"verdict":"verified","models":[{"verdict":"verified","model":"/models/granite"}]}'
    ),
    "a digest that is none": change_report(
        models=[{"verdict": "verified", "model": "/models/granite", "digest": "<script>"}]
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_report_of_another_form_or_pod_proves_nothing(name: str) -> None:
    """The message is whatever the container's program has written."""
    pod = gated()
    assert judged(ended(pod, text=FORGED[name](pod))).verdict is Verdict.UNPROVEN


def test_a_verdict_that_the_exit_code_contradicts() -> None:
    """Kubernetes goes by the exit code, and so does the pod."""
    assert judged(ended(gated(), [verified()], code=1)).verdict is Verdict.UNPROVEN


def test_foreign_text_is_printable_and_bounded() -> None:
    """A file's name may write neither a line nor markup of its own, nor fill the status."""
    reason = "a\x1b[31m\n\u202e" + "x" * 1500
    found = judged(ended(gated(), [refused(reason=reason)], code=1))
    assert found.sentence.startswith("a\\x1b[31m\\n\\u202exx")
    assert len(found.sentence) == 512
    assert found.sentence.endswith("…")


def test_a_foreign_time_is_as_short_as_the_status_takes_it() -> None:
    """The API server would refuse the whole status else, with what it says of all other pods."""
    pod = gated()
    document = json.loads(message(pod, verified()))
    document["models"][0]["signer"]["signedAt"] = "\x01" * 64
    (model,) = judged(ended(pod, text=json.dumps(document))).models
    assert len(model.signed_at or "") == 64
    document["models"][0]["signer"] |= {"signedAt": "", "logIndex": 1 << 63}
    assert judged(ended(pod, text=json.dumps(document))).verdict is Verdict.UNPROVEN


def test_a_pod_without_a_gate_counts_for_the_policy_that_it_names() -> None:
    """By its label, or under Audit by the webhook's mark; else for none."""
    pod = gated()
    pod["spec"] = {"containers": []}
    assert (judged(pod).verdict, judged(pod).policy) == (Verdict.UNPROVEN, "")
    marked = deepcopy(pod)
    marked["metadata"]["annotations"] = {contract.AUDIT_ANNOTATION: "lax"}
    assert judged(marked).policy == "lax"
    marked["metadata"]["labels"] = {contract.LABEL: "strict"}
    assert judged(marked).policy == "strict"


def test_the_owner_is_the_controller() -> None:
    """A pod may have several owners; one of them made it, and none is held that is too long."""
    owners: list[Document] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "1"},
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "2"},
    ]
    owners[1]["controller"] = True
    long = {"apiVersion": "v1", "kind": "x" * 254, "name": "l", "uid": "3", "controller": True}
    owner = judged(gated(ownerReferences=[long, *owners])).owner
    assert owner is not None
    assert (owner.kind, owner.name) == ("ReplicaSet", "r")
