"""The stack's traces and metrics, as a collector and Prometheus receive them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.e2e.api_server.processes import until
from tests.e2e.node.cluster import condition, statuses
from tests.e2e.stack.beside.neighbours import COLLECTOR, MONITORING, OBSERVABILITY
from tests.e2e.stack.beside.webui import Session
from tests.e2e.stack.overlay import NAMESPACE
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.stack.stack import Stack

EXPORTING_SECONDS = 60
"""Spans are sent in batches, every few seconds."""


def test_one_chat_is_one_trace_through_all_three(stack: Stack) -> None:
    """The collector gets the three programs' spans of a chat, under one trace id."""
    known = set(_traces(stack))
    Session.begin(stack).chat()
    until(
        lambda: any(
            services >= {"open-webui", "llamastack", "vllm"}
            for trace, services in _traces(stack).items()
            if trace not in known
        ),
        what="a trace has spans of all three",
        seconds=EXPORTING_SECONDS,
        pause=2,
    )


def test_a_pod_s_reviews_are_in_the_trace_that_its_gate_names(stack: Stack) -> None:
    """The gate reports by no network; the webhook's spans are found by what it reports."""
    (pod,) = (each for each in stack.pods("vllm") if condition(each, "Ready") == "True")
    report = json.loads(statuses(pod)[GATE_CONTAINER]["state"]["terminated"]["message"])
    assert report["models"][0]["seconds"] > 0
    until(
        lambda: "model-validation-webhook" in _traces(stack).get(report["traceId"], ()),
        what="the webhook's spans are there",
        seconds=EXPORTING_SECONDS,
        pause=2,
    )


def test_vllm_s_metrics_are_where_the_service_monitor_points(stack: Stack) -> None:
    """Its selector finds one Service, whose port leads Prometheus to the metrics and to no more."""
    monitor = json.loads(stack.kubectl("get", "servicemonitor", "vllm", "-o", "json"))["spec"]
    labels = ",".join(f"{k}={v}" for k, v in monitor["selector"]["matchLabels"].items())
    (service,) = _listed(stack, "services", labels)
    (endpoint,) = monitor["endpoints"]
    for address, port in _endpoints(stack, service["metadata"]["name"], endpoint["port"]):
        answer = stack.ask(
            *("get", f"http://{address}:{port}{endpoint['path']}"),
            pod="prometheus",
            namespace=MONITORING,
        )
        assert answer.startswith("200 ")
        assert "\nvllm:num_requests_running" in answer
        more = ("get", f"http://{address}:{port}/v1/models")
        assert stack.ask(*more, pod="prometheus", namespace=MONITORING).startswith("404 ")


def _traces(stack: Stack) -> dict[str, set[str]]:
    """Return the services that have sent spans, by the spans' trace, as the collector has them."""
    found: dict[str, set[str]] = {}
    # The last line may be half written.
    *said, _ = stack.cluster.logs(OBSERVABILITY, COLLECTOR, COLLECTOR).split("\n")
    exports = (json.loads(line) for line in said if line.startswith("{"))
    for group in (group for export in exports for group in export["resourceSpans"]):
        values = {each["key"]: each["value"] for each in group["resource"]["attributes"]}
        service = values["service.name"]["stringValue"]
        for span in (span for scope in group["scopeSpans"] for span in scope["spans"]):
            found.setdefault(span["traceId"], set()).add(service)
    return found


def _endpoints(stack: Stack, service: str, port: str) -> Iterator[tuple[str, int]]:
    slices = _listed(stack, "endpointslices", f"kubernetes.io/service-name={service}")
    ready = [
        (address, each["port"])
        for found in slices
        for each in found["ports"]
        for endpoint in found["endpoints"]
        for address in endpoint["addresses"]
        if each["name"] == port and endpoint["conditions"]["ready"]
    ]
    assert len(ready) == 1
    yield from ready


def _listed(stack: Stack, kind: str, labels: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(
        stack.kubectl("-n", NAMESPACE, "get", kind, "-l", labels, "-o", "json")
    )["items"]
    return items
