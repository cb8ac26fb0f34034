"""The process: two listeners, background tasks, and an orderly end.

If a background task fails, the process ends, and the cluster starts another: a webhook
without its watch or its certificate must not go on. The HTTP is in
`webhook.serving.review_app`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, NoReturn

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from webhook.admission.reviewer import Reviewer
from webhook.cluster.api import ClusterApi
from webhook.cluster.errors import AccessError
from webhook.cluster.probes import probe_app
from webhook.errors import SetupError
from webhook.metrics import Metrics
from webhook.serving.certificate import ServingCertificate
from webhook.serving.connections import Connections, Listener
from webhook.serving.review_app import WORKER, Lifecycle, init_app
from webhook.serving.tracing import tracer
from webhook.sources.cluster import ClusterSource

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from webhook.settings import GateSettings, ServerSettings
    from webhook.sources.store import Source

CLIENT_NAME: Final = "model-validation-webhook"
"""Of the webhook's requests in the API server's audit log."""

SHUTDOWN_SECONDS: Final = 10
"""For reviews that are still under way when the listeners close."""

QUIET_SECONDS: Final = 0.05
"""Between two checks whether all reviews are answered."""

_log = structlog.get_logger()


async def serve(settings: ServerSettings, *, gate: GateSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        SetupError: A file or an option is not what it should be.
        OSError: A port cannot be listened on.
        ExceptionGroup: A background task failed.
    """
    metrics, lifecycle = Metrics(CollectorRegistry()), Lifecycle()
    certificate = ServingCertificate(settings.certificate, settings.key, metrics=metrics)
    async with AsyncExitStack() as stack:
        source = await _source(settings, metrics=metrics, stack=stack)
        reviewer = Reviewer(source=source, gate=gate, operator_compat=settings.operator_compat)
        connections = Connections()
        app = init_app(
            reviewer,
            metrics=metrics,
            lifecycle=lifecycle,
            connections=connections,
            tracer=stack.enter_context(tracer()),
        )

        def complaint() -> str | None:
            checks = {
                "policies": source.ready,
                "no word from the API server": not source.stale,
                "certificate": certificate.ready,
                "draining": not lifecycle.draining,
            }
            return ", ".join(name for name, holds in checks.items() if not holds) or None

        probes = probe_app(complaint, registry=metrics.registry)
        certificate.reload()
        # The probes' listener is closed last: it says "not ready" until the end.
        probe_port = await _listen(probes, stack, host=settings.host, port=settings.probe_port)
        listener = Listener(
            await _server(app, stack),
            host=settings.host,
            port=settings.port,
            context=certificate.context,
            connections=connections,
        )
        stack.callback(listener.close)
        stop = _on_signals()
        _log.info("listening", host=settings.host, port=listener.port, probe_port=probe_port)
        await _until_drained(
            {
                "certificate": certificate.run(),
                "policies": source.run(),
                "connections": listener.run(),
                "worker": app[WORKER].run(),
            },
            stop=stop,
            lifecycle=lifecycle,
            seconds=settings.drain_seconds,
        )
    _log.info("ended")


async def _source(settings: ServerSettings, *, metrics: Metrics, stack: AsyncExitStack) -> Source:
    if settings.policies is not None:
        # YAML's reader, which in a cluster nobody needs.
        from webhook.sources.directory import DirectorySource  # noqa: PLC0415 — see above

        source = DirectorySource(settings.policies, metrics=metrics)
        source.load()
        return source
    try:
        api = await ClusterApi.connect(settings.kubeconfig, name=CLIENT_NAME)
    except AccessError as error:
        raise SetupError(f"{error} (without a cluster, use --policies)") from error
    stack.push_async_callback(api.close)
    return ClusterSource(api, metrics=metrics, gate_namespace=settings.gate_namespace)


async def _running(app: web.Application, stack: AsyncExitStack) -> web.AppRunner:
    """Return what serves an application, once it is listened to."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


async def _listen(
    app: web.Application, stack: AsyncExitStack, *, host: str | None, port: int
) -> int:
    """Listen; return the port, which the system chooses where `port` is 0."""
    runner = await _running(app, stack)
    await web.TCPSite(runner, host=host, port=port).start()
    return int(runner.addresses[0][1])


async def _server(app: web.Application, stack: AsyncExitStack) -> web.Server:
    """Return the protocols of an application."""
    server = (await _running(app, stack)).server
    if server is None:  # it has just been set up
        raise AssertionError
    return server


async def _until_drained(
    background: dict[str, Coroutine[Any, Any, None]],
    *,
    stop: asyncio.Event,
    lifecycle: Lifecycle,
    seconds: float,
) -> None:
    """Run the background tasks until `stop` is set, and for `seconds` more."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_endless(name, run)) for name, run in background.items()]
        await stop.wait()
        lifecycle.draining = True
        _log.info("draining", seconds=seconds)
        await asyncio.sleep(seconds)
        await _quiet(lifecycle)
        for task in running:
            task.cancel()


async def _quiet(lifecycle: Lifecycle) -> None:
    """Return when all is answered, or when that takes too long."""
    # Closing a listener drops what is left of a body that is arriving.
    for _ in range(round(SHUTDOWN_SECONDS / QUIET_SECONDS)):
        if not lifecycle.under_way:
            return
        await asyncio.sleep(QUIET_SECONDS)


def _on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stop, number)
    return stop


def _on_signal(stop: asyncio.Event, number: int) -> None:
    if stop.is_set():
        # In a container we are process 1, which a signal does not end by default.
        os._exit(128 + number)
    stop.set()


async def _endless(name: str, run: Coroutine[Any, Any, None]) -> NoReturn:
    await run
    raise RuntimeError(f"the background task has ended: {name}")
