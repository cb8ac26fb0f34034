"""Background tasks of a process, until somebody tells it to end."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def until_told(*work: Coroutine[Any, Any, None]) -> None:
    """Run background tasks until SIGTERM or SIGINT.

    Raises:
        ExceptionGroup: One of them failed.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each) for each in work]
        await stop.wait()
        for task in running:
            task.cancel()
