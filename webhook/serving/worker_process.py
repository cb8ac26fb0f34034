"""The process that reads and judges large reviews, started by `webhook.serving.worker`.

It has no policies of its own, but asks for those of the review's namespace: on standard input
come the reviews and what it has asked for, on standard output go its questions and answers.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import traceback
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

import msgspec

from validator import contract
from validator.policy.cluster_rules.rule import ClusterModelValidation
from validator.policy.document import ModelValidation, converted
from validator.policy.schema.fields import Document
from webhook.admission.reviewer import Reviewer
from webhook.cluster import logs
from webhook.errors import NotReady, RequestError, WebhookError
from webhook.serving.judged import judge
from webhook.serving.messages import Known, Question, Reply, Settings, receive, send

if TYPE_CHECKING:
    from validator.policy.exemption import ModelValidationExemption
    from webhook.policies.choice import LeftOut, Policy
    from webhook.policies.cluster_rules import Rule, Rules
    from webhook.serving.judged import Asked, Judged, Line
    from webhook.serving.messages import SentRule
    from webhook.settings import NamespaceOptions, Version

_T = TypeVar("_T", bound=Document)

MEMORY_LIMIT: Final = 384 * 1024 * 1024
"""Bytes of data that the process may have. The largest pod that the rules admit takes 130 MiB; a
review within its limit of bytes, made of empty lists, would take 860."""

NICENESS: Final = 5
"""Small reviews, in the other process, come first where there is one core."""


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

    @property
    def server(self) -> Version | None:
        """The API server's version."""
        return None if self._known is None else self._known.server

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

    def exemptions(self, namespace: str) -> tuple[ModelValidationExemption, ...]:
        """Return the exemptions of a namespace's pods."""
        return self._about(namespace).exemptions

    def rules(self, namespace: str) -> Rules:
        """Return the rules that may hold in a namespace."""
        return tuple(map(_rule, self._about(namespace).rules))

    def earlier_rules(self, namespace: str) -> tuple[Rules, ...]:
        """Return those rules as they were until a moment ago, latest first."""
        return tuple(tuple(map(_rule, state)) for state in self._about(namespace).earlier_rules)

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
    """Return a policy of the other process, with what it says of the roots that it names."""
    return _read(text, ModelValidation, kind=contract.KIND)


def _rule(sent: SentRule) -> Rule | LeftOut:
    """Return a rule of the other process, likewise."""
    if not isinstance(sent, bytes):
        return sent
    return _read(sent, ClusterModelValidation, kind=contract.CLUSTER_KIND)


def _read(text: bytes, form: type[_T], *, kind: str) -> _T:
    return converted(msgspec.json.decode(text), form, kind=kind, source="as the API server has it")


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
