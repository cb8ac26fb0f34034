"""The page's listener: on the pod's loopback, so that `kubectl port-forward` is the only door.

A page of the internet can have its own name lead to 127.0.0.1 in the browser of somebody who
forwards the port. So only requests for the names of the loopback itself are answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from aiohttp import web

from webhook.observe.pod.verdict import Verdict
from webhook.observe.site.page import STYLE_HASH, Asked

if TYPE_CHECKING:
    from webhook.observe.site.page import Page

LOOPBACK: Final = "127.0.0.1"
HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

PAGES_LIMIT: Final = 1_000
MISDIRECTED: Final = 421

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def site(page: Page, complaint: Callable[[], str | None]) -> web.Application:
    """Return the application of the page.

    Args:
        page: What is shown.
        complaint: Returns why it may be outdated, `None` where it is not.
    """

    async def overview(request: web.Request) -> web.Response:
        return _html(page.overview(complaint=complaint(), page=_number(request)))

    async def pods(request: web.Request) -> web.Response:
        query = request.query
        verdict = query.get("verdict", "")
        asked = Asked(
            namespace=query.get("namespace", ""),
            policy=query.get("policy", ""),
            verdict=verdict if verdict in set(Verdict) else "",
            page=_number(request),
        )
        return _html(page.pods(asked))

    app = web.Application(middlewares=[_guarded])
    app.router.add_get("/", overview)
    app.router.add_get("/pods", pods)
    return app


@web.middleware
async def _guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
    if _host(request) not in HOSTS:
        return web.Response(
            status=MISDIRECTED, text="ask for localhost: the page is not for other names\n"
        )
    response = await handler(request)
    response.headers.update(HEADERS)
    return response


def _host(request: web.Request) -> str:
    """Return the name that is asked for, without its port."""
    host = request.host.lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _number(request: web.Request) -> int:
    text = request.query.get("page", "1")
    if not text.isdecimal() or len(text) > len(str(PAGES_LIMIT)):
        return 1
    return min(max(int(text), 1), PAGES_LIMIT)


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")
