"""The process: the worker, the watches that wake it, the probes, and an orderly end.

If a background task fails, the process ends, and the cluster starts another. It may end
at any moment: the next replica continues from what the cluster holds.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
import socket
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from certs.controller import Controller
from certs.leadership import Leadership
from certs.metrics import Metrics
from certs.objects import LEASE, lease_path
from certs.worker import Worker, wake
from webhook.cluster.api import ClusterApi
from webhook.cluster.background import until_told
from webhook.cluster.probes import probe_app

if TYPE_CHECKING:
    from pathlib import Path

    from certs.settings import Settings

RELEASE_SECONDS: Final = 3
"""For giving the Lease back at the end; without it the next replica waits for 15 s."""

_log = structlog.get_logger()


async def serve(
    settings: Settings, *, kubeconfig: Path | None, host: str | None, probe_port: int
) -> None:
    """Work until SIGTERM or SIGINT.

    Args:
        settings: The webhook that gets a certificate, and all durations.
        kubeconfig: Of the cluster; `None` for the pod's own ServiceAccount.
        host: Address of the probes' listener; `None` for all, IPv4 and IPv6.
        probe_port: Of probes and metrics, plain; 0 for a free one.

    Raises:
        AccessError: There is no access to the API server.
        OSError: The port cannot be listened on.
        ExceptionGroup: A background task failed.
    """
    metrics, identity = (
        Metrics(CollectorRegistry()),
        f"{socket.gethostname()}_{secrets.token_hex(4)}",
    )
    async with AsyncExitStack() as stack:
        api = await ClusterApi.connect(kubeconfig, name=LEASE)
        stack.push_async_callback(api.close)
        leadership = Leadership(
            api,
            path=lease_path(settings.namespace),
            identity=identity,
            now=_now,
            clock=time.monotonic,
        )
        controller = Controller(api, settings, metrics=metrics, now=_now, clock=time.monotonic)
        worker = Worker(controller, leadership, metrics=metrics, clock=time.monotonic)
        probes = probe_app(lambda: worker.complaint, registry=metrics.registry)
        runner = web.AppRunner(probes, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, host, probe_port).start()
        _log.info("started", identity=identity, names=settings.names)
        stack.push_async_callback(_released, leadership)
        wakers = [wake(worker.woken, api, path) for path in controller.paths]
        await until_told(*wakers, worker.run())
    _log.info("ended")


async def _released(leadership: Leadership) -> None:
    try:
        async with asyncio.timeout(RELEASE_SECONDS):
            await leadership.release()
    except TimeoutError:
        _log.warning("the Lease was not given back", reason="the API server did not answer")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
