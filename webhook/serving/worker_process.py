"""The process that reads and judges large reviews, started by `webhook.serving.worker`.

It has no policies of its own, but asks for those of the review's namespace. Messages are
pickled, each after its length, and both sides are this program: on standard input come
the reviews and what it has asked for, on standard output go its questions and answers.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import resource
import struct
import sys
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from validator.policy.document import ModelValidation
from webhook.admission.reviewer import Reviewer
from webhook.cluster import logs
from webhook.errors import NotReady, RequestError, WebhookError
from webhook.serving.judged import Asked, Judged, Line, judge

if TYPE_CHECKING:
    from webhook.policies.choice import BrokenPolicy, LeftOut, Policy
    from webhook.policies.store import Source
    from webhook.settings import GateSettings, NamespaceOptions

LENGTH: Final = struct.Struct(">Q")
MEMORY_LIMIT: Final = 384 * 1024 * 1024
"""Bytes of data that the process may have. The largest pod that the rules admit takes 130 MiB; a
review within its limit of bytes, made of empty lists, would take 860."""

NICENESS: Final = 5
"""Small reviews, in the other process, come first where there is one core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The reviewer's settings; the first message."""

    gate: GateSettings
    operator_compat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The worker asks what is known of a namespace; `live` for a live read."""

    namespace: str
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The answer: what is known of one namespace.

    Policies travel as JSON: unpickled, a default would be another object, which msgspec writes out.

    Attributes:
        policies: Of the namespace.
        options: Of the namespace, `None` where it is not known.
        previous: By policy, what it said until a moment ago.
        gate_images: See `webhook.policies.store.Source`.
    """

    policies: tuple[bytes | BrokenPolicy | LeftOut, ...]
    options: NamespaceOptions | None
    previous: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    gate_images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The worker's last word on a review: an answer, or the error; and the log's fields."""

    outcome: Judged | WebhookError | RuntimeError
    line: Line


def known(source: Source, namespace: str) -> Known:
    """Return what a source knows of a namespace."""
    policies = source.policies(namespace)
    usable = [policy for policy in policies if isinstance(policy, ModelValidation)]
    return Known(
        policies=tuple(
            msgspec.json.encode(policy) if isinstance(policy, ModelValidation) else policy
            for policy in policies
        ),
        options=source.namespace(namespace),
        previous={
            policy.reference: tuple(map(msgspec.json.encode, source.previous(policy)))
            for policy in usable
        },
        gate_images=source.gate_images,
    )


class Asking:
    """The source of the worker's reviewer: it asks the other process."""

    ready = True

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer
        self._known: Known | None = None

    @property
    def stale(self) -> bool:
        """Never: the other process reads live before it answers, where it must."""
        return False

    @property
    def gate_images(self) -> tuple[str, ...]:
        """The images that a gate may have besides ours."""
        return () if self._known is None else self._known.gate_images

    def policies(self, namespace: str) -> tuple[Policy | LeftOut, ...]:
        """Return what is known for a namespace."""
        return tuple(
            _policy(policy) if isinstance(policy, bytes) else policy
            for policy in self._about(namespace).policies
        )

    def namespace(self, name: str) -> NamespaceOptions | None:
        """Return a namespace's options, `None` where it is not known."""
        return self._about(name).options

    def previous(self, policy: ModelValidation) -> tuple[ModelValidation, ...]:
        """Return what this policy said until a moment ago, latest first."""
        previous = {} if self._known is None else self._known.previous
        return tuple(map(_policy, previous.get(policy.reference, ())))

    async def refresh(self, namespace: str) -> None:
        """Have the other process read live.

        Raises:
            NotReady: It cannot.
        """
        self._ask(Question(namespace=namespace, live=True))

    async def run(self) -> None:
        """Nothing to follow."""

    def _about(self, namespace: str) -> Known:
        return self._known or self._ask(Question(namespace=namespace, live=False))

    def _ask(self, question: Question) -> Known:
        send(self._writer, question)
        answer: Known | NotReady = receive(self._reader)
        if isinstance(answer, NotReady):
            raise answer
        self._known = answer
        return answer


def _policy(text: bytes) -> ModelValidation:
    document = msgspec.json.decode(text)
    return ModelValidation.from_object(document, source="as the API server has it")


def send(writer: BinaryIO, message: object) -> None:
    """Write a message."""
    writer.write(packed(message))
    writer.flush()


def receive(reader: BinaryIO) -> Any:
    """Return the next message.

    Raises:
        EOFError: There is none.
    """
    head = reader.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    return pickle.loads(reader.read(length))  # noqa: S301 — from the webhook's own process


def packed(message: object) -> bytes:
    """Return a message as it is written."""
    content = pickle.dumps(message)
    return LENGTH.pack(len(content)) + content


def main() -> None:
    """Judge one review after another until the other process ends."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))
    logs.configure()  # standard output is for messages
    reader, writer = sys.stdin.buffer, sys.stdout.buffer
    settings: Settings = receive(reader)
    send(writer, None)  # everything is imported
    while True:
        try:
            asked: Asked = receive(reader)
        except EOFError:
            return
        reviewer = Reviewer(
            source=Asking(reader, writer),
            gate=settings.gate,
            operator_compat=settings.operator_compat,
        )
        send(writer, _reply(asked, reviewer))


def _reply(asked: Asked, reviewer: Reviewer) -> Reply:
    line: Line = {}
    outcome: Judged | WebhookError | RuntimeError
    try:
        outcome = asyncio.run(judge(asked, reviewer=reviewer, line=line))
    except (RequestError, NotReady) as error:
        outcome = error
    except MemoryError:
        outcome = RequestError(
            f"the review takes more than {MEMORY_LIMIT // 1024**2} MiB of memory as objects: make "
            "the pod smaller",
            status=413,
        )
    except Exception:  # noqa: BLE001 — one review's failure is not the next one's
        outcome = RuntimeError(traceback.format_exc())
    return Reply(outcome=outcome, line=line)
