"""The page of verdicts in Chromium, on a desk's screen and on a phone's; kept as screenshots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp.test_utils import TestServer

from tests.support.chromium import running_tab
from tests.support.observed import ended, gated, refused, seen, stored_policy, verified
from webhook.observe.pods import Pods
from webhook.observe.policies import Policies, known
from webhook.observe.site.listener import site
from webhook.observe.site.page import Page

if TYPE_CHECKING:
    from tests.support.chromium import Tab

Document = dict[str, Any]
ARTIFACTS: Final = Path(__file__).parents[2] / "build" / "verdicts"
SCREENS: Final = {"desk": (1280, 800), "phone": (390, 844)}
"""Widths and heights in pixels; the phone's are those of an iPhone 14."""


def page(number: int) -> Page:
    """Return the page of so many pods under ten policies, one of a hundred of them refused."""
    pods, policies = Pods(), Policies()
    good = seen(ended(gated(), [verified()]))
    sentence = "'model.safetensors' is not the signed file: its digest is another one"
    bad = seen(ended(gated(), [refused(reason=sentence, code="ModelDiffers")], code=1))
    for each in range(number):
        # The first one is good, so that a single pod is shown as it should be.
        pod, policy = bad if each % 100 == 99 else good, f"granite-{each % 10}"
        name = f"{policy}-6d5f8b7c9d-{each:05}"
        pods.put(replace(pod, name=name, uid=name, policy=policy, policy_uid=f"uid-of-{policy}"))
    for each in range(min(number, 10)):
        policies.put(known(stored_policy(f"granite-{each}")))
    return Page(pods, policies)


async def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """Without pods, with one and with 5,000: nothing is cut off, and the style is accepted."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    async with running_tab(tmp_path) as tab:
        for number, shown in ((0, "There is no ModelValidation."), (1, "1"), (5_000, "4,950")):
            server = TestServer(site(page(number), lambda: None), host="127.0.0.1")
            async with server:
                for path in ("/", "/pods"):
                    text = await _look(tab, f"http://127.0.0.1:{server.port}{path}", number)
                    assert path != "/" or shown in text
    assert tab.complaints == []


async def _look(tab: Tab, url: str, number: int) -> str:
    """Look at a page on all screens; return its text."""
    for screen, (width, height) in SCREENS.items():
        await tab.open(url, width=width, height=height)
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width
        assert await tab.evaluate("getComputedStyle(document.body).maxWidth") == "1024px"
        name = "pods" if url.endswith("/pods") else "overview"
        (ARTIFACTS / f"{name}-{number}-{screen}.png").write_bytes(await tab.screenshot())
    return str(await tab.evaluate("document.body.innerText"))
