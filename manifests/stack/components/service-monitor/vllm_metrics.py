"""GET /metrics of vLLM, and nothing else of it.

vLLM serves its metrics beside its API on one port, and its API key does not guard all of the API
(/invocations answers without). So Prometheus asks this proxy, and no NetworkPolicy lets it reach
vLLM. It runs in Llama Stack's image, and needs Python alone.
"""

import urllib.request
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8001
SOURCE = "http://vllm:8000/metrics"
SECONDS = 10
"""For an answer of vLLM, and for a request: Prometheus itself waits for ten."""
LARGEST = 16 * 1024 * 1024
"""Bytes of vLLM's answer; it has tens of thousands."""


class Metrics(BaseHTTPRequestHandler):
    """One request."""

    timeout = SECONDS

    def do_GET(self) -> None:
        """Answer with what vLLM says."""
        if self.path != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            with urllib.request.urlopen(SOURCE, timeout=SECONDS) as answer:
                kind, body = answer.headers["Content-Type"], answer.read(LARGEST)
        except OSError as error:  # also an error that vLLM answers with
            self.send_error(HTTPStatus.BAD_GATEWAY, f"vLLM's metrics cannot be read: {error}")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep no log of the scrapes."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), Metrics).serve_forever()
