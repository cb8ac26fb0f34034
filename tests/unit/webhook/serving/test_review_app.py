from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from webhook.admission.reviewer import Reviewer
from webhook.metrics import Metrics
from webhook.serving import process
from webhook.serving.connections import Connections
from webhook.serving.review_app import Lifecycle, init_app
from webhook.settings import GateSettings, NamespaceOptions

if TYPE_CHECKING:
    from validator.policy.document import ModelValidation
    from validator.policy.exemption import ModelValidationExemption
    from webhook.policies.choice import Policy
    from webhook.policies.cluster_rules import Rules

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
    stale = False

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

    def exemptions(self, namespace: str) -> tuple[ModelValidationExemption, ...]:
        """Return nothing."""
        del namespace
        return ()

    def rules(self, _namespace: str) -> Rules:
        """Return nothing."""
        return ()

    def earlier_rules(self, _namespace: str) -> tuple[Rules, ...]:
        """Return nothing."""
        return ()

    gate_images = ()
    server = None

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


async def dies() -> None:
    """Fail as a background task."""
    raise OSError("the watch's end")


async def ends() -> None:
    """End, where only for ever is expected."""


@pytest.mark.parametrize("run", [dies, ends])
async def test_what_dies_in_the_background_takes_the_process_down(run: Any) -> None:
    """Half alive is not alive: the server's main task ends with the error."""
    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(30):
            await process._until_drained(
                {"it": run()}, stop=asyncio.Event(), lifecycle=Lifecycle(), seconds=0
            )


async def test_a_body_that_breaks_off_is_no_bug(
    metrics: Metrics, capsys: pytest.CaptureFixture[str]
) -> None:
    """A client that goes away amid its body is a bad request in the log and the metrics."""
    reviewer = Reviewer(source=BrokenSource(), gate=GateSettings(image="validator:1"))
    app = init_app(reviewer, metrics=metrics, lifecycle=Lifecycle(), connections=Connections())
    labels = {"path": "/mutate", "verdict": "invalid"}
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(
            b"POST /mutate HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        await writer.drain()
        await asyncio.sleep(0.1)  # until the body is waited for
        writer.close()
        for _ in range(300):
            if metrics.registry.get_sample_value(REVIEWS, labels):
                break
            await asyncio.sleep(0.01)
    finally:
        await runner.cleanup()
    assert metrics.registry.get_sample_value(REVIEWS, labels) == 1
    assert "the body broke off" in capsys.readouterr().out
