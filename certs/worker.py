"""The loops: lead or stand by, take turns, and hear when something changed.

For ever, and after whatever went wrong: a failure is logged once as a sentence,
counted, and tried again.
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
"""At least between two steps: a quarrel with another controller must not flood the API server."""

WATCH_PAUSE_SECONDS: Final = 2, 5
"""From the end of a watch to the next, by chance between these."""

_log = structlog.get_logger()


class Worker:
    """Leads or stands by, for ever."""

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
        self.bell = asyncio.Event()

    @property
    def complaint(self) -> str | None:
        """Return why the last turn failed; ready is who has nothing to complain of."""
        return self._complaint

    async def run(self) -> NoReturn:
        """Take turns, for ever."""
        while True:
            rung = self.bell.is_set()
            self.bell.clear()
            pause = await self._tried(rung=rung)
            await asyncio.sleep(PACE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.bell.wait()

    async def _tried(self, *, rung: bool) -> float:
        """Take a turn if it is ours and due; return for how many seconds nothing is due."""
        try:
            leading = await self._leadership.held()
            self._metrics.leader.set(leading)
            if not leading:
                self._due = 0
            elif rung or self._clock() >= self._due:
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


async def ring(bell: asyncio.Event, api: Api, path: str) -> NoReturn:
    """Set the bell whenever the object at a path may have changed, for ever.

    What is seen is not believed, only looked at anew: so no version is kept, and a
    watch that breaks is begun again as if it were the first.
    """
    complaint = ""
    while True:
        try:
            async with aclosing(api.changes(path)) as changes:
                async for _ in changes:
                    bell.set()
            complaint = ""
        except ApiError as error:
            if str(error) != complaint:
                complaint = str(error)
                _log.warning("watching anew", reason=complaint)
        await asyncio.sleep(random.uniform(*WATCH_PAUSE_SECONDS))  # noqa: S311 — no secret
