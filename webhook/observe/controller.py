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
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import structlog

from validator import contract
from validator.errors import PolicyError
from webhook.cluster import watch
from webhook.cluster.api import MERGE
from webhook.cluster.errors import ApiError, Conflict
from webhook.cluster.watch import Absent, Begun, Changed, Found, Listed, Removed, Timing
from webhook.observe import openreports
from webhook.observe.openreports import Reports
from webhook.observe.pod.verdict import Verdict, observed
from webhook.observe.pod.wire import Pod
from webhook.observe.pods import Pods
from webhook.observe.policies import Policies, known, with_roots
from webhook.observe.status import status
from webhook.observe.writer import Writer
from webhook.policies import trust_roots
from webhook.sources.cluster_objects import ROOTS
from webhook.sources.cluster_watch import ClusterWatch
from webhook.sources.holdings import Bounds
from webhook.sources.server_version import versions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping

    from webhook.cluster.watch import Change, Object
    from webhook.observe.metrics import Metrics
    from webhook.observe.pod.verdict import Observed
    from webhook.observe.pod.wire import Key
    from webhook.observe.settings import ObserveSettings
    from webhook.settings import Version
    from webhook.sources.cluster_objects import ClusterKind, ClusterObjects

POLICIES: Final = f"/apis/{contract.API_VERSION}/{contract.PLURAL}"
PODS: Final = "/api/v1/pods"

RUNNING: Final = "status.phase!=Succeeded"
"""A pod that has done its work counts no more."""

REMEDIES: Final = {
    403: "apply components/observe again, which gives our ServiceAccount its rights",
    404: "install its resource definition",
}
"""By HTTP status, what the API server's sentence leaves unsaid."""

_log = structlog.get_logger()


class Api(watch.Api, openreports.Api, Protocol):
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
        self._server: Version | None = None
        self._version_asked = False
        self.pods = Pods()
        self.policies = Policies()
        self._roots = ClusterWatch(
            api,
            timing=self._timing,
            bounds=Bounds(),
            failed=self._failed,
            heard=self._hear_roots,
        )
        self._judged_by: ClusterObjects | None = None
        self._find_root = trust_roots.finder(())
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
            return "policies, pods and roots of trust are not listed yet"
        if min(self._heard.values()) < time.monotonic() - self._timing.stale:
            return "no word from the API server"
        return self._statuses.complaint

    def _is_known(self) -> bool:
        """Whether all is known that statuses depend on."""
        return self._version_asked and len(self._heard) == 2 + len(self._selectors)

    async def run(self) -> None:
        """Follow and write until cancelled.

        Raises:
            SetupError: The API server is too old for gates.
        """
        policies = self._follow(POLICIES, POLICIES, None)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_version())
            tasks.create_task(self._roots.follow(ROOTS))
            tasks.create_task(
                self._keep(policies, put=self._put_policy, remove=self._remove_policies)
            )
            for selector in self._selectors:
                selection = {"labelSelector": selector, "fieldSelector": RUNNING}
                pods = self._follow(PODS, selector, selection)
                tasks.create_task(self._keep(pods, put=self._put_pod, remove=self._remove_pods))
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

    async def _follow(
        self, path: str, key: str, selection: Mapping[str, str] | None
    ) -> AsyncGenerator[Change]:
        """Yield the changes of a collection; a word from the server counts as news of it."""
        stream = watch.forever(
            self._api,
            path,
            timing=self._timing,
            failed=partial(self._failed, path),
            selection=selection,
        )
        async with aclosing(stream):
            async for change in stream:
                yield change
                if not isinstance(change, Begun | Found | Absent):
                    self._hear(path, key)

    def _hear(self, path: str, key: str) -> None:
        self._heard[key] = time.monotonic()
        self._metrics.watch.heard(path.rpartition("/")[2])
        self._wake()

    def _failed(self, path: str, error: ApiError) -> None:
        if error.status != watch.GONE:
            self._metrics.watch.restarted(path.rpartition("/")[2])
        remedy = REMEDIES.get(error.status or 0)
        _log.warning("watching anew", reason=f"{error}: {remedy}" if remedy else str(error))

    def _hear_roots(self, kind: ClusterKind) -> None:
        """Judge the policies that name roots anew, where the roots have changed."""
        state = self._roots.store.now
        if state is not self._judged_by:
            self._judged_by = state
            self._find_root = trust_roots.finder(trust_roots.among(state.of(kind)))
            for policy in list(self.policies):
                judged = with_roots(policy, self._find_root)
                if judged is not policy:
                    self.policies.put(judged)
                    self._wake(judged.key)
        self._hear(kind.path, kind.path)

    async def _keep(
        self,
        changes: AsyncGenerator[Change],
        *,
        put: Callable[[Object], bool],
        remove: Callable[[Iterable[Key]], None],
    ) -> None:
        """Hold a collection as its changes say.

        Args:
            changes: Of the collection.
            put: Takes an object in; returns whether it is held now.
            remove: Forgets objects.
        """
        keys: set[Key] = set()
        listed: set[Key] = set()
        async for change in changes:
            match change:
                case Begun():
                    listed = set()
                case Found(item):
                    if put(item):
                        listed.add(_key(item))
                        keys.add(_key(item))  # should this list break off
                case Listed():
                    remove(keys - listed)
                    keys, listed = listed, set()
                case Changed(item):
                    if put(item):
                        keys.add(_key(item))
                    else:
                        keys.discard(_key(item))
                case Removed(item):
                    keys.discard(_key(item))
                    remove([_key(item)])

    def _put_policy(self, item: Object) -> bool:
        """Take a policy in; return whether it is held now."""
        shared = {"apiVersion": contract.API_VERSION, "kind": contract.KIND}
        try:
            policy = with_roots(known(shared | item), self._find_root)
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
            self._remove_pods([_key(item)])
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

    async def _put_status(self, key: Key, *, changed_only: bool = True) -> bool:
        """Write a policy's status, if it is another one than the API server has.

        Returns:
            Whether the API server has taken it.

        Raises:
            ApiError: It cannot be written.
        """
        policy = self.policies.get(key)
        if policy is None:
            return False
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = status(policy, self.pods.of(key), server=self._server, now=now)
        if changed_only and made == policy.status:
            return False
        namespace, name = key
        path = f"/apis/{contract.API_VERSION}/namespaces/{namespace}/{contract.PLURAL}/{name}"
        # The uid: a policy that has just been made anew by that name gets a status of its own.
        body = {"metadata": {"uid": policy.uid}, "status": msgspec.to_builtins(made)}
        try:
            await self._api.patch(f"{path}/status", body, content=MERGE)
        except Conflict:
            return False  # it is gone, or another one by now: the watch says which
        return True


def _key(item: Object) -> Key:
    metadata: dict[str, Any] = item.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
