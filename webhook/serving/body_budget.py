"""A bound on the bytes of all request bodies that are under way."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from webhook.errors import NotReady

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class BodyBudget:
    """So many bytes at a time: what fits never waits, the rest takes turns."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def reserved(self, size: int, *, seconds: float) -> AsyncIterator[None]:
        """Hold `size` bytes.

        Raises:
            NotReady: They did not become free in time.
        """
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: self._free >= size)
                self._free -= size
        except TimeoutError as error:
            raise NotReady("too many large reviews are under way: try again") from error
        try:
            yield
        finally:
            async with self._changed:
                self._free += size
                self._changed.notify_all()
