from __future__ import annotations

import asyncio

import pytest

from webhook.errors import NotReady
from webhook.serving.body_budget import BodyBudget


async def test_large_bodies_take_turns() -> None:
    """Bodies that fit are read at once; others wait, and after a while get 503."""
    budget = BodyBudget(10)
    async with budget.reserved(8, seconds=1):
        async with budget.reserved(2, seconds=0.01):
            pass
        with pytest.raises(NotReady, match="try again"):
            async with budget.reserved(3, seconds=0.01):
                pytest.fail("there is no room")
        waiting = asyncio.create_task(_hold(budget, 5))
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)
    await _hold(budget, 10)


async def _hold(budget: BodyBudget, size: int) -> None:
    async with budget.reserved(size, seconds=1):
        pass
