"""The loop: what fails is said, counted, and tried again."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from certs.controller import Controller
from certs.leadership import Leadership
from certs.metrics import Metrics
from certs.objects import lease_path
from certs.settings import Settings
from certs.worker import Worker
from tests.support.waiting import ended_task, until
from webhook.cluster.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from certs.objects import Kind, Object

SETTINGS = Settings(namespace="model-validation")
FAILURES = "model_validation_certs_failures_total"


class ApiServer:
    """An API server that answers or not, with a Lease that another replica holds."""

    def __init__(self) -> None:
        self.away = True

    async def get(self, path: str, kind: type[Kind]) -> Kind | None:
        """Return the Lease."""
        if self.away:
            raise ApiError(f"{path}: the API server is away")
        spec = {"holderIdentity": "another", "leaseDurationSeconds": 15}
        return msgspec.convert({"metadata": {"resourceVersion": "1"}, "spec": spec}, kind)

    async def patch(self, path: str, body: Object) -> None:
        """Nobody writes who does not lead."""
        raise AssertionError(path, body)

    def changes(self, path: str) -> AsyncGenerator[None]:
        """Nobody watches here."""
        raise NotImplementedError(path)


@pytest.fixture
def server() -> ApiServer:
    """An API server that is away."""
    return ApiServer()


@pytest.fixture
def metrics() -> Metrics:
    """Collectors of a registry of their own."""
    return Metrics(CollectorRegistry())


@pytest.fixture
async def worker(server: ApiServer, metrics: Metrics) -> AsyncIterator[Worker]:
    """A worker that runs until the test ends."""

    def now() -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    leadership = Leadership(
        server,
        path=lease_path(SETTINGS.namespace),
        identity="we",
        now=now,
        clock=time.monotonic,
    )
    controller = Controller(server, SETTINGS, metrics=metrics, now=now, clock=time.monotonic)
    made = Worker(controller, leadership, metrics=metrics, clock=time.monotonic)
    running = asyncio.create_task(made.run())
    yield made
    await ended_task(running)


async def test_an_outage_is_said_until_it_is_over(
    worker: Worker, server: ApiServer, metrics: Metrics
) -> None:
    """The probe's sentence is the API server's, each attempt counts, and the next one may do."""
    await until(lambda: worker.complaint != "not looked yet")
    assert worker.complaint == f"{lease_path(SETTINGS.namespace)}: the API server is away"
    assert metrics.registry.get_sample_value(FAILURES) == 1
    server.away = False
    worker.woken.set()
    await until(lambda: worker.complaint is None)
    assert metrics.registry.get_sample_value(FAILURES) == 1
