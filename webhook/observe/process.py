"""The process: the controller, its probes, and an orderly end."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from webhook.cluster.api import ClusterApi
from webhook.cluster.errors import AccessError
from webhook.cluster.probes import probe_app
from webhook.errors import SetupError
from webhook.observe.controller import Observer
from webhook.observe.metrics import Held, Metrics

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "model-validation-observe"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveSettings:
    """The decisions of the person who installs it.

    Attributes:
        images: The images that a gate may have.
        operator_compat: Whether pods with the Go operator's label count, too.
        kubeconfig: Of the cluster; `None` for the pod's own ServiceAccount.
        host: Address of the probes' listener; `None` for all, IPv4 and IPv6.
        probe_port: Of probes and metrics, plain; 0 for a free one.
    """

    images: tuple[str, ...]
    operator_compat: bool = False
    kubeconfig: Path | None = None
    host: str | None = None
    probe_port: int = 8080


async def observe(settings: ObserveSettings) -> None:
    """Work until SIGTERM or SIGINT.

    Raises:
        SetupError: There is no access to the API server.
        OSError: The port cannot be listened on.
        ExceptionGroup: A background task failed.
    """
    metrics = Metrics(CollectorRegistry())
    async with AsyncExitStack() as stack:
        try:
            api = await ClusterApi.connect(settings.kubeconfig, name=NAME)
        except AccessError as error:
            raise SetupError(str(error)) from error
        stack.push_async_callback(api.close)
        observer = Observer(
            api,
            images=settings.images,
            metrics=metrics,
            operator_compat=settings.operator_compat,
        )
        metrics.registry.register(Held(observer.pods, observer.policies))
        probes = probe_app(lambda: observer.complaint, registry=metrics.registry)
        await _listening(stack, probes, settings.host, settings.probe_port)
        _log.info("started", images=settings.images)
        await _until_told(observer)
    _log.info("ended")


async def _listening(
    stack: AsyncExitStack, app: web.Application, host: str | None, port: int
) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host, port).start()


async def _until_told(observer: Observer) -> None:
    """Run the background tasks until a signal."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(observer.run())
        await stop.wait()
        running.cancel()
