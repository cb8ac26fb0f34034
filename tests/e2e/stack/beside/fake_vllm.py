"""vLLM as Llama Stack sees it: one model, answers of two tokens, and what it was asked."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

from tests.support.served import http_served

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL: Final = "granite"
TOKENS: Final = ("It is ", "signed.")

Asked = list[dict[str, Any]]


class _Handler(BaseHTTPRequestHandler):
    """The two routes that Llama Stack asks."""

    asked: Asked

    def do_GET(self) -> None:
        """List the model."""
        self._answer("application/json", {"object": "list", "data": [_model()]})

    def do_POST(self) -> None:
        """Answer a chat, streamed or whole."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(request)
        if not request.get("stream"):
            message = {"role": "assistant", "content": "".join(TOKENS)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._answer("application/json", _completion("chat.completion", choice))
            return
        self._begin("text/event-stream")
        for token in (*TOKENS, None):
            delta = {"role": "assistant", "content": token} if token else {}
            choice = {"index": 0, "delta": delta, "finish_reason": None if token else "stop"}
            self._event(json.dumps(_completion("chat.completion.chunk", choice)))
        self._event("[DONE]")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the library's name
        """Say nothing."""

    def _begin(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.end_headers()

    def _answer(self, content_type: str, document: dict[str, Any]) -> None:
        self._begin(content_type)
        self.wfile.write(json.dumps(document).encode())

    def _event(self, text: str) -> None:
        self.wfile.write(f"data: {text}\n\n".encode())
        self.wfile.flush()


def _model() -> dict[str, Any]:
    return {"id": MODEL, "object": "model", "created": 1, "owned_by": "vllm"}


def _completion(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "object": kind, "created": 1, "model": MODEL, "choices": [choice]}


@contextmanager
def serving(port: int) -> Iterator[Asked]:
    """Serve inside the block, and yield the list of what is asked."""
    asked: Asked = []
    handler = type("Handler", (_Handler,), {"asked": asked})
    with http_served(handler, port=port):
        yield asked
