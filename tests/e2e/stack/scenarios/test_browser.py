"""A person with a browser, before the one door of the stack."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.stack import environments
from tests.e2e.stack.beside import envoy
from tests.e2e.stack.beside.webui import QUESTION
from tests.e2e.stack.overlay import EMAIL, HOST, PASSWORD
from tests.e2e.stack.stack import SCREENSHOT

if TYPE_CHECKING:
    from tests.e2e.stack.stack import Stack

BROWSING: Final = Path(__file__).parents[1] / "beside" / "browsing.py"
CHROMIUM: Final = "/usr/bin/chromium"
BROWSING_SECONDS: Final = 300


@pytest.fixture(scope="module")
def browser(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's Chromium, on the network of the cluster's machine."""
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
    program = tmp_path_factory.mktemp("browser") / "chromium"
    enter = f"nsenter --target {stack.machine} --net --"
    program.write_text(f'#!/bin/sh\nexec {enter} {CHROMIUM} "$@"\n')
    program.chmod(0o755)
    return program


def test_a_browser_chats_through_the_route(stack: Stack, browser: Path) -> None:
    """By the route's name, over TLS: sign in, ask, and see the answer come piece by piece."""
    address = envoy.address(stack.cluster.api, "llm")
    trusted = envoy.fingerprint(stack.cluster.folder / envoy.FILES["cert"])
    screenshot = Path(os.environ.get(SCREENSHOT) or stack.cluster.folder / "chat.png")
    seen = _browse(
        browser=str(browser),
        arguments=[
            f"--host-resolver-rules=MAP {HOST} {address}",
            f"--ignore-certificate-errors-spki-list={trusted}",
        ],
        url=f"https://{HOST}/",
        email=EMAIL,
        password=PASSWORD,
        question=QUESTION,
        screenshot=str(screenshot),
    )
    assert seen["url"].startswith(f"https://{HOST}/c/")
    assert seen["answer"]
    assert seen["pieces"] > 1
    assert screenshot.read_bytes().startswith(b"\x89PNG")


def test_plain_http_is_led_to_tls(stack: Stack) -> None:
    """The listener without TLS answers with the address of the other one."""
    address = envoy.address(stack.cluster.api, "llm")
    asked = ("curl", "--silent", "--head", "--header", f"Host: {HOST}", f"http://{address}/x")
    answer = stack.on_machine(*asked).stdout
    assert answer.startswith("HTTP/1.1 301 ")
    assert f"location: https://{HOST}/x" in answer


def _browse(**wanted: Any) -> dict[str, Any]:
    visitor = environments.find("visitor")
    ran = subprocess.run(
        [visitor.python, BROWSING, json.dumps(wanted)],
        capture_output=True,
        text=True,
        check=False,
        timeout=BROWSING_SECONDS,
    )
    assert ran.returncode == 0, ran.stderr
    seen: dict[str, Any] = json.loads(ran.stdout)
    return seen
