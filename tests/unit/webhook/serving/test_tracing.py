from __future__ import annotations

import time
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from webhook.serving import tracing

UID = "9f1c0d9e-3a51-4c2b-8f0e-6f6b1f3f4a10"
OF_POD = UID.replace("-", "")
TRACED = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def recorded(**review: Any) -> tuple[ReadableSpan, str | None]:
    """Return the span of a review, and the trace's id as it was returned."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    usual: dict[str, Any] = {
        "path": "/validate",
        "began": time.time_ns() - 1_000_000,
        "status": 200,
        "verdict": "allowed",
        "headers": {},
        "pod_uid": None,
        "said": {"namespace": "llm", "pod": "vllm-", "policy": "granite", "dry_run": False},
    }
    identity = tracing.record(provider.get_tracer("test"), tracing.Finished(**usual | review))
    (span,) = exporter.get_finished_spans()
    return span, identity


def trace_of(span: ReadableSpan) -> str:
    """Return its trace's id in hexadecimal."""
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}"


def test_a_review_is_a_span_with_names_and_the_verdict() -> None:
    """It lasts as long as the review, and carries what the log line carries."""
    span, identity = recorded()
    assert (span.name, span.kind) == ("POST /validate", SpanKind.SERVER)
    assert identity == trace_of(span)
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time >= 1_000_000
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/validate",
        "http.response.status_code": 200,
        "k8s.namespace.name": "llm",
        "k8s.pod.name": "vllm-",
        "model_validation.verdict": "allowed",
        "model_validation.policy": "granite",
        "model_validation.dry_run": False,
    }
    assert span.status.status_code is StatusCode.UNSET


def test_a_pod_s_review_is_in_the_trace_of_its_uid() -> None:
    """The same id stands in the gate's report."""
    span, identity = recorded(pod_uid=UID)
    assert identity == trace_of(span) == OF_POD
    assert (span.attributes or {})["k8s.pod.uid"] == UID


def test_a_traced_request_s_review_is_in_its_trace_and_linked_with_the_pod_s() -> None:
    """The API server's span is the parent."""
    headers = {"Traceparent": f"00-{TRACED}-{PARENT}-01"}
    span, identity = recorded(headers=headers, pod_uid=UID)
    assert identity == trace_of(span) == TRACED
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [OF_POD]


@pytest.mark.parametrize("uid", [None, "", "no uid", "0" * 32, UID + "0"])
def test_without_a_usable_uid_a_review_has_a_trace_of_its_own(uid: str | None) -> None:
    """As `/mutate`, which is asked before the pod has one."""
    span, identity = recorded(pod_uid=uid, headers={"traceparent": "00-zz"})
    assert span.parent is None
    assert identity == trace_of(span) != OF_POD


@pytest.mark.parametrize("verdict", ["error", "invalid", "not_ready"])
def test_a_review_that_failed_is_an_error_with_its_reason(verdict: str) -> None:
    """A refusal is none: it is what we are there for."""
    span, _ = recorded(verdict=verdict, said={"reason": "the request has no object"})
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "the request has no object"
    refused, _ = recorded(verdict="refused", said={"reason": "no policy"})
    assert refused.status.status_code is StatusCode.UNSET


def test_without_a_collector_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recorded, and there is no trace to name."""
    for name in tracing.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    said = {"namespace": "llm"}
    with tracing.tracer() as none:
        review = tracing.Finished(
            path="/mutate",
            began=0,
            status=200,
            verdict="allowed",
            headers={},
            pod_uid=UID,
            said=said,
        )
        assert tracing.record(none, review) is None
