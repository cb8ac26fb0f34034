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
from tests.e2e.stack.beside.neighbours import ELSEWHERE
from tests.e2e.stack.beside.tavily import KEY, WORD
from tests.e2e.stack.beside.webui import QUESTION, Session
from tests.e2e.stack.overlay import EMAIL, HOST, PASSWORD
from tests.e2e.stack.stack import SCREENSHOTS
from tests.e2e.stack.tiny_model import FOUND, QUERY, SENTENCE

if TYPE_CHECKING:
    from tests.e2e.stack.stack import Stack

BROWSING: Final = Path(__file__).parents[1] / "beside" / "browsing.py"
CHROMIUM: Final = "/usr/bin/chromium"
BROWSING_SECONDS: Final = 300
LIMIT: Final = 1200
"""Requests a minute of one address: components/httproute/limits.yaml."""
SEARCHING: Final = "Search the web for planets."


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
    seen = _browse(stack, browser, QUESTION)
    assert seen["url"].startswith(f"https://{HOST}/c/")
    assert seen["answer"].endswith(SENTENCE)
    assert seen["pieces"] > 1


def test_a_search_without_a_key_says_so_in_the_chat(stack: Stack, browser: Path) -> None:
    """The model asks for the search; what it got says that the search is not set up."""
    seen = _browse(stack, browser, SEARCHING, name="chat-search-without-a-key", search=True)
    assert "The web search is not set up" in seen["answer"]
    assert stack.tavily.queries() == []


def test_a_chat_searches_the_web(stack: Stack, browser: Path) -> None:
    """The model's call goes to Tavily, and its answer has a word that only Tavily's had."""
    stack.kubectl("create", "secret", "generic", "tavily", f"--from-literal=api-key={KEY}")
    stack.restart("llamastack")
    stack.rolled_out("llamastack")
    Session.begin(stack).chat()  # when the model is listed again
    seen = _browse(stack, browser, SEARCHING, name="chat-search", search=True)
    assert FOUND.format(WORD) in seen["answer"]
    assert stack.tavily.queries() == [QUERY]


def test_a_request_that_is_too_large_is_refused_at_the_door(stack: Stack) -> None:
    """By Envoy, with 413, before Open WebUI sees it; a smaller one passes."""
    said = {size: _sent(stack, size) for size in ("50M", "30M")}
    assert said["50M"] == "413"
    assert said["30M"] in ("400", "401")  # Open WebUI's: nobody is signed in, and it is no form


def _sent(stack: Stack, size: str) -> str:
    """Send so many bytes to Open WebUI through the route; return the status."""
    address = envoy.address(stack.cluster.api, "llm")
    curl = (
        f"head -c {size} /dev/zero | curl --http1.1 --silent --insecure --output /dev/null"
        f" --write-out '%{{http_code}}' --resolve {HOST}:443:{address} --data-binary @-"
        f" https://{HOST}/api/v1/files/"
    )
    return stack.on_machine("sh", "-c", curl).stdout


def test_plain_http_is_led_to_tls(stack: Stack) -> None:
    """The listener without TLS answers with the address of the other one."""
    address = envoy.address(stack.cluster.api, "llm")
    asked = ("curl", "--silent", "--head", "--header", f"Host: {HOST}", f"http://{address}/x")
    answer = stack.on_machine(*asked).stdout
    assert answer.startswith("HTTP/1.1 301 ")
    assert f"location: https://{HOST}/x" in answer


def test_a_client_that_sends_too_much_is_held_back_alone(stack: Stack) -> None:
    """Beyond its limit the route answers 429; a client of another address is still served."""
    address = envoy.address(stack.cluster.api, "llm")
    quiet = f"curl --silent --insecure --resolve {HOST}:443:{address} --write-out '%{{http_code}} '"
    # It ends with the first request that is refused: a busy machine sends them slowly, and what
    # is allowed grows with the time.
    burst = (
        f"{quiet} --fail --fail-early --output /dev/null 'https://{HOST}/health?[1-{3 * LIMIT}]'"
    )
    *answered, last = stack.on_machine("sh", "-c", burst).stdout.split()
    assert (set(answered), last) == ({"200"}, "429")
    other = (
        "exec",
        "stranger",
        "--",
        "sh",
        "-c",
        f"{quiet} --output /dev/null https://{HOST}/health",
    )
    assert stack.cluster.api.kubectl("-n", ELSEWHERE, *other).stdout == "200 "


def _browse(
    stack: Stack, browser: Path, question: str, *, name: str = "chat", search: bool = False
) -> dict[str, Any]:
    """Ask a question as a person does; the browser's last sight is kept under a name."""
    address = envoy.address(stack.cluster.api, "llm")
    trusted = envoy.fingerprint(stack.cluster.folder / envoy.FILES["cert"])
    screenshot = Path(os.environ.get(SCREENSHOTS) or stack.cluster.folder) / f"{name}.png"
    wanted = {
        "browser": str(browser),
        "arguments": [
            f"--host-resolver-rules=MAP {HOST} {address}",
            f"--ignore-certificate-errors-spki-list={trusted}",
        ],
        "url": f"https://{HOST}/",
        "email": EMAIL,
        "password": PASSWORD,
        "question": question,
        "screenshot": str(screenshot),
        "search": search,
    }
    visitor = environments.find("visitor")
    ran = subprocess.run(
        [visitor.python, BROWSING, json.dumps(wanted)],
        capture_output=True,
        text=True,
        check=False,
        timeout=BROWSING_SECONDS,
    )
    assert ran.returncode == 0, ran.stderr
    assert screenshot.read_bytes().startswith(b"\x89PNG")
    seen: dict[str, Any] = json.loads(ran.stdout)
    return seen
