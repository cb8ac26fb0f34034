"""Policies and namespaces of the cluster: watched, and read live where a watch may be late."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from validator import contract
from validator.errors import PolicyError
from validator.text import quoted
from webhook.cluster.errors import ApiError
from webhook.errors import NotReady
from webhook.policies import server_version, watch
from webhook.policies.store import Store, identity, namespace_options, read
from webhook.policies.watch import GONE, Changed, Listed, Removed, Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from validator.policy.document import ModelValidation
    from webhook.metrics import Metrics
    from webhook.policies.choice import Policy
    from webhook.policies.watch import Change, Object
    from webhook.settings import NamespaceOptions

POLICIES: Final = f"/apis/{contract.API_VERSION}/{contract.PLURAL}"
NAMESPACES: Final = "/api/v1/namespaces"

GATE_IMAGES: Final = (
    "validation.rhtas.redhat.com/gate-image",
    "validation.rhtas.redhat.com/previous-gate-image",
)
"""Annotations of our own namespace: what is injected, and what still counts in an upgrade."""

LIVE_SECONDS: Final = 2
"""For a live read, of the five seconds that the API server gives a review."""

LIVE_READS: Final = 4
"""Live reads at a time: bad pods that arrive in numbers must not make us flood the API server."""

REMEDIES: Final = {
    403: "give our ServiceAccount get, list and watch",
    404: f"install the {contract.KIND} resource definition",
}
"""By HTTP status of a list or a watch, what its sentence leaves unsaid."""

_log = structlog.get_logger()


class _Metadata(msgspec.Struct, frozen=True):
    annotations: dict[str, str] = {}


class _Namespace(msgspec.Struct, frozen=True):
    """A namespace, as far as it names the gate's images."""

    metadata: _Metadata = _Metadata()

    @property
    def gate_images(self) -> tuple[str, ...]:
        annotations = self.metadata.annotations
        return tuple(annotations[key] for key in GATE_IMAGES if annotations.get(key))


class ClusterSource:
    """Policies and namespaces of the cluster, by two watches.

    Args:
        api: The client.
        metrics: Counts what is known and what is read.
        gate_namespace: Whose annotations name the gate's images; `None` where none does.
        timing: See `Timing`.
        clock: Monotonic, in seconds.
    """

    def __init__(
        self,
        api: watch.Api,
        *,
        metrics: Metrics,
        gate_namespace: str | None = None,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._gate_namespace = gate_namespace
        self._gate_images: tuple[str, ...] = ()
        self._metrics = metrics
        self._timing = timing or Timing()
        self._store = Store()
        self._clock = clock
        self._heard: dict[str, float] = {}
        self._live_reads = asyncio.Semaphore(LIVE_READS)

    @property
    def ready(self) -> bool:
        """Whether both collections were listed."""
        return set(self._heard) == {POLICIES, NAMESPACES}

    @property
    def stale(self) -> bool:
        """Whether the API server has said nothing of a collection for too long."""
        since = self._clock() - self._timing.stale
        return any(heard < since for heard in self._heard.values())

    def policies(self, namespace: str) -> tuple[Policy, ...]:
        """Return what is known for a namespace."""
        return self._store.policies(namespace)

    def namespace(self, name: str) -> NamespaceOptions | None:
        """Return a namespace's options, `None` where it is not known."""
        return self._store.namespace(name)

    def previous(self, policy: ModelValidation) -> tuple[ModelValidation, ...]:
        """Return what this policy said until a moment ago, latest first."""
        return self._store.previous(policy)

    @property
    def gate_images(self) -> tuple[str, ...]:
        """The images that the cluster's admin names, as of the last live read."""
        return self._gate_images

    async def run(self) -> None:
        """Watch both collections until cancelled.

        Raises:
            SetupError: The API server is too old for gates.
        """
        await server_version.refuse_old(self._api, timing=self._timing)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(POLICIES, self._take_policies))
            tasks.create_task(self._follow(NAMESPACES, self._take_namespaces))

    async def refresh(self, namespace: str) -> None:
        """Read one namespace, its policies and the gate's images live.

        Raises:
            NotReady: They cannot be read in time.
        """
        try:
            async with asyncio.timeout(LIVE_SECONDS), self._live_reads:
                items, _ = await watch.listed(
                    self._api,
                    f"/apis/{contract.API_VERSION}/namespaces/{namespace}/{contract.PLURAL}",
                    seconds=LIVE_SECONDS,
                )
                await self._refresh_namespace(namespace)
                await self._refresh_gate_images()
        except (ApiError, TimeoutError) as error:
            self._metrics.live_reads.labels("failed").inc()
            _log.warning("live read failed", namespace=namespace, reason=str(error))
            raise NotReady(
                f"the policies of the namespace {quoted(namespace)} cannot be read from the API "
                "server: try again in a moment"
            ) from error
        self._metrics.live_reads.labels("done").inc()
        self._store.replace(_policies(items), namespace=namespace)
        self._metrics.count_policies(*self._store.count())

    async def _refresh_namespace(self, name: str) -> None:
        item = await self._api.get(f"{NAMESPACES}/{name}", dict[str, Any], seconds=LIVE_SECONDS)
        if item is None:
            self._store.remove_namespace(name)
            return
        for options in _namespaces([item]):
            self._store.put_namespace(options)

    async def _refresh_gate_images(self) -> None:
        if self._gate_namespace is None:
            return
        path = f"{NAMESPACES}/{self._gate_namespace}"
        namespace = await self._api.get(path, _Namespace, seconds=LIVE_SECONDS)
        self._gate_images = namespace.gate_images if namespace else ()

    async def _follow(self, path: str, take: Callable[[Change], None]) -> None:
        def failed(error: ApiError) -> None:
            self._metrics.watch_restarts.labels(path.rpartition("/")[2]).inc()
            # The server forgets old versions after minutes, so this one is expected.
            level = "info" if error.status == GONE else "warning"
            remedy = REMEDIES.get(error.status or 0)
            getattr(_log, level)(
                "watching anew", reason=f"{error}: {remedy}" if remedy else str(error)
            )

        stream = watch.forever(self._api, path, timing=self._timing, failed=failed)
        async with aclosing(stream):
            async for change in stream:
                take(change)
                self._heard[path] = self._clock()
                self._metrics.heard(path.rpartition("/")[2])

    def _take_policies(self, change: Change) -> None:
        match change:
            case Listed(items):
                self._store.replace(_policies(items))
                _log.info("policies listed", policies=len(items))
            case Changed(item):
                for policy in _policies([item]):
                    self._store.put(policy)
            case Removed(item):
                for policy in _policies([item]):
                    self._store.remove(*identity(policy)[:2])
        self._metrics.count_policies(*self._store.count())

    def _take_namespaces(self, change: Change) -> None:
        match change:
            case Listed(items):
                self._store.replace_namespaces(_namespaces(items))
            case Changed(item):
                for options in _namespaces([item]):
                    self._store.put_namespace(options)
            case Removed(item):
                for options in _namespaces([item]):
                    self._store.remove_namespace(options.name)


def _policies(items: Iterable[Object]) -> Iterator[Policy]:
    """Yield the policies in a list's items, which may leave out what they all share."""
    for item in items:
        shared = {"apiVersion": contract.API_VERSION, "kind": contract.KIND}
        try:
            yield read(shared | item, source="as the API server has it")
        except PolicyError as error:
            _log.error("a policy without a name", reason=str(error))


def _namespaces(items: Iterable[Object]) -> Iterator[NamespaceOptions]:
    for item in items:
        try:
            yield namespace_options(item, source="the API server's list")
        except PolicyError as error:
            _log.error("a namespace that cannot be read", reason=str(error))
