"""Reviews of pods that an exemption names, before and after its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from tests.support.fakes.fake_cluster import FakeCluster
from tests.support.fakes.fake_cluster import stored_policy as policy
from tests.unit.webhook.admission.test_reviewer import patched, review
from tests.unit.webhook.admission.test_reviewer import pod as plain_pod
from tests.unit.webhook.policies.test_exempted import IMAGE, NOW, OTHER, exemption
from validator import contract
from validator.policy.cluster_rules.rule import ClusterModelValidation
from webhook.admission.reviewer import Reviewer
from webhook.metrics import Metrics
from webhook.serving.connections import Connections
from webhook.serving.review_app import Lifecycle, init_app
from webhook.settings import GateSettings

if TYPE_CHECKING:
    from validator.policy.exemption import ModelValidationExemption

WARNING = (
    "the pod is exempt by the ModelValidationExemption 'incident-7' until 2026-12-01T13:00:00Z: "
    "its models are verified, and whatever the verdict is, nothing is stopped"
)
ENDED = "the ModelValidationExemption 'incident-7' of this workload ended at 2026-12-01 13:00 UTC"


def pod(image: str = IMAGE, **spec: Any) -> dict[str, Any]:
    """Return a pod with an image by its digest."""
    made = plain_pod()
    made["spec"] = {"containers": [{"name": "vllm", "image": image}]} | spec
    return made


def of_pod(**changes: Any) -> ModelValidationExemption:
    """Return an exemption of that pod."""
    return exemption(namespace="models", workload={"kind": "Pod", "name": "llm"}, **changes)


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster with a policy, and an exemption of one pod."""
    made = FakeCluster()
    made.known.put(policy())
    made.live = [policy()]
    made.known.replace_exemptions([of_pod()])
    return made


@pytest.fixture
def reviewer(cluster: FakeCluster) -> Reviewer:
    """A reviewer of that cluster, while the exemption counts."""
    return Reviewer(source=cluster, gate=GateSettings(image="validator:1"), now=lambda: NOW)


def later(reviewer: Reviewer) -> Reviewer:
    """Return the reviewer at the moment in which the exemption ends."""
    return replace(reviewer, now=lambda: NOW + timedelta(hours=1))


async def test_an_exempt_pod_is_verified_and_not_stopped(reviewer: Reviewer) -> None:
    """It gets its gate in Audit, the marks, a warning, and a line in the audit log."""
    answer = await reviewer.mutate(review(pod()))
    made = patched(pod(), answer)
    assert answer.warnings[0] == WARNING
    assert (answer.audit["exemption"], answer.audit["mode"]) == ("incident-7", "Audit")
    assert made["metadata"]["annotations"] == {
        contract.AUDIT_ANNOTATION: "granite",
        contract.EXEMPTION_ANNOTATION: "incident-7",
    }
    (gate,) = made["spec"]["initContainers"]
    assert (
        '"exemption":{"expires":"2026-12-01T13:00:00Z","name":"incident-7"}'
        in (gate["env"][0]["value"])
    )
    checked = await reviewer.validate(review(made))
    assert checked.refusal is None
    assert checked.audit["exemption"] == "incident-7"


async def test_a_pod_that_would_be_refused_is_admitted(reviewer: Reviewer) -> None:
    """What would be refused is a warning, as under Audit."""
    given = pod(hostPID=True)
    answer = await reviewer.mutate(review(given))
    assert answer.refusal is None
    assert any("would be refused under Enforce: spec.hostPID" in each for each in answer.warnings)
    assert (await reviewer.validate(review(patched(given, answer)))).refusal is None
    refused = await later(reviewer).mutate(review(given))
    assert refused.refusal is not None
    assert refused.refusal.startswith("spec.hostPID")
    assert ENDED in refused.refusal


@pytest.mark.parametrize("image", [OTHER, "vllm:1"])
async def test_a_pod_with_another_image_is_not_exempt(image: str, reviewer: Reviewer) -> None:
    """Its policy holds, and nothing is said of the exemption."""
    answer = await reviewer.mutate(review(pod(image)))
    assert answer.audit["mode"] == "Enforce"
    assert "exemption" not in answer.audit
    assert not any("Exemption" in each for each in answer.warnings)
    assert "annotations" not in patched(pod(image), answer)["metadata"]


async def test_after_its_end_the_policy_holds_again(reviewer: Reviewer) -> None:
    """A new pod is verified before it serves, and a warning says why that is so again."""
    answer = await later(reviewer).mutate(review(pod()))
    assert answer.audit["mode"] == "Enforce"
    assert answer.warnings[-1].startswith(ENDED)
    made = patched(pod(), answer)
    assert (await later(reviewer).validate(review(made))).refusal is None


async def test_what_was_exempt_a_moment_ago_is_not_stored(reviewer: Reviewer) -> None:
    """A pod that was mutated before the end, and comes to the other webhook after it."""
    made = patched(pod(), await reviewer.mutate(review(pod())))
    answer = await later(reviewer).validate(review(made))
    assert answer.refusal is not None


async def test_an_image_that_was_changed_on_the_way_is_not_exempt(reviewer: Reviewer) -> None:
    """The last look is at the pod as it will be stored."""
    made = patched(pod(), await reviewer.mutate(review(pod())))
    made["spec"]["containers"][0]["image"] = OTHER
    assert (await reviewer.validate(review(made))).refusal is not None


async def test_the_marks_are_nobodys_to_write(reviewer: Reviewer) -> None:
    """They are taken out of a pod that no exemption names, and refused if they come back."""
    forged = {contract.EXEMPTION_ANNOTATION: "incident-7", contract.AUDIT_ANNOTATION: "granite"}
    given = pod(OTHER)
    given["metadata"]["annotations"] = forged
    made = patched(given, await reviewer.mutate(review(given)))
    assert made["metadata"]["annotations"] == {}
    made["metadata"]["annotations"] = forged
    assert (await reviewer.validate(review(made))).refusal is not None


async def test_a_policy_in_audit_needs_no_exemption(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """It stops nothing anyhow, and its gate says nothing of one."""
    cluster.known.put(policy(generation=2, mode="Audit"))
    answer = await reviewer.mutate(review(pod()))
    assert "exemption" not in answer.audit
    annotations = patched(pod(), answer)["metadata"]["annotations"]
    assert annotations == {contract.AUDIT_ANNOTATION: "granite"}


async def test_rules_of_the_cluster_stop_nothing_for_an_exempt_pod(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """They hold beside the policy as ever: what they demand is verified and reported."""
    document = {
        "apiVersion": contract.API_VERSION,
        "kind": "ClusterModelValidation",
        "metadata": {"name": "company"},
        "spec": {"config": {"privateKeyConfig": {"publicKey": "PEM"}}},
    }
    cluster.known_rules = (ClusterModelValidation.from_object(document, source="r"),)
    answer = await reviewer.mutate(review(pod()))
    assert (answer.audit["mode"], answer.audit["exemption"]) == ("Audit", "incident-7")
    (gate,) = patched(pod(), answer)["spec"]["initContainers"]
    assert '"alsoRequired":[{' in gate["env"][0]["value"]
    assert '"exemption":{' in gate["env"][0]["value"]


@pytest.mark.parametrize(("dry_run", "counted"), [(False, 1), (True, 0)])
async def test_it_is_counted_and_logged(
    *, dry_run: bool, counted: int, reviewer: Reviewer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once for each pod that is stored."""
    made = patched(pod(), await reviewer.mutate(review(pod())))
    metrics = Metrics(CollectorRegistry())
    app = init_app(reviewer, metrics=metrics, lifecycle=Lifecycle(), connections=Connections())
    request = {
        "uid": "1",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": "models",
        "dryRun": dry_run,
        "object": made,
    }
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    async with TestClient(TestServer(app)) as client:
        response = await client.post("/validate", json=body)
        assert (await response.json())["response"]["allowed"] is True
    name = "model_validation_webhook_exempt_pods_total"
    assert metrics.registry.get_sample_value(name) == counted
    assert "incident-7" in capsys.readouterr().out


async def test_one_that_is_made_counts_for_the_next_pod(
    cluster: FakeCluster, reviewer: Reviewer
) -> None:
    """Though a pod like it was judged before."""
    cluster.known.replace_exemptions([])
    assert (await reviewer.mutate(review(pod()))).audit["mode"] == "Enforce"
    cluster.known.replace_exemptions([of_pod()])
    assert (await reviewer.mutate(review(pod()))).audit["mode"] == "Audit"
