"""A span for each review, sent by OTLP over HTTP to the collector that the environment names.

Without `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` nothing is
recorded, nothing of the SDK is loaded, and nothing leaves the process. Whatever else can be set is
set by OpenTelemetry's own variables, too. A collector that does not answer costs reviews nothing:
spans wait in a bounded queue of another thread, and are dropped from there.

The trace of a review is that of the API server's request, where that is traced (`traceparent`);
else the pod's own, whose id is the pod's uid. The gate has no network, but knows its pod's uid: the
same id stands as `traceId` in its report. `/mutate` is asked before the pod has a uid.
"""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.trace import (
    Link,
    NoOpTracer,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SERVICE: Final = "model-validation-webhook"
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
FAULTS: Final = ("error", "invalid", "not_ready")
"""Verdicts on a review that say nothing about its pod."""

EXPORT_SECONDS: Final = 3
"""For one batch, and for the last one at the end: the pod's grace has to suffice for all."""

LOW_64_BITS: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A review that was answered.

    Attributes:
        path: Where it was asked.
        began: When, in nanoseconds of Unix time.
        status: The HTTP status of the answer.
        verdict: As the metrics count it.
        headers: The request's.
        pod_uid: The pod's, where it has one already.
        said: What its log line says, by name.
    """

    path: str
    began: int
    status: int
    verdict: str
    headers: Mapping[str, str]
    pod_uid: str | None
    said: Mapping[str, str | bool]


@contextmanager
def tracer() -> Iterator[trace.Tracer]:
    """Return a tracer as the environment wants it, and send what is left at the end."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        yield NoOpTracer()
        return
    # The SDK and the exporter take a fifth of a second to import.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    ours = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: SERVICE}
    provider = TracerProvider(resource=Resource.create(ours), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer(SERVICE)
    finally:
        provider.shutdown()


def record(by: trace.Tracer, review: Finished) -> str | None:
    """Record a review; return its trace's id in hexadecimal, `None` where nothing is recorded."""
    if isinstance(by, NoOpTracer):  # as usual, and every review passes here
        return None
    asked = TraceContextTextMapPropagator().extract(
        {name.lower(): value for name, value in review.headers.items()}
    )
    of_pod = _of_pod(review.pod_uid)
    links = []
    if trace.get_current_span(asked).get_span_context().is_valid:
        links = [Link(of_pod)] if of_pod else []
    elif of_pod:
        asked = trace.set_span_in_context(trace.NonRecordingSpan(of_pod))
    span = by.start_span(
        f"POST {review.path}",
        context=asked,
        kind=SpanKind.SERVER,
        links=links,
        start_time=review.began,
        attributes=_attributes(review),
    )
    if not span.is_recording():
        return None
    if review.verdict in FAULTS:
        span.set_status(Status(StatusCode.ERROR, str(review.said.get("reason", ""))))
    span.end()
    return trace.format_trace_id(span.get_span_context().trace_id)


def _of_pod(uid: str | None) -> SpanContext | None:
    """Return the root of the pod's trace, which nobody records: a UUID is an id of 128 bits."""
    try:
        number = uuid.UUID(uid).int if uid else 0
    except ValueError:
        return None
    root = SpanContext(
        number, number & LOW_64_BITS, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    return root if root.is_valid else None


def _attributes(review: Finished) -> dict[str, str | bool | int]:
    """Return names and sentences, nothing of a pod's contents (names: OpenTelemetry's, 1.43)."""
    said = review.said
    found: dict[str, str | bool | int | None] = {
        "http.request.method": "POST",
        "http.route": review.path,
        "http.response.status_code": review.status,
        "k8s.namespace.name": said.get("namespace"),
        "k8s.pod.name": said.get("pod"),
        "k8s.pod.uid": review.pod_uid,
        "model_validation.verdict": review.verdict,
        "model_validation.policy": said.get("policy"),
        "model_validation.reason": said.get("reason"),
        "model_validation.dry_run": said.get("dry_run"),
    }
    return {name: value for name, value in found.items() if value not in (None, "")}
