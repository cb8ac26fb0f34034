"""The statuses of rules and exemptions, written as those of policies are."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

import msgspec

from validator import contract
from validator.policy.cluster_rules.rule import ClusterModelValidation
from validator.policy.document import Metadata
from validator.policy.status import ExemptionStatus, RuleStatus
from webhook.cluster import watch
from webhook.cluster.api import MERGE
from webhook.cluster.errors import Conflict
from webhook.observe.status.cluster import exemption_status, rule_status
from webhook.observe.writer import Writer
from webhook.policies.broken import Broken
from webhook.policies.choice import LeftOut
from webhook.policies.cluster_rules import BrokenRule
from webhook.sources.cluster_objects import EXEMPTIONS, RULES, ClusterObjects

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterator, Mapping

    from validator.policy.exemption import ModelValidationExemption
    from webhook.cluster.watch import Object, Timing
    from webhook.observe.metrics import Metrics
    from webhook.observe.pod.wire import Key
    from webhook.policies.cluster_rules import Rule
    from webhook.policies.trust_roots import Roots
    from webhook.settings import NamespaceOptions
    from webhook.sources.cluster_objects import ClusterKind, ClusterObject

END_SECONDS: Final = 0.5
"""At most so much later a status says that an exemption has ended."""


class Api(watch.Api, Protocol):
    """The part of an API client that is needed; each call raises `ApiError` only."""

    async def patch(self, path: str, body: Object, *, content: str) -> None:
        """Merge `body` into the object at a path."""


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """An object of the cluster with the status that the API server has.

    Attributes:
        given: The object, usable or broken.
        metadata: Its own.
        status: `None` where it has none, or not in our form.
    """

    given: Any
    metadata: Metadata
    status: RuleStatus | ExemptionStatus | None


def _stated(
    kind: ClusterKind, form: type[RuleStatus | ExemptionStatus], document: Mapping[str, Any]
) -> ClusterObject:
    given, status = kind.read(document), None
    with contextlib.suppress(msgspec.ValidationError):
        status = msgspec.convert(document["status"], form) if document.get("status") else None
    return Stated(given=given, metadata=given.metadata, status=status)


STATED_RULES: Final = replace(RULES, read=partial(_stated, RULES, RuleStatus))
STATED_EXEMPTIONS: Final = replace(EXEMPTIONS, read=partial(_stated, EXEMPTIONS, ExemptionStatus))
KINDS: Final = (STATED_RULES, STATED_EXEMPTIONS)
"""The kinds that have a status here."""


class Statuses:
    """The statuses of all rules and exemptions.

    Args:
        api: The client.
        metrics: Counts writes.
        timing: See `Timing`.
        now: Returns the time, with its zone.
    """

    def __init__(
        self, api: Api, *, metrics: Metrics, timing: Timing, now: Callable[[], dt.datetime]
    ) -> None:
        self._api = api
        self._now = now
        self._state = ClusterObjects()
        self._roots: Roots = ()
        self._namespaces: Collection[NamespaceOptions] = ()
        self._writer = Writer(
            self._put,
            what="status",
            writes=metrics.writes,
            another=self._another,
            timing=timing,
        )

    async def run(self, is_known: Callable[[], bool]) -> None:
        """Write until cancelled.

        Args:
            is_known: See `Writer.run`.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_ends())
            tasks.create_task(self._writer.run(is_known))

    def wake(self) -> None:
        """Write what waits: all may be known now."""
        self._writer.wake()

    def take(self, state: ClusterObjects) -> None:
        """Know the rules and exemptions of a state; those that have changed are looked at."""
        before, self._state = self._state, state
        for kind in KINDS:
            known = _by_name(before.of(kind))
            for name, stated in self._known(kind).items():
                if known.get(name) != stated:
                    self._writer.wake((kind.plural, name))

    def judge(self, roots: Roots, namespaces: Collection[NamespaceOptions]) -> None:
        """Look at all rules by these roots and namespaces."""
        self._roots, self._namespaces = roots, namespaces
        for name in self._known(STATED_RULES):
            self._writer.wake((RULES.plural, name))

    async def _follow_ends(self) -> NoReturn:
        """Have the status of an exemption written when it ends."""
        last = self._now()
        while True:
            await asyncio.sleep(END_SECONDS)
            last, since = self._now(), last
            for name, stated in self._known(STATED_EXEMPTIONS).items():
                given = stated.given
                if not isinstance(given, Broken) and since < given.end <= last:
                    self._writer.wake((EXEMPTIONS.plural, name))

    def _known(self, kind: ClusterKind) -> dict[str, Stated]:
        return _by_name(self._state.of(kind))

    def _another(self, than: Collection[Key]) -> Key | None:
        return next((key for key in self._keys() if key not in than), None)

    def _keys(self) -> Iterator[Key]:
        for kind in KINDS:
            for name in self._known(kind):
                yield kind.plural, name

    async def _put(self, key: Key, *, changed_only: bool = True) -> bool:
        """Write a status, if it is another one than the API server has.

        Raises:
            ApiError: It cannot be written.
        """
        plural, name = key
        kind = STATED_RULES if plural == RULES.plural else STATED_EXEMPTIONS
        stated = self._known(kind).get(name)
        if stated is None:
            return False
        made = self._status(stated)
        if changed_only and made == stated.status:
            return False
        # What it no longer says is taken out.
        gone = dict.fromkeys(field.encode_name for field in msgspec.structs.fields(made))
        status = gone | msgspec.to_builtins(made)
        body = {"metadata": {"uid": stated.metadata.uid}, "status": status}
        try:
            await self._api.patch(
                f"/apis/{contract.API_VERSION}/{plural}/{name}/status", body, content=MERGE
            )
        except Conflict:
            return False  # it is gone, or another one by now: the watch says which
        return True

    def _status(self, stated: Stated) -> RuleStatus | ExemptionStatus:
        given: Rule | ModelValidationExemption | Broken = stated.given
        before, now = stated.status, self._now()
        if isinstance(given, ClusterModelValidation | BrokenRule):
            return rule_status(
                given,
                roots=self._roots,
                namespaces=self._namespaces,
                before=before if isinstance(before, RuleStatus) else None,
                now=now,
            )
        earlier = before if isinstance(before, ExemptionStatus) else None
        return exemption_status(given, before=earlier, now=now)


def _by_name(objects: tuple[ClusterObject, ...] | LeftOut) -> dict[str, Stated]:
    known = () if isinstance(objects, LeftOut) else objects
    return {each.metadata.name: each for each in known if isinstance(each, Stated)}
