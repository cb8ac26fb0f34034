"""The HTTP around a review: paths, statuses, and the limits of what is read.

What an answer says is decided in `webhook.admission.reviewer`; who listens where, in
`webhook.serving.process`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from opentelemetry.trace import NoOpTracer, Tracer

from webhook import review as reviews
from webhook.errors import NotReady, RequestError
from webhook.metrics import Metrics
from webhook.serving import tracing
from webhook.serving.body_budget import BodyBudget
from webhook.serving.connections import Connections
from webhook.serving.judged import MUTATE, VALIDATE, Asked, Line, judge
from webhook.serving.worker import Worker

if TYPE_CHECKING:
    from webhook.admission.reviewer import Reviewer

BODIES_LIMIT: Final = 2 * reviews.BODY_LIMIT
"""Bytes of all bodies that are under way; decoded, they take several times that."""

SMALL: Final = 64 * 1024
"""Bytes of a body that never waits, and is judged in this process; almost any review is smaller. A
client can announce large bodies and not send them: only other large ones wait for these."""

BODY_SECONDS: Final = 5
"""For a body to arrive, or to get its turn; the API server gives up after as many."""

ANSWERS: Final = frozenset({"allowed", "refused"})
"""Verdicts on a pod; the other ones say why there was none."""

STATUS_TIMEOUT: Final = 408
STATUS_INTERNAL: Final = 500
STATUS_UNAVAILABLE: Final = 503

_log = structlog.get_logger()


@dataclass(slots=True)
class Lifecycle:
    """Whether the process is about to end, and how many reviews it still has to answer."""

    draining: bool = False
    under_way: int = 0


WORKER: Final = web.AppKey("worker", Worker)
LIFECYCLE: Final = web.AppKey("lifecycle", Lifecycle)
REVIEWER: Final[web.AppKey[Reviewer]] = web.AppKey("reviewer")
METRICS: Final = web.AppKey("metrics", Metrics)
BUDGET: Final = web.AppKey("budget", BodyBudget)
CONNECTIONS: Final = web.AppKey("connections", Connections)
TRACER: Final = web.AppKey("tracer", Tracer)


def init_app(
    reviewer: Reviewer,
    *,
    metrics: Metrics,
    lifecycle: Lifecycle,
    connections: Connections,
    tracer: Tracer | None = None,
) -> web.Application:
    """Return the application that answers reviews; its worker has to be run beside it."""
    app = web.Application(client_max_size=reviews.BODY_LIMIT)
    app[REVIEWER] = reviewer
    app[WORKER] = Worker(reviewer)
    app[METRICS] = metrics
    app[LIFECYCLE] = lifecycle
    app[BUDGET] = BodyBudget(BODIES_LIMIT)
    app[CONNECTIONS] = connections
    app[TRACER] = tracer or NoOpTracer()
    for path in (MUTATE, VALIDATE):
        app.router.add_post(path, _answered)
    return app


async def _answered(request: web.Request) -> web.Response:
    """Answer a review, count it, and log one line, also where it fails."""
    start, began = time.perf_counter(), time.time_ns()
    lifecycle = request.app[LIFECYCLE]
    lifecycle.under_way += 1
    line: Line = {}
    try:
        response, verdict = await _judged(request, line=line)
    except RequestError as error:
        line["reason"] = str(error)
        response, verdict = _status(error.status, error), "invalid"
    except NotReady as error:
        line["reason"] = str(error)
        response, verdict = _status(STATUS_UNAVAILABLE, error), "not_ready"
    except Exception:  # noqa: BLE001 — one review's failure is not the next one's
        _log.exception("a review failed", path=request.path, **line)
        sentence = "the webhook failed on this review: its log says why"
        response, verdict = _status(STATUS_INTERNAL, sentence), "error"
    finally:
        lifecycle.under_way -= 1
    if verdict in ANSWERS:
        request.app[CONNECTIONS].used(request.transport)
    seconds = time.perf_counter() - start
    metrics = request.app[METRICS]
    metrics.reviews.labels(request.path, verdict).inc()
    metrics.seconds.labels(request.path).observe(seconds)
    if "exemption" in line and request.path == VALIDATE and not line["dry_run"]:
        metrics.exempt_pods.inc()
    finished = tracing.Finished(
        path=request.path,
        began=began,
        status=response.status,
        verdict=verdict,
        headers=request.headers,
        pod_uid=line.get("pod_uid"),
        said=line,
    )
    if identity := tracing.record(request.app[TRACER], finished):
        line["trace_id"] = identity
    milliseconds = round(seconds * 1000, 1)
    _log.info("review", path=request.path, verdict=verdict, milliseconds=milliseconds, **line)
    if lifecycle.draining:
        response.force_close()
    return response


async def _judged(request: web.Request, *, line: Line) -> tuple[web.Response, str]:
    """Return the response and the verdict; fill the log's `line` as far as one gets."""
    app, size = request.app, _announced(request)
    if size > SMALL:
        async with app[BUDGET].reserved(size, seconds=BODY_SECONDS):
            judged = await app[WORKER].judge(await _asked(request), line=line)
    else:
        judged = await judge(await _asked(request), reviewer=app[REVIEWER], line=line)
    return web.Response(body=judged.body, content_type="application/json"), judged.verdict


async def _asked(request: web.Request) -> Asked:
    return Asked(path=request.path, content_type=request.content_type, body=await _body(request))


def _announced(request: web.Request) -> int:
    """Return the bytes that the body may have, before any of them is read.

    Raises:
        RequestError: They are too many, or compressed.
    """
    if "Content-Encoding" in request.headers:
        raise RequestError("the body is compressed: send it as it is", status=415)
    size = reviews.BODY_LIMIT if request.content_length is None else request.content_length
    if size > reviews.BODY_LIMIT:
        raise reviews.too_large()
    return size


async def _body(request: web.Request) -> bytes:
    try:
        if request.content.is_eof():  # as almost always: it came with the headers
            return await request.read()
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        raise RequestError(
            f"the body did not arrive within {BODY_SECONDS} seconds", status=STATUS_TIMEOUT
        ) from error
    except web.HTTPRequestEntityTooLarge as error:
        raise reviews.too_large() from error
    # ConnectionResetError, and what aiohttp raises for a body that breaks its framing.
    except (web.RequestPayloadError, OSError) as error:
        raise RequestError("the body broke off") from error


def _status(code: int, message: object) -> web.Response:
    """Return an error as the `Status` object whose message the API server passes on."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": str(message),
        "code": code,
    }
    response = web.json_response(status, status=code)
    # The rest of the body may still arrive, and must not be read as another request.
    response.force_close()
    return response
