"""The controller: it follows policies and labelled pods, and writes what follows from them.

All that it needs to remember is in the cluster: it may end at any moment, and the next one
lists everything again and writes only what has changed.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import structlog

from validator import contract
from validator.errors import PolicyError
from webhook.cluster.api import MERGE
from webhook.cluster.errors import Conflict
from webhook.cluster.paths import PODS, POLICIES, policies_of
from webhook.cluster.watch import Timing
from webhook.observe import cluster_statuses, openreports
from webhook.observe.cluster_statuses import Statuses
from webhook.observe.cluster_wide import COLLECTIONS, ClusterWide
from webhook.observe.collection import Follower, complain, keep, key_of
from webhook.observe.openreports import Reports
from webhook.observe.pod.verdict import Verdict, observed
from webhook.observe.pod.wire import Pod
from webhook.observe.pods import Pods
from webhook.observe.policies import Policies, known
from webhook.observe.status.policy import status
from webhook.observe.writer import Writer
from webhook.sources.server_version import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from webhook.cluster.errors import ApiError
    from webhook.cluster.watch import Object
    from webhook.observe.metrics import Metrics
    from webhook.observe.pod.verdict import Observed
    from webhook.observe.pod.wire import Key
    from webhook.observe.settings import ObserveSettings
    from webhook.settings import Version

RUNNING: Final = "status.phase!=Succeeded"
"""A pod that has done its work counts no more."""

_log = structlog.get_logger()


class Api(cluster_statuses.Api, openreports.Api, Protocol):
    """The part of an API client that is needed; each call raises `ApiError` only."""


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

    Attributes:
        now: Returns the time, with its zone.
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
        self.now: Callable[[], dt.datetime] = partial(dt.datetime.now, dt.UTC)
        self._selectors = [contract.LABEL]
        if settings.operator_compat:
            # The pods of both selectors are disjoint.
            self._selectors.append(f"{contract.OPERATOR_LABEL},!{contract.LABEL}")
        self._heard: dict[str, float] = {}
        self._server: Version | None = None
        self._version_asked = False
        self.pods = Pods()
        self.policies = Policies()
        self._follower = Follower(
            api=api, timing=self._timing, failed=self._failed, heard=self._hear
        )
        self.cluster = ClusterWide(
            self._follower,
            policies=self.policies,
            statuses=Statuses(api, metrics=metrics, timing=self._timing, now=self._time),
            judged=self._wake,
        )
        self._statuses = Writer(
            self._put_status,
            what="status",
            writes=metrics.writes,
            another=self.policies.another,
            timing=self._timing,
        )
        self._writers = [self._statuses]
        if settings.reports:
            reports = Reports(api, policies=self.policies, pods=self.pods)
            self._writers.append(
                Writer(
                    reports.put,
                    what="report",
                    writes=metrics.reports,
                    another=self.policies.another,
                    timing=self._timing,
                )
            )

    @property
    def complaint(self) -> str | None:
        """Why what we have written may be outdated; `None` where it is not."""
        if not self._is_known():
            return "policies, pods, namespaces and objects of the cluster are not listed yet"
        if min(self._heard.values()) < time.monotonic() - self._timing.stale:
            return "no word from the API server"
        return self._statuses.complaint

    def _time(self) -> dt.datetime:
        return self.now()

    def _is_known(self) -> bool:
        """Whether all is known that statuses depend on."""
        collections = 1 + len(self._selectors) + len(COLLECTIONS)
        return self._version_asked and len(self._heard) == collections

    async def run(self) -> None:
        """Follow and write until cancelled.

        Raises:
            SetupError: The API server is too old for gates.
        """
        policies = self._follower.changes(POLICIES)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_version())
            tasks.create_task(self.cluster.run(self._is_known))
            tasks.create_task(keep(policies, put=self._put_policy, remove=self._remove_policies))
            for selector in self._selectors:
                selection = {"labelSelector": selector, "fieldSelector": RUNNING}
                pods = self._follower.changes(PODS, key=selector, selection=selection)
                tasks.create_task(keep(pods, put=self._put_pod, remove=self._remove_pods))
            for writer in self._writers:
                tasks.create_task(writer.run(self._is_known))

    async def _follow_version(self) -> None:
        """Know the API server's version: what a policy asks for may need a newer one."""
        async with aclosing(versions(self._api, timing=self._timing)) as told:
            async for version in told:
                if version != self._server or not self._version_asked:
                    self._server, self._version_asked = version, True
                    for policy in self.policies:
                        self._wake(policy.key)

    # Policies and pods, as the API server has them

    def _hear(self, path: str, key: str) -> None:
        self._heard[key] = time.monotonic()
        self._metrics.watch.heard(path.rpartition("/")[2])
        self._wake()

    def _failed(self, path: str, error: ApiError) -> None:
        complain(path, error, metrics=self._metrics.watch)

    def _put_policy(self, item: Object) -> bool:
        """Take a policy in; return whether it is held now."""
        shared = {"apiVersion": contract.API_VERSION, "kind": contract.KIND}
        try:
            policy = self.cluster.in_force(known(shared | item))
        except PolicyError as error:
            _log.error("a policy without a name", reason=str(error))
            return False
        self.policies.put(policy)
        if self.policies.get(policy.key) is None:
            return False
        self._wake(policy.key)
        return True

    def _remove_policies(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.policies.remove(key)
            self._wake(key)

    def _put_pod(self, item: Object) -> bool:
        """Take a pod in; return whether it is held now."""
        try:
            pod = msgspec.convert(item, Pod)
        except msgspec.ValidationError as error:
            _log.error("a pod that cannot be read", reason=str(error))
            self._remove_pods([key_of(item)])
            return False
        after = observed(pod, images=self._images)
        key = (after.namespace, after.name)
        if pod.status.phase == "Failed" and after.verdict is not Verdict.REFUSED:
            self._remove_pods([key])  # evicted, or its workload has failed: that is no verdict
            return False
        before = self.pods.get(key)
        for policy in self.pods.put(after):
            self._wake(policy)
        if self.pods.get(key) is None:
            return False
        self._announcer.announce(before, after)
        return True

    def _remove_pods(self, keys: Iterable[Key]) -> None:
        for key in keys:
            for policy in self.pods.remove(key):
                self._wake(policy)

    # What follows from both

    def _wake(self, policy: Key | None = None) -> None:
        for writer in self._writers:
            writer.wake(policy)
        if policy is None:
            self.cluster.wake()

    async def _put_status(self, key: Key, *, changed_only: bool = True) -> bool:
        """Write a policy's status, if it is another one than the API server has.

        Returns:
            Whether the API server has taken it.

        Raises:
            ApiError: It cannot be written.
        """
        policy = self.policies.get(key)
        if policy is None or not self.cluster.is_settled(key):
            return False
        now = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        made = status(policy, self.pods.of(key), server=self._server, now=now)
        if changed_only and made == policy.status:
            return False
        namespace, name = key
        # The uid: a policy that has just been made anew by that name gets a status of its own.
        body = {"metadata": {"uid": policy.uid}, "status": msgspec.to_builtins(made)}
        try:
            await self._api.patch(f"{policies_of(namespace)}/{name}/status", body, content=MERGE)
        except Conflict:
            return False  # it is gone, or another one by now: the watch says which
        return True
