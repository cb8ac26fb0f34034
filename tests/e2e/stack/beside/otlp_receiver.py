"""The other side of traces: takes OTLP, and prints each span's service, name and trace.

Runs in a pod, in an environment that has OpenTelemetry's protocol (Open WebUI's).
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
GRPC_PORT, HTTP_PORT = 4317, 4318


def export(request: Any, _context: Any) -> Any:
    """Print a line for each span."""
    for group in request.resource_spans:
        attributes = {each.key: each.value.string_value for each in group.resource.attributes}
        for span in (span for scope in group.scope_spans for span in scope.spans):
            line = {
                "service": attributes.get("service.name"),
                "name": span.name,
                "trace": span.trace_id.hex(),
            }
            sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()
    return ExportTraceServiceResponse()


class OverHttp(BaseHTTPRequestHandler):
    """The same over HTTP, in protobuf."""

    def do_POST(self) -> None:
        """Take an export."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        export(ExportTraceServiceRequest.FromString(body), None)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print spans and nothing else."""


def main() -> None:
    """Listen until the pod ends."""
    handler = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=ExportTraceServiceRequest.FromString,
        response_serializer=ExportTraceServiceResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"Export": handler}),)
    )
    server.add_insecure_port(f"[::]:{GRPC_PORT}")
    server.start()
    ThreadingHTTPServer(("", HTTP_PORT), OverHttp).serve_forever()


if __name__ == "__main__":
    main()
