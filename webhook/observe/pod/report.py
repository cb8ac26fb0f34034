"""The report that a gate has left as its termination message, read as hostile input.

Whoever controls a container writes its message. It is bounded before it is decoded, each field
has its type, length and form (docs/report.schema.json), and all text is made printable.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from validator import contract
from validator.policy.status import NAME_LIMIT, PATH_LIMIT, SENTENCE_LIMIT, TIME_LIMIT
from validator.text import printable

MODELS_LIMIT: Final = 8
"""Models of one policy."""

INTEGER_LIMIT: Final = (1 << 63) - 1
"""The largest integer of a Kubernetes object."""

_Text = Annotated[str, Meta(max_length=contract.TERMINATION_MESSAGE_LIMIT)]


class Signer(msgspec.Struct, frozen=True, rename="camel"):
    """The proven signer."""

    method: Literal["sigstore", "key", "certificate"]
    identity: _Text
    issuer: _Text | None = None
    log_index: Annotated[int, Meta(ge=0, le=INTEGER_LIMIT)] | None = None
    signed_at: Annotated[str, Meta(max_length=TIME_LIMIT)] | None = None


class Model(msgspec.Struct, frozen=True, rename="camel"):
    """The verdict on one model."""

    verdict: Literal["verified", "refused", "undecided"]
    model: _Text = ""
    code: Annotated[str, Meta(pattern=r"^[A-Z][A-Za-z]{0,63}\Z")] | None = None
    signer: Signer | None = None
    digest: Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")] | None = None


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """The verdict on all models of a pod."""

    verdict: Literal["verified", "refused", "undecided"]
    reason: _Text = ""
    code: Annotated[str, Meta(pattern=r"^[A-Z][A-Za-z]{0,63}\Z")] | None = None
    policy: _Text | None = None
    generation: Annotated[int, Meta(ge=0)] | None = None
    trace_id: Annotated[str, Meta(max_length=64)] | None = None
    models: Annotated[list[Model], Meta(max_length=MODELS_LIMIT)] = []


def read(message: str) -> Report | None:
    """Return the report in a termination message; `None` where it is not one."""
    # A character is a byte or more: what the kubelet keeps is never longer.
    if len(message) > contract.TERMINATION_MESSAGE_LIMIT:
        return None
    try:
        return msgspec.json.decode(message, type=Report)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def sentence(text: str) -> str:
    """Return foreign text as a sentence to show, printable and bounded."""
    return shown(text, SENTENCE_LIMIT)


def name(text: str) -> str:
    """Return a foreign name, printable and bounded."""
    return shown(text, NAME_LIMIT)


def path(text: str) -> str:
    """Return a foreign path, printable and bounded."""
    return shown(text, PATH_LIMIT)


def time(text: str) -> str:
    """Return a foreign time, printable and bounded."""
    return shown(text, TIME_LIMIT)


def shown(text: str, limit: int) -> str:
    """Return foreign text, printable, and cut where it is longer than `limit` characters."""
    # Escapes make it longer, so it is cut before, for the sake of time, and again after.
    whole = printable(text[: limit + 1])
    return whole if len(whole) <= limit else f"{whole[: limit - 1]}…"
