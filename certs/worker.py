"""The loops: lead or stand by, take turns, and wake up when an object changes.

They do not end by a failure: it is counted, logged once as a sentence, and tried again.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final, NoReturn

import structlog

from certs.leadership import RENEW_SECONDS
from webhook.cluster.errors import ApiError, Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from certs.controller import Controller
    from certs.leadership import Leadership
    from certs.metrics import Metrics
    from certs.objects import Api

PACE_SECONDS: Final = 0.5
"""At least between two steps: if another controller undoes each one, we must not flood the API
server."""

WATCH_PAUSE_SECONDS: Final = 2, 5
"""From the end of a watch to the next, at random between these."""

_log = structlog.get_logger()


class Worker:
    """Leads or stands by, until cancelled."""

    def __init__(
        self,
        controller: Controller,
        leadership: Leadership,
        *,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._controller = controller
        self._leadership = leadership
        self._metrics = metrics
        self._clock = clock
        self._complaint: str | None = "not looked yet"
        self._due = 0.0
        self.woken = asyncio.Event()

    @property
    def complaint(self) -> str | None:
        """Return why the last turn failed, `None` where it did not: then we are ready."""
        return self._complaint

    async def run(self) -> NoReturn:
        """Take turns until cancelled."""
        while True:
            woken = self.woken.is_set()
            self.woken.clear()
            pause = await self._tried(woken=woken)
            await asyncio.sleep(PACE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.woken.wait()

    async def _tried(self, *, woken: bool) -> float:
        """Take a turn if it is ours and due; return for how many seconds nothing is due."""
        try:
            leading = await self._leadership.held()
            self._metrics.leader.set(leading)
            if not leading:
                self._due = 0
            elif woken or self._clock() >= self._due:
                self._due = self._clock() + await self._controller.turn()
        except Conflict as error:
            _log.info("looking again", reason=str(error))
            self._due = 0
            return 0
        except ApiError as error:
            self._failed(str(error))
            self._due = 0
            return RENEW_SECONDS
        self._complaint = None
        if not leading:
            return RENEW_SECONDS
        return min(RENEW_SECONDS, max(0, self._due - self._clock()))

    def _failed(self, sentence: str) -> None:
        """Count, and log a sentence that was not the last one."""
        self._metrics.failures.inc()
        if sentence != self._complaint:
            _log.warning("not done", reason=sentence)
            self._complaint = sentence


async def wake(woken: asyncio.Event, api: Api, path: str) -> NoReturn:
    """Set the event whenever the object at a path may have changed, until cancelled.

    The worker reads the object anew each time. So no version is kept, and a watch that
    breaks is begun again as if it were the first.
    """
    complaint = ""
    while True:
        try:
            async with aclosing(api.changes(path)) as changes:
                async for _ in changes:
                    woken.set()
            complaint = ""
        except ApiError as error:
            if str(error) != complaint:
                complaint = str(error)
                _log.warning("watching anew", reason=complaint)
        await asyncio.sleep(random.uniform(*WATCH_PAUSE_SECONDS))  # noqa: S311 — no secret
