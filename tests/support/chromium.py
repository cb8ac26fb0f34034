"""Chromium, led by its DevTools protocol: a page as a person sees it on a screen of some size."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FLAGS: Final = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0"),
)
SECONDS: Final = 60
"""For the start, and for an answer; each takes a second on a machine that is not busy."""


class Tab:
    """One page of a running browser.

    Attributes:
        complaints: What the browser has written into its log, such as a style that it refused.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self.complaints: list[str] = []
        self._is_loaded = False

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while (message := await self._next()).get("id") != number:
            pass
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def open(self, url: str, *, width: int, height: int) -> None:
        """Show a page on a screen of so many pixels; return when it is loaded."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        await self.call("Emulation.setDeviceMetricsOverride", mobile=width < height, **size)
        await self.call("Page.enable")
        await self.call("Log.enable")
        self._is_loaded = False
        await self.call("Page.navigate", url=url)
        # The page may be loaded before the call is answered.
        while not self._is_loaded:
            await self._next()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of the page's."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    async def screenshot(self) -> bytes:
        """Return what the screen shows, as PNG."""
        taken = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(taken["data"])

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            message: dict[str, Any] = json.loads(await self._socket.receive_str())
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        self._is_loaded |= message.get("method") == "Page.loadEventFired"
        return message


@asynccontextmanager
async def running_tab(folder: Path) -> AsyncIterator[Tab]:
    """Run a browser of its own, with what it keeps in a folder; skip where there is none."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium: it is in Debian's package of that name")
    browser = await asyncio.create_subprocess_exec(
        *(program, *FLAGS, f"--user-data-dir={folder}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port = await _port(folder / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            address = await _page(session, f"http://127.0.0.1:{port}/json/list")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        # Its helpers are of its session.
        with suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()


async def _page(session: aiohttp.ClientSession, url: str) -> str:
    """Return the address of the first page, once there is one."""
    async with asyncio.timeout(SECONDS):
        while True:
            async with session.get(url) as answer:
                for each in await answer.json():
                    if each["type"] == "page":
                        return str(each["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)


async def _port(file: Path) -> int:
    """Return the port of the protocol, once the browser has written it."""
    async with asyncio.timeout(SECONDS):
        while True:
            with suppress(OSError, IndexError, ValueError):
                return int(file.read_text().splitlines()[0])  # noqa: ASYNC240 — a few bytes
            await asyncio.sleep(0.05)
