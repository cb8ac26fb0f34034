"""The webhook's source of policies, beside a fake API server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.support.waiting import ended_task
from webhook.cluster.api import ClusterApi
from webhook.cluster.watch import Timing
from webhook.sources.cluster import ClusterSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.fakes.fake_api_server import FakeApiServer

TIMING: Final = Timing(watch=1, silence=0.2, pause=0.01, longest_pause=0.05)


@asynccontextmanager
async def running_source(
    server: FakeApiServer, folder: Path, **options: Any
) -> AsyncIterator[ClusterSource]:
    """Run a source with the options of `ClusterSource`; its kubeconfig is written into a folder."""
    api = await ClusterApi.connect(server.kubeconfig(folder), name="test")
    try:
        source = ClusterSource(api, **options)
        running = asyncio.create_task(source.run())
        try:
            yield source
        finally:
            await ended_task(running)
    finally:
        await api.close()
