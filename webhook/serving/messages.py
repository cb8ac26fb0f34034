"""The messages between this process and the one for large reviews.

They are pickled, each after its length; both sides are this program.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from validator.policy.cluster_rules.rule import ClusterModelValidation
from validator.policy.document import ModelValidation
from webhook.policies.choice import LeftOut
from webhook.policies.cluster_rules import BrokenRule, may_hold

if TYPE_CHECKING:
    from validator.policy.exemption import ModelValidationExemption
    from webhook.errors import WebhookError
    from webhook.policies.choice import BrokenPolicy
    from webhook.policies.cluster_rules import Rules
    from webhook.serving.judged import Judged, Line
    from webhook.settings import GateSettings, NamespaceOptions, Version
    from webhook.sources.store import Source

SentRule = bytes | BrokenRule | LeftOut
"""A rule, a usable one as JSON."""

LENGTH: Final = struct.Struct(">Q")


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
        exemptions: Of the namespace's pods.
        rules: Of the cluster, as far as they hold in the namespace or may.
        earlier_rules: As they were until a moment ago.
        gate_images: See `webhook.sources.store.Source`.
        server: See there.
    """

    policies: tuple[bytes | BrokenPolicy | LeftOut, ...]
    options: NamespaceOptions | None
    previous: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    exemptions: tuple[ModelValidationExemption, ...] = ()
    rules: tuple[SentRule, ...] = ()
    earlier_rules: tuple[tuple[SentRule, ...], ...] = ()
    gate_images: tuple[str, ...] = ()
    server: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The worker's last word on a review: an answer, or the error; and the log's fields."""

    outcome: Judged | WebhookError | RuntimeError
    line: Line


def known(source: Source, namespace: str) -> Known:
    """Return what a source knows of a namespace."""
    policies = source.policies(namespace)
    options = source.namespace(namespace)
    usable = [policy for policy in policies if isinstance(policy, ModelValidation)]
    return Known(
        policies=tuple(
            msgspec.json.encode(policy) if isinstance(policy, ModelValidation) else policy
            for policy in policies
        ),
        options=options,
        previous={
            policy.reference: tuple(map(msgspec.json.encode, source.previous(policy)))
            for policy in usable
        },
        exemptions=source.exemptions(namespace),
        rules=_sent(source.rules(namespace), options),
        earlier_rules=tuple(_sent(each, options) for each in source.earlier_rules(namespace)),
        gate_images=source.gate_images,
        server=source.server,
    )


def _sent(rules: Rules, namespace: NamespaceOptions | None) -> tuple[SentRule, ...]:
    """Return the rules that may hold in a namespace, usable ones as JSON."""
    return tuple(
        msgspec.json.encode(rule) if isinstance(rule, ClusterModelValidation) else rule
        for rule in rules
        if may_hold(rule, namespace)
    )


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
