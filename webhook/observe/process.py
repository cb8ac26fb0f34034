"""The process: the controller, its probes, its page, and an orderly end."""

from __future__ import annotations

import datetime as dt
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from webhook.cluster.api import ClusterApi
from webhook.cluster.background import until_told
from webhook.cluster.errors import AccessError
from webhook.cluster.probes import probe_app
from webhook.errors import SetupError
from webhook.observe.controller import Observer
from webhook.observe.events import Events
from webhook.observe.metrics import Held, Metrics
from webhook.observe.site.listener import LOOPBACK, site
from webhook.observe.site.page import Page

if TYPE_CHECKING:
    from webhook.observe.settings import ObserveSettings

NAME: Final = "model-validation-observe"

_log = structlog.get_logger()


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
        events = Events(api, metrics=metrics, instance=socket.gethostname()[:128], now=_now)
        observer = Observer(
            api,
            settings,
            metrics=metrics,
            announcer=events,
        )
        held = Held(observer.pods, observer.policies, left_out=lambda: observer.cluster.left_out)
        metrics.registry.register(held)
        probes = probe_app(lambda: observer.complaint, registry=metrics.registry)
        await _listening(stack, probes, settings.host, settings.probe_port)
        shown = Page(observer.pods, observer.policies)
        page = site(shown, lambda: observer.complaint)
        await _listening(stack, page, LOOPBACK, settings.page_port)
        _log.info("started", images=settings.images)
        await until_told(observer.run(), events.run())
    _log.info("ended")


async def _listening(
    stack: AsyncExitStack, app: web.Application, host: str | None, port: int
) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host, port).start()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
