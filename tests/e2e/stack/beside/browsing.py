"""A person with a browser: signs in, asks, and reads the answer as it comes.

    PYTHON tests/e2e/stack/beside/browsing.py JSON

Runs in the environment `visitor`. JSON says `browser` (a program), `arguments` for it, `url`,
`email`, `password`, `question`, `screenshot` (a file) and `search` (whether the chat may search
the web); what was seen is printed as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from playwright.sync_api import Page, sync_playwright

SECONDS: Final = 120
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def main(wanted: dict[str, Any]) -> dict[str, Any]:
    """Go through it once."""
    frames: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=wanted["browser"], args=[*FLAGS, *wanted["arguments"]]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(SECONDS * 1000)
        page.on(
            "websocket",
            lambda socket: socket.on("framereceived", lambda frame: frames.append(str(frame))),
        )
        try:
            title, answer = _chat(page, wanted)
        finally:
            page.screenshot(path=wanted["screenshot"])
        browser.close()
    pieces = [frame for frame in frames if "response.output_text.delta" in frame]
    return {"title": title, "url": page.url, "answer": answer, "pieces": len(pieces)}


def _chat(page: Page, wanted: dict[str, Any]) -> tuple[str, str]:
    page.goto(wanted["url"])
    page.fill("input[type=email]", wanted["email"])
    page.fill("input[type=password]", wanted["password"])
    page.press("input[type=password]", "Enter")
    page.wait_for_selector("#chat-input")
    news = page.get_by_role("button", name="Okay, Let's Go!")
    if news.count():
        news.click()
    if wanted["search"]:
        # As the switch below the text does, whose place changes from release to release.
        page.goto(f"{wanted['url']}?web-search=true")
    page.click("#chat-input")
    page.keyboard.type(wanted["question"])
    page.keyboard.press("Enter")
    answer = page.locator(".chat-assistant").last
    answer.wait_for()
    # The buttons below an answer come with its end.
    page.get_by_label("Regenerate").wait_for()
    if wanted["search"]:
        page.get_by_text("View Result from search_web").click()
        page.get_by_text("snippet").first.wait_for()
    return page.title(), answer.inner_text().strip()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
