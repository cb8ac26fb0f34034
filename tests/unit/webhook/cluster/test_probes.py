from __future__ import annotations

from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry, Counter

from webhook.cluster.probes import probe_app


async def test_probes_say_what_is_missing() -> None:
    """Alive is not ready; ready is a process that has nothing to complain of."""
    complaints = ["policies, certificate"]
    registry = CollectorRegistry()
    Counter("of_the_test", "Shown.", registry=registry).inc()
    app = probe_app(lambda: next(iter(complaints), None), registry=registry)
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/healthz")).status == 200
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert await answer.text() == "not ready: policies, certificate\n"
        complaints.clear()
        assert (await client.get("/readyz")).status == 200
        assert "of_the_test_total 1.0" in await (await client.get("/metrics")).text()
