"""Waiting in tests on one event loop: for a condition, and for the end of a task."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


async def until(condition: Callable[[], bool], *, seconds: int = 10) -> None:
    """Return when the condition holds."""
    for _ in range(100 * seconds):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"waited {seconds} seconds in vain")


async def ended_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task; raise what it died of, if it did."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
