"""Open WebUI as those see it who speak to its API, from its own pod."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from tests.e2e.api_server.processes import until
from tests.e2e.stack.overlay import EMAIL, PASSWORD

if TYPE_CHECKING:
    from tests.e2e.stack.stack import Stack

URL: Final = "http://127.0.0.1:3000/api"
QUESTION: Final = "What is a model?"
LISTING_SECONDS: Final = 60
"""Llama Stack looks every 15 seconds for what vLLM serves."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the administrator that the manifests make."""

    stack: Stack
    token: str

    @classmethod
    def begin(cls, stack: Stack) -> Self:
        """Sign in."""
        return cls(stack, stack.ask("sign-in", f"{URL}/v1/auths/signin", EMAIL, PASSWORD).strip())

    def get(self, path: str) -> Any:
        """Return what a path answers.

        Raises:
            ValueError: It does not answer with JSON, such as after an error.
        """
        status, _, body = self.stack.ask("get", f"{URL}/{path}", self.token).partition(" ")
        if status != "200":
            raise ValueError(f"{path}: {status} {body}")
        return json.loads(body)

    def post(self, path: str, document: Any) -> str:
        """Return the status of an answer and its body; the path is below the host's root."""
        url = f"{URL.removesuffix('/api')}/{path}"
        return self.stack.ask("post", url, json.dumps(document), self.token).strip()

    def models(self) -> list[str]:
        """Return the models that one can choose."""
        return [str(model["id"]) for model in self.get("models")["data"]]

    def chat(self, text: str = QUESTION) -> list[str]:
        """Ask the first model, and return the answer in the pieces in which it came.

        Raises:
            ControlPlaneError: No model is listed in time.
        """
        until(
            lambda: bool(self.models()),
            what="Open WebUI lists a model",
            seconds=LISTING_SECONDS,
            pause=1,
        )
        (model, *_) = self.models()
        said = self.stack.ask("chat", f"{URL}/chat/completions", model, text, self.token)
        return [json.loads(line) for line in said.splitlines()]

    def conversations(self) -> dict[str, list[str]]:
        """Return what has been said, by all sides, in each conversation that is kept."""
        kept = {each["id"]: self.get(f"v1/chats/{each['id']}") for each in self.get("v1/chats/")}
        return {
            name: [message["content"] for message in chat["chat"]["history"]["messages"].values()]
            for name, chat in kept.items()
        }
