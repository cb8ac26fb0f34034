"""What Prometheus reaches of vLLM: the program of components/service-monitor, run as it is."""

from __future__ import annotations

import runpy
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.stack.static.manifests import STACK
from tests.support.served import http_served

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM: Final = STACK / "components" / "service-monitor" / "vllm_metrics.py"
METRICS: Final = b"vllm:num_requests_running 1\n"
KIND: Final = "text/plain; version=0.0.4"


class _Vllm(BaseHTTPRequestHandler):
    """Answers each path, as vLLM does without a key."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Type", KIND)
        self.end_headers()
        self.wfile.write(METRICS)

    def do_POST(self) -> None:
        """Answer in the same way."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _proxy(source: str) -> Iterator[str]:
    program = runpy.run_path(str(PROGRAM))
    handler = program["Metrics"]
    handler.do_GET.__globals__["SOURCE"] = f"{source}/metrics"
    with http_served(handler) as url:
        yield url


def _asked(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, data, timeout=10) as answer:  # noqa: S310 — on loopback
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_metrics_pass() -> None:
    """As vLLM says them."""
    with http_served(_Vllm) as vllm, _proxy(vllm) as url:
        assert _asked(f"{url}/metrics") == (200, METRICS)


@pytest.mark.parametrize(
    "path", ["/invocations", "/v1/chat/completions", "/metrics/../v1/models", "/metrics?x", "/"]
)
@pytest.mark.parametrize("data", [None, b"{}"], ids=["GET", "POST"])
def test_nothing_else_passes(path: str, data: bytes | None) -> None:
    """Neither another path nor another method."""
    with http_served(_Vllm) as vllm, _proxy(vllm) as url:
        status, _ = _asked(f"{url}{path}", data)
    assert status == (404 if data is None else 501)


def test_a_vllm_that_is_away_is_said() -> None:
    """Prometheus then has a failed scrape with a reason."""
    with http_served(_Vllm) as vllm:
        pass
    with _proxy(vllm) as url:
        status, said = _asked(f"{url}/metrics")
    assert status == 502
    assert b"cannot be read" in said
