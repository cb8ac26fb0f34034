"""Refusals under rules of the cluster: they name the rule, where its author alone can help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster_rules import rule
from tests.support.pods import MODEL, claim, container, mount, pod, policy, run, strict_policy, vllm
from validator.policy.cluster_rules.resolution import resolve, stand_in
from webhook.admission.injected import restart_rules
from webhook.admission.validation import check_ephemeral
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from validator.policy.document import ModelValidation

Document = dict[str, Any]
OTHER = f"registry.example/tool@sha256:{'1' * 64}"
PRIVILEGED = container("x", securityContext={"privileged": True})
BY_ADMIN = "have the cluster's admin {} in the ClusterModelValidation 'company'"


def refusal(given: Document, chosen: ModelValidation) -> str:
    """Return why a pod is refused."""
    with pytest.raises(PodRefused) as caught:
        run(given, chosen)
    return str(caught.value)


def test_privileges() -> None:
    """A policy that allows them is of no use beside a rule that does not."""
    given = pod(vllm(), PRIVILEGED)
    open_policy = policy(allowPrivileged=True)
    assert run(given, open_policy)
    remedy = f"remove it, or {BY_ADMIN.format('set allowPrivileged')}"
    assert refusal(given, resolve(open_policy, [rule()])).endswith(remedy)
    assert refusal(given, policy()).endswith("remove it, or set allowPrivileged in the policy")


def test_privileges_of_an_ephemeral_container() -> None:
    """By the policy as it holds beside the rule; where none is known, none is named."""
    old = run(pod()).pod
    gate = {"name": "model-validation", "state": {"terminated": {"exitCode": 0}}}
    old = old | {"status": {"initContainerStatuses": [gate]}}
    added = {"name": "debug", "image": "tool", "securityContext": {"privileged": True}}
    new = old | {"spec": old["spec"] | {"ephemeralContainers": [added]}}
    for chosen, remedy in (
        (resolve(policy(allowPrivileged=True), [rule()]), BY_ADMIN.format("set allowPrivileged")),
        (None, "the verified model: remove it ("),
    ):
        with pytest.raises(PodRefused) as caught:
            check_ephemeral(new, old=old, policy=chosen)
        assert remedy in str(caught.value)


def test_trust_anchors() -> None:
    """Which the policy reads from the pod, and the rule does not let it."""
    keys = {"name": "keys", "configMap": {"name": "keys"}}
    given = pod(vllm(mount(), mount("keys", "/keys")), volumes=[claim(), keys])
    chosen = policy(
        config={"privateKeyConfig": {"keyPath": "/keys/key.pem"}}, allowPodTrustAnchors=True
    )
    assert run(given, chosen)
    said = refusal(given, resolve(chosen, [rule()]))
    assert said.endswith(BY_ADMIN.format("set allowPodTrustAnchors"))


def test_images() -> None:
    """Which the rule's list does not have."""
    digest = f"sha256:{'0' * 64}"
    chosen = strict_policy(workload={"images": [digest], "otherImages": [OTHER]})
    rules = [rule(workload={"arguments": "Strict", "otherImages": [digest]})]
    given = pod(vllm(image=f"registry.example/vllm@{digest}"), container("x", image=OTHER))
    remedy = (
        f"add {OTHER} to workload.otherImages in the policy, and have the cluster's admin do the "
        "same in the ClusterModelValidation 'company', which holds beside it"
    )
    assert remedy in refusal(given, resolve(chosen, rules))


def test_restart_rules() -> None:
    """There is no room for ours, which the rule asks for and not the policy."""
    own = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}] * 20
    given = pod(vllm(restartPolicy="Always", restartPolicyRules=own))
    chosen = resolve(policy(onRestart="Keep"), [rule(onRestart="Verify")])
    assert refusal(given, chosen).endswith(
        f"remove one, or {BY_ADMIN.format('set onRestart to Keep')}"
    )


@pytest.mark.parametrize(
    ("model", "workload", "what"),
    [
        ({}, {}, "set model.volume"),
        (
            {"volume": {"persistentVolumeClaim": {"claimName": "x"}, "mountPath": "/other"}},
            {},
            "correct model.volume.mountPath",
        ),
        (
            {"volume": {"name": "model"}},
            {"arguments": "Strict"},
            "add it as model.volume (persistentVolumeClaim, image, nfs, csi or hostPath)",
        ),
        (
            {"volume": {"persistentVolumeClaim": {"claimName": "granite"}}},
            {"arguments": "Strict"},
            "add them to workload.images, each as NAME@sha256:…,",
        ),
    ],
)
def test_a_namespace_without_a_policy(model: Document, workload: Document, what: str) -> None:
    """Its users have no policy in which they could do anything."""
    serving = rule(default=True, model={"path": MODEL} | model, workload=workload)
    given = pod(vllm(volumeMounts=[mount()] if workload else []), volumes=[claim()])
    said = refusal(given, stand_in(serving, [serving]))
    assert BY_ADMIN.format(what) in said
    assert "the policy" not in said.replace("the policy mounts its volume", "")


def test_what_the_server_lacks() -> None:
    """Whoever asked for verified restarts can have the model watched in their place."""
    serving = rule(default=True, model={"path": MODEL}, onRestart="Verify")
    (said,) = restart_rules.missing(stand_in(serving, [serving]), (1, 35))
    assert said.endswith(f"nothing watches it: {BY_ADMIN.format('set spec.revalidation')}")
