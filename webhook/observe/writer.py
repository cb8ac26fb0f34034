"""The writer of what follows from each policy: in rounds, and again where that failed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

import structlog

from webhook.cluster import watch
from webhook.cluster.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from prometheus_client import Counter

    from webhook.cluster.watch import Timing
    from webhook.observe.pod.wire import Key

ROUND_SECONDS: Final = 0.5
"""Between two rounds: what is written of a policy is written at most that often, however many of
its pods change."""

WRITES: Final = 4
"""Objects that are written at a time."""

_log = structlog.get_logger()


class Put(Protocol):
    """Writes what follows from one policy."""

    async def __call__(self, policy: Key, /, *, changed_only: bool = True) -> bool:
        """Write it; return whether the API server has taken it.

        Args:
            policy: Its key; there may be none by now.
            changed_only: Whether what the API server has already is left out.

        Raises:
            ApiError: It cannot be written.
        """


class Writer:
    """The writer of one object for each policy.

    Args:
        put: Writes one.
        what: The object's name in the log.
        writes: Counts them, by outcome.
        another: Returns a policy that is none of the given ones, `None` where there is none.
        timing: See `Timing`.
    """

    def __init__(
        self,
        put: Put,
        *,
        what: str,
        writes: Counter,
        another: Callable[[Collection[Key]], Key | None],
        timing: Timing,
    ) -> None:
        self._put = put
        self._what = what
        self._writes = writes
        self._another = another
        self._timing = timing
        self._waiting: dict[Key, None] = {}
        self._woken = asyncio.Event()
        self._failing: dict[Key, str] = {}
        self._failure: str | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._pauses = self._new_pauses()

    @property
    def complaint(self) -> str | None:
        """Why none can be written; `None` where at least one can be."""
        return self._failure if self._failing else None

    def wake(self, policy: Key | None = None) -> None:
        """Write what follows from a policy soon; without one, whatever waits."""
        if policy is not None:
            self._waiting[policy] = None
        if self._waiting:
            self._woken.set()

    async def run(self, is_known: Callable[[], bool]) -> NoReturn:
        """Write until cancelled.

        Args:
            is_known: Tells whether all is known that the objects depend on. Before that nothing is
                written, and `wake` must be called again.
        """
        while True:
            await self._woken.wait()
            self._woken.clear()
            if not is_known():
                continue  # counts of half a list would be wrong
            turn, self._waiting = list(self._waiting), {}
            await self._round(turn)
            await asyncio.sleep(ROUND_SECONDS)

    async def _round(self, turn: list[Key]) -> None:
        failed: dict[Key, str] = {}
        written = False

        async def work() -> None:
            nonlocal written
            while turn:
                key = turn.pop()
                try:
                    written |= await self._one(key)
                except ApiError as error:
                    failed[key] = str(error)
                else:
                    self._failing.pop(key, None)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(WRITES, len(turn))):
                tasks.create_task(work())
        if written:
            self._failure = None
        if failed:
            await self._take(failed, written=written)

    async def _one(self, key: Key, *, changed_only: bool = True) -> bool:
        try:
            done = await self._put(key, changed_only=changed_only)
        except ApiError:
            self._writes.labels("failed").inc()
            raise
        if done:
            self._writes.labels("done").inc()
        return done

    async def _take(self, failed: dict[Key, str], *, written: bool) -> None:
        """Have objects written later; what is wrong with one policy's says nothing of the rest."""
        new = {key: why for key, why in failed.items() if self._failing.get(key) != why}
        if new:
            (namespace, name), reason = next(iter(new.items()))
            _log.warning(
                f"a {self._what} was not written",
                object=f"{namespace}/{name}",
                reason=reason,
                more=len(new) - 1,
            )
        if not self._failing:
            self._pauses = self._new_pauses()
        self._failing |= failed
        works = written or await self._another_can_be_written()
        self._failure = None if works else next(iter(failed.values()))
        if self._retry is None:
            loop = asyncio.get_running_loop()
            self._retry = loop.call_later(next(self._pauses), self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        for key in self._failing:
            self.wake(key)

    async def _another_can_be_written(self) -> bool:
        """Write one that has not failed, changed or not: tell whether any can be written."""
        other = self._another(self._failing)
        try:
            return other is not None and await self._one(other, changed_only=False)
        except ApiError:
            return False

    def _new_pauses(self) -> Iterator[float]:
        return watch.pauses(self._timing.pause, longest=self._timing.longest_pause)
