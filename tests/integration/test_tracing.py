"""Spans of a webhook that runs, as a collector receives them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.api_server.processes import free_ports
from tests.support.webhook_process import POLICY, Webhook, pod, review

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

UID = "9f1c0d9e-3a51-4c2b-8f0e-6f6b1f3f4a10"
PRIVATE = "not to be told"


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[str, asyncio.Queue[ExportTraceServiceRequest]]]:
    """Listen for OTLP over HTTP; yield the address, and what arrives."""
    arrived: asyncio.Queue[ExportTraceServiceRequest] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        export = ExportTraceServiceRequest()
        export.ParseFromString(await request.read())
        arrived.put_nowait(export)
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", arrived
    finally:
        await runner.cleanup()


def served(folder: Path, endpoint: str) -> Webhook:
    """Return a webhook with one policy that sends its spans somewhere, when it is told to end."""
    (folder / "policies").mkdir()
    (folder / "policies" / "granite.yaml").write_text(POLICY)
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
        "NO_PROXY": "127.0.0.1",
    }
    return Webhook(folder, options=("--drain-seconds", "0"), environment=environment)


async def ask(webhook: Webhook) -> None:
    """Have a pod with a uid, and with a secret, reviewed."""
    document = pod(uid=UID)
    document["spec"]["containers"][0]["env"] = [{"name": "TOKEN", "value": PRIVATE}]
    url = webhook.url("/validate")
    async with webhook.client() as client, client.post(url, json=review(document)) as answer:
        assert answer.status == 200


async def test_a_collector_gets_a_span_of_each_review(tmp_path: Path) -> None:
    """The last ones on the way out; with the pod's trace, and nothing of its contents."""
    async with collector() as (endpoint, arrived), served(tmp_path, endpoint) as webhook:
        await webhook.ready()
        await ask(webhook)
        line = await webhook.logged("review")
        webhook.terminate()
        assert await webhook.ended() == 0
        export = arrived.get_nowait()
    (group,) = export.resource_spans
    resource = {each.key: each.value.string_value for each in group.resource.attributes}
    assert resource["service.name"] == "model-validation-webhook"
    (span,) = (span for scope in group.scope_spans for span in scope.spans)
    assert span.name == "POST /validate"
    assert span.trace_id.hex() == line["trace_id"] == UID.replace("-", "")
    assert PRIVATE.encode() not in export.SerializeToString()


async def test_a_collector_that_is_away_costs_nothing(tmp_path: Path) -> None:
    """Reviews are answered, and the process ends in time."""
    (closed,) = free_ports(1)
    async with served(tmp_path, f"http://127.0.0.1:{closed}") as webhook:
        await webhook.ready()
        await ask(webhook)
        webhook.terminate()
        assert await webhook.ended(seconds=10) == 0
