"""Asks as a client does; runs in a pod, by the plain Python that is there.

python3 - get URL [TOKEN]              # prints the status and the body
python3 - post URL JSON [TOKEN]        # likewise
python3 - connect HOST PORT            # prints `connected`, or `refused` and why
python3 - chat URL MODEL TEXT [TOKEN]  # prints a streamed answer: its pieces, JSON, a line each
python3 - sign-in URL EMAIL PASSWORD   # prints Open WebUI's token
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 100
CONNECTING_SECONDS = 3


def request(url: str, document: Any = None, token: str = "") -> Any:
    """Return an open answer; an error of HTTP is one as well."""
    body = None if document is None else json.dumps(document).encode()
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        asked = urllib.request.Request(url, body, headers)  # noqa: S310 — the tests' own
        return urllib.request.urlopen(asked, timeout=SECONDS)  # noqa: S310 — as above
    except urllib.error.HTTPError as error:
        return error


def get(url: str, token: str = "") -> None:
    """Print the status and the body of an answer."""
    with request(url, token=token) as answer:
        say(f"{answer.status} {answer.read().decode()}")


def post(url: str, document: str, token: str = "") -> None:
    """Send a document; print the status and the body of the answer."""
    with request(url, json.loads(document), token) as answer:
        say(f"{answer.status} {answer.read().decode()}")


def connect(host: str, port: str) -> None:
    """Print whether a connection comes about; a name that is not known is an error."""
    address = socket.gethostbyname(host)
    try:
        socket.create_connection((address, int(port)), timeout=CONNECTING_SECONDS).close()
    except OSError as error:
        say(f"refused: {error}")
    else:
        say("connected")


def chat(url: str, model: str, text: str, token: str = "") -> None:
    """Print what a streamed completion says, piece by piece."""
    messages = [{"role": "user", "content": text}]
    wanted = {"model": model, "messages": messages, "stream": True}
    with request(url, wanted, token) as answer:
        if answer.status != HTTPStatus.OK:
            sys.exit(f"{answer.status}: {answer.read().decode()}")
        for piece in pieces(answer):
            say(json.dumps(piece))


def pieces(answer: IO[bytes]) -> Iterator[str]:
    """Yield the texts of an answer's events."""
    for line in answer:
        if line.startswith(b"data: {"):
            for choice in json.loads(line.removeprefix(b"data: ")).get("choices", []):
                if text := choice.get("delta", {}).get("content"):
                    yield text


def sign_in(url: str, email: str, password: str) -> None:
    """Print the token of a session."""
    with request(url, {"email": email, "password": password}) as answer:
        say(json.load(answer)["token"])


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


COMMANDS: dict[str, Callable[..., None]] = {
    "get": get,
    "post": post,
    "connect": connect,
    "chat": chat,
    "sign-in": sign_in,
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
