"""Large reviews, judged one at a time in a process of their own, within a deadline.

A pod of 3 MiB takes tenths of a second to read and judge. In this process all other reviews,
the watches and the probes would wait for it. What takes longer than the deadline is ended
together with its process, and another process is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, Any, Final

import structlog

from webhook.errors import NotReady
from webhook.serving.messages import LENGTH, Question, Reply, Settings, known, packed

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from webhook.admission.reviewer import Reviewer
    from webhook.serving.judged import Asked, Judged, Line

DEADLINE_SECONDS: Final = 4
"""For a large review, its turn included; the API server gives up after five."""

RESTART_SECONDS: Final = 0.2
"""From the end of a process to the next: one that ends at once must not take all our time."""

ENDED: Final = "the process for large reviews has ended: try again"

COMMAND: Final = (
    *(sys.executable, "-I", "-X", "utf8", "-c"),
    # Not by `-m`: its classes would be those of another module than ours.
    "from webhook.serving.worker_process import main; main()",
)

_log = structlog.get_logger()


class Worker:
    """The process for large reviews; it is started with the first one.

    Args:
        reviewer: Its settings go to the process, and its source answers the process' questions.
        seconds: See `DEADLINE_SECONDS`.
    """

    def __init__(
        self,
        reviewer: Reviewer,
        *,
        seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._reviewer = reviewer
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._ready = asyncio.Event()
        self._process: Process | None = None

    async def run(self) -> None:
        """Keep a process alive from the first large review on, until cancelled."""
        await self._wanted.wait()
        while True:
            async with self._started() as process:
                _log.info("worker started", pid=process.pid)
                self._ready.set()
                code = await process.wait()
            _log.warning("worker ended", code=code)
            await asyncio.sleep(RESTART_SECONDS)

    async def judge(self, asked: Asked, *, line: Line) -> Judged:
        """Return the answer to a review; fill the log's `line`.

        Raises:
            RequestError: It is not a review that its path answers.
            NotReady: No answer can be given now, or not in time.
        """
        self._wanted.set()
        try:
            async with asyncio.timeout(self._seconds):
                await self._ready.wait()
                async with self._turn:
                    await self._ready.wait()
                    reply = await self._asked(asked)
        except TimeoutError as error:
            raise NotReady(
                "the review is large, and could not be judged in time: try again, or make the pod "
                "smaller"
            ) from error
        line |= reply.line
        if isinstance(reply.outcome, Exception):
            raise reply.outcome
        return reply.outcome

    async def _asked(self, asked: Asked) -> Reply:
        """Hand a review over, and answer questions until its answer comes."""
        process = self._process
        if process is None:  # it ended a moment ago
            raise NotReady(ENDED)
        try:
            await _send(process, asked)
            while isinstance(message := await _receive(process), Question):
                await _send(process, await self._known(message))
        except BaseException as error:
            # Whatever it would still say is no answer to the next review.
            self._ready.clear()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            if isinstance(error, asyncio.IncompleteReadError | OSError):
                raise NotReady(ENDED) from error
            raise
        reply: Reply = message
        return reply

    async def _known(self, question: Question) -> object:
        source = self._reviewer.source
        try:
            if question.live or source.stale:
                await source.refresh(question.namespace)
        except NotReady as error:
            return error
        return known(source, question.namespace)

    @contextlib.asynccontextmanager
    async def _started(self) -> AsyncIterator[Process]:
        """Start a process; end it at the block's end."""
        # A signal from the terminal is for the parent, which ends its children in order.
        process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        try:
            settings = Settings(
                gate=self._reviewer.gate, operator_compat=self._reviewer.operator_compat
            )
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await _send(process, settings)
                await _receive(process)
            self._process = process
            yield process
        finally:
            self._ready.clear()
            self._process = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _send(process: Process, message: object) -> None:
    if process.stdin is None:
        raise AssertionError  # it is a pipe
    process.stdin.write(packed(message))
    await process.stdin.drain()


async def _receive(process: Process) -> Any:
    if process.stdout is None:
        raise AssertionError  # it is a pipe
    (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    return pickle.loads(await process.stdout.readexactly(length))  # noqa: S301 — our own process
