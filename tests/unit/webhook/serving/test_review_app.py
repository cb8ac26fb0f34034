from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from webhook.admission.reviewer import Reviewer
from webhook.errors import NotReady
from webhook.metrics import Metrics
from webhook.serving import process
from webhook.serving.connections import Connections
from webhook.serving.review_app import Budget, Lifecycle, init_app, init_probe_app
from webhook.settings import GateSettings, NamespaceOptions

if TYPE_CHECKING:
    from validator.policy.document import ModelValidation
    from webhook.policies.choice import Policy

REVIEWS = "model_validation_webhook_reviews_total"
REVIEW = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "request": {
        "uid": "1",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "models",
        "operation": "CREATE",
        "object": {"metadata": {"labels": {"validation.rhtas.redhat.com/ml": "true"}}},
    },
}


class BrokenSource:
    """A source that fails as a bug of ours would."""

    ready = True

    def policies(self, namespace: str) -> tuple[Policy, ...]:
        """Fail, with what must not reach a client."""
        raise KeyError(f"a bug in {namespace}")

    def namespace(self, name: str) -> NamespaceOptions:
        """Return a namespace without labels."""
        return NamespaceOptions(name=name)

    def previous(self, policy: ModelValidation) -> tuple[ModelValidation, ...]:
        """Return nothing."""
        del policy
        return ()

    gate_images = ()

    async def refresh(self, namespace: str) -> None:
        """Find nothing new."""

    async def run(self) -> None:
        """Nothing to follow."""


@pytest.fixture
def metrics() -> Metrics:
    """Collectors of a registry of their own."""
    return Metrics(CollectorRegistry())


async def test_a_bug_costs_one_review(metrics: Metrics, capsys: pytest.CaptureFixture[str]) -> None:
    """500 and a sentence for the client, the traceback for the log, a count, and it goes on."""
    reviewer = Reviewer(source=BrokenSource(), gate=GateSettings(image="validator:1"))
    app = init_app(reviewer, metrics=metrics, lifecycle=Lifecycle(), connections=Connections())
    async with TestClient(TestServer(app)) as client:
        for _ in range(2):
            answer = await client.post("/mutate", json=REVIEW)
            assert answer.status == 500
            text = await answer.text()
            assert "its log says why" in text
            assert "bug" not in text
    labels = {"path": "/mutate", "verdict": "error"}
    assert metrics.registry.get_sample_value(REVIEWS, labels) == 2
    assert "a bug in models" in capsys.readouterr().out


async def test_probes_say_what_is_missing(metrics: Metrics) -> None:
    """Alive is not ready; ready is when each check holds and nobody drains."""
    state = {"policies": False, "certificate": False}
    lifecycle = Lifecycle()
    checks: dict[str, Any] = {name: lambda name=name: state[name] for name in state}
    app = init_probe_app(checks, metrics=metrics, lifecycle=lifecycle)
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/healthz")).status == 200
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert await answer.text() == "not ready: policies, certificate\n"
        state["policies"] = state["certificate"] = True
        assert (await client.get("/readyz")).status == 200
        lifecycle.draining = True
        assert await (await client.get("/readyz")).text() == "not ready: draining\n"


async def test_large_bodies_take_turns() -> None:
    """What fits goes at once, what does not waits, and after a while gets 503."""
    budget = Budget(10)
    async with budget.reserved(8, seconds=1):
        async with budget.reserved(2, seconds=0.01):
            pass
        with pytest.raises(NotReady, match="try again"):
            async with budget.reserved(3, seconds=0.01):
                pytest.fail("there is no room")
        waiting = asyncio.create_task(_hold(budget, 5))
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)
    await _hold(budget, 10)


async def _hold(budget: Budget, size: int) -> None:
    async with budget.reserved(size, seconds=1):
        pass


async def dies() -> None:
    """Fail as a background task."""
    raise OSError("the watch's end")


async def ends() -> None:
    """End, where only for ever is expected."""


@pytest.mark.parametrize("run", [dies, ends])
async def test_what_dies_in_the_background_takes_the_process_down(run: Any) -> None:
    """Half alive is not alive: the server's main task ends with the error."""
    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(
            process._until_drained({"it": run()}, lifecycle=Lifecycle(), seconds=0), 5
        )
