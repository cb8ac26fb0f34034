"""Events: what has just been verified, refused or changed, on a pod's owner and on its policy.

Each event's name is made of what it says and of whom, so the API server itself keeps the same from
being said twice, also by the next process, until it forgets events (after an hour by default).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Protocol

import structlog

from validator import contract
from webhook.cluster.errors import ApiError, Conflict
from webhook.observe.pod.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.observe.metrics import Metrics
    from webhook.observe.pod.verdict import Observed

RECENT: Final = dt.timedelta(hours=1)
"""The age of a verdict beyond which no event is created: an earlier process has told it, and API
servers keep events for an hour."""

WAITING_LIMIT: Final = 1_000
"""Events that wait; further ones are dropped, and counted."""

SAID_LIMIT: Final = 10_000
"""Names of events that are remembered, so that the API server is not asked again."""

PACE_SECONDS: Final = 0.1
"""Between two events: a rollout of a thousand pods must not flood the API server."""

NOTE_LIMIT: Final = 1_000
"""Bytes of a note; the API server takes 1024."""

CONTROLLER: Final = "validation.rhtas.redhat.com/observe"

REASONS: Final = {
    Verdict.VERIFIED: ("Normal", "ModelVerified"),
    Verdict.REFUSED: ("Warning", "ModelRefused"),
    Verdict.UNREADY: ("Warning", "ModelChanged"),
}

# The pod's author writes the owner's names, so their forms are bounded.
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
_NAME: Final = re.compile(r"[a-z0-9][-a-z0-9.:]{0,252}")
_VERSION: Final = re.compile(r"[a-z0-9][-a-z0-9./]{0,252}")

_log = structlog.get_logger()


class Api(Protocol):
    """The part of an API client that is needed; the call raises `ApiError` only."""

    async def create(self, path: str, body: dict[str, Any]) -> None:
        """Create an object in a collection."""


class Regarded(NamedTuple):
    """The object that an event is about."""

    version: str
    kind: str
    name: str
    uid: str


class Events:
    """The events that wait, and those that were sent.

    Args:
        api: The client.
        metrics: Counts what becomes of them.
        instance: The name of this process.
        now: The time.
        pace: See `PACE_SECONDS`.
    """

    def __init__(
        self,
        api: Api,
        *,
        metrics: Metrics,
        instance: str,
        now: Callable[[], dt.datetime],
        pace: float = PACE_SECONDS,
    ) -> None:
        self._api = api
        self._metrics = metrics
        self._instance = instance
        self._now = now
        self._pace = pace
        self._waiting: dict[str, dict[str, Any]] = {}
        self._said: dict[str, None] = {}
        self._woken = asyncio.Event()
        self._complaint = ""

    def announce(self, before: Observed | None, after: Observed) -> None:
        """Take in that a pod's verdict is another one; `before` is `None` for an unknown pod."""
        if after.verdict not in REASONS or not (after.policy_uid or after.rule):
            return
        if before is not None and _content(before) == _content(after):
            return
        if before is None and not self._is_recent(after):
            return
        self._add(_owner(after), after)
        if after.policy_uid:
            self._add(_policy(after), after)

    async def run(self) -> NoReturn:
        """Send what waits, one after the other, until cancelled."""
        while True:
            await self._woken.wait()
            while self._waiting:
                name = next(iter(self._waiting))
                await self._send(self._waiting.pop(name))
                await asyncio.sleep(self._pace)
            self._woken.clear()

    def _is_recent(self, pod: Observed) -> bool:
        if pod.verdict is Verdict.UNREADY:  # since when is not known
            return False
        try:
            return self._now() - dt.datetime.fromisoformat(pod.at) < RECENT
        except (ValueError, TypeError):  # no time, or one without a zone
            return False

    def _add(self, regarded: Regarded, pod: Observed) -> None:
        kind, reason = REASONS[pod.verdict]
        content = "\n".join((regarded.uid, *map(str, _content(pod))))
        name = f"{reason.lower()}.{hashlib.sha256(content.encode()).hexdigest()[:32]}"
        if name in self._said or name in self._waiting:
            return
        if len(self._waiting) >= WAITING_LIMIT:
            self._metrics.events.labels("dropped").inc()
            return
        self._said[name] = None
        if len(self._said) > SAID_LIMIT:
            del self._said[next(iter(self._said))]
        self._waiting[name] = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": pod.namespace},
            "eventTime": self._now().astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": kind,
            "reason": reason,
            "action": "Verify",
            "note": _note(pod),
            "regarding": _reference(regarded, pod.namespace),
            "related": _reference(Regarded("v1", "Pod", pod.name, pod.uid), pod.namespace),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
        }
        self._woken.set()

    async def _send(self, event: dict[str, Any]) -> None:
        """Create an event; one that cannot be created is lost, as events are."""
        namespace = event["metadata"]["namespace"]
        try:
            await self._api.create(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", event)
        except Conflict:
            self._metrics.events.labels("known").inc()
        except ApiError as error:
            self._metrics.events.labels("failed").inc()
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.warning("an event was not created", reason=self._complaint)
        else:
            self._metrics.events.labels("created").inc()
            self._complaint = ""


def _content(pod: Observed) -> tuple[object, ...]:
    """Return what an event on a pod says, without the pod's name."""
    models = [(model.path, model.digest, model.signer) for model in pod.models]
    return pod.policy_uid, pod.rule, pod.verdict, pod.code, pod.sentence, models


def _note(pod: Observed) -> str:
    """Return the sentence for a person."""
    parts = [pod.sentence] if pod.sentence else []
    if pod.verdict is Verdict.VERIFIED:
        parts = [f"{model.path}: {model.digest}, signed by {model.signer}" for model in pod.models]
    code = f" ({pod.code})" if pod.code else ""
    why = f"exempt by {pod.exemption}" if pod.exemption else "Audit"
    audit = f" ({why}: the pod runs all the same)" if pod.audit and pod.sentence else ""
    text = f"pod {pod.name}: {'; '.join(parts) or str(pod.verdict)}{code}{audit}"
    return text.encode()[:NOTE_LIMIT].decode(errors="ignore")


def _owner(pod: Observed) -> Regarded:
    """Return the controller of a pod; the pod itself where it has none that can be named."""
    owner = pod.owner
    if (
        owner is not None
        and _VERSION.fullmatch(owner.api_version)
        and _WORD.fullmatch(owner.kind)
        and _NAME.fullmatch(owner.name)
        and _NAME.fullmatch(owner.uid)
    ):
        return Regarded(owner.api_version, owner.kind, owner.name, owner.uid)
    return Regarded("v1", "Pod", pod.name, pod.uid)


def _policy(pod: Observed) -> Regarded:
    return Regarded(contract.API_VERSION, contract.KIND, pod.policy, pod.policy_uid)


def _reference(regarded: Regarded, namespace: str) -> dict[str, str]:
    return {
        "apiVersion": regarded.version,
        "kind": regarded.kind,
        "name": regarded.name,
        "uid": regarded.uid,
        "namespace": namespace,
    }
