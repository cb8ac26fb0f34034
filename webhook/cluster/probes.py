"""Liveness, readiness and metrics over plain HTTP, for the kubelet and Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

STATUS_UNAVAILABLE: Final = 503

Complaint = Callable[[], str | None]
"""Returns why the process is not ready, `None` where it is."""

COMPLAINT: Final[web.AppKey[Complaint]] = web.AppKey("complaint")
REGISTRY: Final = web.AppKey("registry", CollectorRegistry)


def probe_app(complaint: Complaint, *, registry: CollectorRegistry) -> web.Application:
    """Return the application of /healthz, /readyz and /metrics."""
    app = web.Application()
    app[COMPLAINT] = complaint
    app[REGISTRY] = registry
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    app.router.add_get("/metrics", _metrics)
    return app


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _readyz(request: web.Request) -> web.Response:
    complaint = request.app[COMPLAINT]()
    if complaint is None:
        return web.Response(text="ok\n")
    return web.Response(status=STATUS_UNAVAILABLE, text=f"not ready: {complaint}\n")


async def _metrics(request: web.Request) -> web.Response:
    body = generate_latest(request.app[REGISTRY])
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
