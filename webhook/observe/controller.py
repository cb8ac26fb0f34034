"""The controller: it follows policies and labelled pods, and writes what follows from them.

All that it needs to remember is in the cluster: it may end at any moment, and the next one
lists everything again and writes only what has changed.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

import msgspec
import structlog

from validator import contract
from validator.errors import PolicyError
from webhook.cluster.api import MERGE
from webhook.cluster.errors import ApiError, Conflict
from webhook.observe.pods import Pods
from webhook.observe.policies import Policies, known
from webhook.observe.status import status
from webhook.observe.verdict import Verdict, observed
from webhook.observe.wire import Pod
from webhook.policies import watch
from webhook.policies.watch import Begun, Changed, Found, Listed, Removed, Timing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from webhook.observe.metrics import Metrics
    from webhook.observe.settings import ObserveSettings
    from webhook.observe.verdict import Observed
    from webhook.observe.wire import Key
    from webhook.policies.watch import Change, Object

POLICIES: Final = f"/apis/{contract.API_VERSION}/{contract.PLURAL}"
PODS: Final = "/api/v1/pods"

RUNNING: Final = "status.phase!=Succeeded"
"""A pod that has done its work counts no more."""

ROUND_SECONDS: Final = 0.5
"""Between two rounds of writes: a policy's status is written at most that often, however many of
its pods change."""

WRITES: Final = 4
"""Statuses that are written at a time."""

REMEDIES: Final = {
    403: "apply components/observe again, which gives our ServiceAccount its rights",
    404: f"install the {contract.KIND} resource definition",
}
"""By HTTP status, what the API server's sentence leaves unsaid."""

_log = structlog.get_logger()


class Api(watch.Api, Protocol):
    """The part of an API client that is needed; each call raises `ApiError` only."""

    async def patch(self, path: str, body: Object, *, content: str) -> None:
        """Merge `body` into the object at a path."""


class Announcer(Protocol):
    """The receiver of each pod's verdict, as it changes."""

    def announce(self, before: Observed | None, after: Observed) -> None:
        """Take it in; `before` is `None` for a pod that was not known."""


class Observer:
    """Policies, their pods, and the statuses that follow from them.

    Args:
        api: The client.
        settings: The images that a gate may have, and the labels of its pods.
        metrics: Counts writes and watches.
        announcer: Is told of each verdict.
        timing: See `Timing`.
    """

    def __init__(
        self,
        api: Api,
        settings: ObserveSettings,
        *,
        metrics: Metrics,
        announcer: Announcer,
        timing: Timing | None = None,
    ) -> None:
        self._api = api
        self._images = frozenset(settings.images)
        self._metrics = metrics
        self._announcer = announcer
        self._timing = timing or Timing()
        self._selectors = [contract.LABEL]
        if settings.operator_compat:
            # The pods of both selectors are disjoint.
            self._selectors.append(f"{contract.OPERATOR_LABEL},!{contract.LABEL}")
        self._heard: dict[str, float] = {}
        self._waiting: dict[Key, None] = {}
        self._woken = asyncio.Event()
        self._failure: str | None = None
        self.pods = Pods()
        self.policies = Policies()

    @property
    def complaint(self) -> str | None:
        """Why what we have written may be outdated; `None` where it is not."""
        if len(self._heard) < 1 + len(self._selectors):
            return "policies and pods are not listed yet"
        if min(self._heard.values()) < time.monotonic() - self._timing.stale:
            return "no word from the API server"
        return self._failure

    async def run(self) -> None:
        """Follow and write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_policies())
            for selector in self._selectors:
                tasks.create_task(self._follow_pods(selector))
            tasks.create_task(self._write())

    # Policies and pods, as the API server has them

    async def _follow(
        self, path: str, key: str, selection: Mapping[str, str] | None
    ) -> AsyncGenerator[Change]:
        """Yield the changes of a collection; a word from the server counts as news of it."""
        resource = path.rpartition("/")[2]

        def failed(error: ApiError) -> None:
            if error.status != watch.GONE:
                self._metrics.watch_restarts.labels(resource).inc()
            remedy = REMEDIES.get(error.status or 0)
            reason = f"{error}: {remedy}" if remedy else str(error)
            _log.warning("watching anew", reason=reason)

        stream = watch.forever(
            self._api, path, timing=self._timing, failed=failed, selection=selection
        )
        async with aclosing(stream):
            async for change in stream:
                yield change
                if not isinstance(change, Begun | Found):
                    self._heard[key] = time.monotonic()
                    self._metrics.heard(resource)
                    self._wake()

    async def _follow_policies(self) -> None:
        keys: set[Key] = set()
        listed: set[Key] = set()
        async for change in self._follow(POLICIES, POLICIES, None):
            match change:
                case Begun():
                    listed = set()
                case Found(item):
                    held = self._put_policy(item)
                    listed |= held
                    keys |= held  # should this list break off
                case Listed():
                    for gone in keys - listed:
                        self.policies.remove(gone)
                    keys, listed = listed, set()
                case Changed(item):
                    keys |= self._put_policy(item)
                case Removed(item):
                    key = _key(item)
                    keys.discard(key)
                    self.policies.remove(key)

    def _put_policy(self, item: Object) -> set[Key]:
        shared = {"apiVersion": contract.API_VERSION, "kind": contract.KIND}
        try:
            policy = known(shared | item)
        except PolicyError as error:
            _log.error("a policy without a name", reason=str(error))
            return set()
        self.policies.put(policy)
        if self.policies.get(policy.key) is None:
            return set()
        self._wake(policy.key)
        return {policy.key}

    async def _follow_pods(self, selector: str) -> None:
        selection = {"labelSelector": selector, "fieldSelector": RUNNING}
        keys: set[Key] = set()
        listed: set[Key] = set()
        async for change in self._follow(PODS, selector, selection):
            match change:
                case Begun():
                    listed = set()
                case Found(item):
                    held = self._put_pod(item)
                    listed |= held
                    keys |= held  # should this list break off
                case Listed():
                    self._remove_pods(keys - listed)
                    keys, listed = listed, set()
                case Changed(item):
                    key = _key(item)
                    if not self._put_pod(item):
                        self._remove_pods([key])
                        keys.discard(key)
                    else:
                        keys.add(key)
                case Removed(item):
                    key = _key(item)
                    keys.discard(key)
                    self._remove_pods([key])

    def _put_pod(self, item: Object) -> set[Key]:
        """Take a pod in; return its key, if it is held now."""
        try:
            pod = msgspec.convert(item, Pod)
        except msgspec.ValidationError as error:
            _log.error("a pod that cannot be read", reason=str(error))
            return set()
        after = observed(pod, images=self._images)
        if pod.status.phase == "Failed" and after.verdict is not Verdict.REFUSED:
            return set()  # it was evicted, or its workload has failed: that is no verdict
        key = (after.namespace, after.name)
        before = self.pods.get(key)
        for policy in self.pods.put(after):
            self._wake(policy)
        if self.pods.get(key) is None:
            return set()
        self._announcer.announce(before, after)
        return {key}

    def _remove_pods(self, keys: Iterable[Key]) -> None:
        for key in keys:
            for policy in self.pods.remove(key):
                self._wake(policy)

    # Statuses, as they follow from both

    def _wake(self, policy: Key | None = None) -> None:
        if policy is not None:
            self._waiting[policy] = None
        if self._waiting:
            self._woken.set()

    async def _write(self) -> NoReturn:
        """Write statuses, in rounds; a failure is logged once, and tried again."""
        pauses = watch.pauses(self._timing.pause, longest=self._timing.longest_pause)
        while True:
            await self._woken.wait()
            self._woken.clear()
            if len(self._heard) < 1 + len(self._selectors):
                continue  # counts of half a list would be wrong
            turn, self._waiting = list(self._waiting), {}
            failure = await self._round(turn)
            if failure is not None and failure != self._failure:
                _log.warning("a status was not written", reason=failure)
            self._failure = failure
            if failure is None:
                pauses = watch.pauses(self._timing.pause, longest=self._timing.longest_pause)
                await asyncio.sleep(ROUND_SECONDS)
            else:
                await asyncio.sleep(max(ROUND_SECONDS, next(pauses)))
                self._wake()

    async def _round(self, turn: list[Key]) -> str | None:
        """Write the statuses that have changed; return a failure's sentence."""
        failures: list[str] = []

        async def work() -> None:
            while turn:
                key = turn.pop()
                try:
                    await self._put_status(key)
                except ApiError as error:
                    self._metrics.writes.labels("failed").inc()
                    failures.append(str(error))
                    self._waiting[key] = None

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(WRITES, len(turn))):
                tasks.create_task(work())
        return failures[0] if failures else None

    async def _put_status(self, key: Key) -> None:
        """Write a policy's status, if it is another one than the API server has.

        Raises:
            ApiError: It cannot be written.
        """
        policy = self.policies.get(key)
        if policy is None:
            return
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = status(policy, self.pods.of(key), now=now)
        if made == policy.status:
            return
        namespace, name = key
        path = f"/apis/{contract.API_VERSION}/namespaces/{namespace}/{contract.PLURAL}/{name}"
        # The uid: a policy that has just been made anew by that name gets a status of its own.
        body = {"metadata": {"uid": policy.uid}, "status": msgspec.to_builtins(made)}
        try:
            await self._api.patch(f"{path}/status", body, content=MERGE)
        except Conflict:
            return  # it is gone, or another one by now: the watch says which
        self._metrics.writes.labels("done").inc()


def _key(item: Object) -> Key:
    metadata: dict[str, Any] = item.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
