"""Policies, namespaces and the cluster's own objects: watched, and read live where that is late."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from validator import contract
from validator.errors import PolicyError
from validator.text import quoted
from webhook.cluster import watch
from webhook.cluster.errors import ApiError
from webhook.cluster.paths import NAMESPACES, POLICIES, policies_of
from webhook.cluster.watch import (
    GONE,
    Absent,
    Begun,
    Changed,
    Found,
    Listed,
    Removed,
    Timing,
)
from webhook.errors import NotReady
from webhook.policies import cluster_rules, exemptions, trust_roots
from webhook.policies.broken import Broken
from webhook.policies.choice import LeftOut
from webhook.policies.objects import namespace_options, read
from webhook.sources import server_version
from webhook.sources.cluster_objects import EXEMPTIONS, KINDS, ROOTS, RULES
from webhook.sources.cluster_watch import ClusterWatch
from webhook.sources.holdings import Bounds, key
from webhook.sources.resolved_policies import ResolvedPolicies
from webhook.sources.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

    from validator.policy.document import ModelValidation
    from validator.policy.exemption import ModelValidationExemption
    from webhook.cluster.watch import Change, Object
    from webhook.metrics import Metrics
    from webhook.policies.choice import Policy
    from webhook.policies.cluster_rules import Rules
    from webhook.policies.trust_roots import Roots
    from webhook.settings import NamespaceOptions, Version
    from webhook.sources.cluster_objects import ClusterKind, ClusterObjects
    from webhook.sources.store import Listing

LIVE_SECONDS: Final = 2
"""For a live read, of the five seconds that the API server gives a review."""

LIVE_READS: Final = 4
"""Live reads at a time: bad pods that arrive in numbers must not make us flood the API server."""

REMEDIES: Final = {
    403: "give our ServiceAccount get, list and watch",
    404: "install its resource definition",
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
        names = contract.GATE_IMAGE_ANNOTATIONS
        return tuple(annotations[name] for name in names if annotations.get(name))


class ClusterSource:
    """Policies, namespaces and cluster-scoped objects, by a watch of each kind.

    Args:
        api: The client.
        metrics: Counts what is known and what is read.
        gate_namespace: Whose annotations name the gate's images; `None` where none does.
        timing: See `Timing`.
        bounds: See `Bounds`.
    """

    def __init__(
        self,
        api: watch.Api,
        *,
        metrics: Metrics,
        gate_namespace: str | None = None,
        timing: Timing | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._api = api
        self._gate_namespace = gate_namespace
        self._gate_images: tuple[str, ...] = ()
        self._server: Version | None = None
        self._metrics = metrics
        self._timing = timing or Timing()
        bounds = bounds or Bounds()
        self._store = Store(bounds=bounds)
        self._cluster_wide = ClusterWatch(
            api,
            timing=self._timing,
            bounds=bounds,
            failed=self._failed,
            heard=self._hear_kind,
        )
        self._known_rules: tuple[ClusterObjects | None, Rules] = (None, ())
        self._resolved = ResolvedPolicies()
        self._listing = self._store.listing()
        self._listed_namespaces: list[NamespaceOptions] = []
        self._left_out: dict[str | None, LeftOut] = {}
        self._heard: dict[str, float] = {}
        self._live_reads = asyncio.Semaphore(LIVE_READS)

    @property
    def ready(self) -> bool:
        """Whether all collections were listed."""
        return set(self._heard) == {POLICIES, NAMESPACES, *(kind.path for kind in KINDS)}

    @property
    def stale(self) -> bool:
        """Whether the API server has said nothing of a collection for too long."""
        since = time.monotonic() - self._timing.stale
        return any(heard < since for heard in self._heard.values())

    def policies(self, namespace: str) -> tuple[Policy | LeftOut, ...]:
        """Return what is known for a namespace, with the texts of the roots that are named."""
        return self._resolved.all(self._store.policies(namespace), self.cluster_wide)

    def namespace(self, name: str) -> NamespaceOptions | None:
        """Return a namespace's options, `None` where it is not known."""
        return self._store.namespace(name)

    def previous(self, policy: ModelValidation) -> tuple[ModelValidation, ...]:
        """Return what this policy said until a moment ago, latest first."""
        present, replaced = self._store.get(key(policy)), self._store.previous(policy)
        earlier = (trust_roots.among(each.of(ROOTS)) for each in self.previously_cluster_wide())
        return trust_roots.previous(present, replaced, roots=self._roots, earlier=earlier)

    def exemptions(self, namespace: str) -> tuple[ModelValidationExemption, ...]:
        """Return the exemptions of a namespace's pods, ended ones as well."""
        return exemptions.of_namespace(self.cluster_wide.of(EXEMPTIONS), namespace)

    @property
    def _roots(self) -> Roots:
        return trust_roots.among(self.cluster_wide.of(ROOTS))

    @property
    def cluster_wide(self) -> ClusterObjects:
        """The cluster-scoped objects that are known."""
        return self._cluster_wide.store.now

    def previously_cluster_wide(self) -> tuple[ClusterObjects, ...]:
        """Return the cluster-scoped objects as they were until a moment ago, latest first."""
        return self._cluster_wide.store.previous()

    def rules(self, namespace: str) -> Rules:  # noqa: ARG002 — which of them hold is decided later
        """Return the rules of the cluster."""
        state, rules = self._known_rules
        if state is not self.cluster_wide:
            # Once for each state, and not for each review.
            state = self.cluster_wide
            rules = _rules(state)
            self._known_rules = state, rules
        return rules

    def earlier_rules(self, namespace: str) -> tuple[Rules, ...]:  # noqa: ARG002 — see `rules`
        """Return the rules as they were until a moment ago, latest first."""
        return tuple(map(_rules, self.previously_cluster_wide()))

    @property
    def gate_images(self) -> tuple[str, ...]:
        """The images that the cluster's admin names, as of the last live read."""
        return self._gate_images

    @property
    def server(self) -> Version | None:
        """The API server's version, as it was last told."""
        return self._server

    async def run(self) -> None:
        """Watch all collections until cancelled.

        Raises:
            SetupError: The API server is too old for gates.
        """
        versions = server_version.versions(self._api, timing=self._timing)
        self._server = await anext(versions)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(POLICIES, self._take_policies))
            tasks.create_task(self._follow(NAMESPACES, self._take_namespaces))
            for kind in KINDS:
                tasks.create_task(self._cluster_wide.follow(kind))
            tasks.create_task(self._follow_version(versions))

    async def _follow_version(self, versions: AsyncGenerator[Version | None]) -> None:
        async with aclosing(versions):
            async for self._server in versions:
                pass

    async def refresh(self, namespace: str) -> None:
        """Read one namespace, its policies, the cluster's objects and the gate's images live.

        Raises:
            NotReady: They cannot be read in time.
        """
        try:
            async with asyncio.timeout(LIVE_SECONDS), self._live_reads:
                listing = await self._read_live(namespace)
                await self._refresh_namespace(namespace)
                await self._refresh_gate_images()
                await self._cluster_wide.refresh(seconds=LIVE_SECONDS)
        except (ApiError, TimeoutError) as error:
            self._metrics.live_reads.labels("failed").inc()
            _log.warning("live read failed", namespace=namespace, reason=str(error))
            raise NotReady(
                f"the policies of the namespace {quoted(namespace)} cannot be read from the API "
                "server: try again in a moment"
            ) from error
        self._metrics.live_reads.labels("done").inc()
        self._store.replace(listing, namespace=namespace)
        self._account()

    async def _read_live(self, namespace: str) -> Listing:
        """Return a namespace's policies, as far as they may be held."""
        path = policies_of(namespace)
        listing = self._store.listing(live=True)
        async with aclosing(watch.pages(self._api, path, seconds=LIVE_SECONDS)) as pages:
            async for page in pages:
                for policy in _policies(page.objects()):
                    listing.add(policy)
                if listing.held.left_out():
                    break  # further pages change nothing
        return listing

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
        stream = watch.forever(
            self._api, path, timing=self._timing, failed=partial(self._failed, path)
        )
        async with aclosing(stream):
            async for change in stream:
                take(change)
                if not isinstance(change, Begun | Found | Absent):  # still the old state
                    self._hear(path)

    def _failed(self, path: str, error: ApiError) -> None:
        self._metrics.watch.restarted(path.rpartition("/")[2])
        # The server forgets old versions after minutes, so this one is expected.
        level = "info" if error.status == GONE else "warning"
        remedy = REMEDIES.get(error.status or 0)
        getattr(_log, level)("watching anew", reason=f"{error}: {remedy}" if remedy else str(error))

    def _hear_kind(self, kind: ClusterKind) -> None:
        """Show that something was said of a kind, and how many objects of it are held."""
        self._hear(kind.path)
        objects = self.cluster_wide.of(kind)
        known = () if isinstance(objects, LeftOut) else objects
        broken = sum(isinstance(each, Broken) for each in known)
        self._metrics.count_cluster_objects(
            kind.plural,
            usable=len(known) - broken,
            broken=broken,
            left_out=isinstance(objects, LeftOut),
        )

    def _hear(self, path: str) -> None:
        self._heard[path] = time.monotonic()
        self._metrics.watch.heard(path.rpartition("/")[2])

    def _take_policies(self, change: Change) -> None:
        match change:
            case Begun():
                self._listing = self._store.listing()
            case Found(item):
                for policy in _policies([item]):
                    self._listing.add(policy)
            case Listed():
                self._store.replace(self._listing)
                self._listing = self._store.listing()
                self._account()
                _log.info("policies listed", policies=self._store.count().usable)
            case Changed(item):
                for policy in _policies([item]):
                    self._store.put(policy)
                self._account()
            case Removed(item):
                for policy in _policies([item]):
                    self._store.remove(key(policy))
                self._account()

    def _account(self) -> None:
        """Show how much is held, and log what has just been left out."""
        self._metrics.count_policies(**asdict(self._store.count()))
        left_out = self._store.left_out()
        for namespace in left_out.keys() - self._left_out.keys():
            reason = left_out[namespace].reason
            _log.error("policies left out", namespace=namespace, reason=reason)
        self._left_out = left_out

    def _take_namespaces(self, change: Change) -> None:
        match change:
            case Begun():
                self._listed_namespaces = []
            case Found(item):
                self._listed_namespaces += _namespaces([item])
            case Listed():
                self._store.replace_namespaces(self._listed_namespaces)
                self._listed_namespaces = []
            case Changed(item):
                for options in _namespaces([item]):
                    self._store.put_namespace(options)
            case Removed(item):
                for options in _namespaces([item]):
                    self._store.remove_namespace(options.name)


def _rules(known: ClusterObjects) -> Rules:
    """Return the rules of one moment, with the texts of the roots that they name."""
    roots = trust_roots.among(known.of(ROOTS))
    return tuple(
        rule if isinstance(rule, LeftOut) else cluster_rules.resolved(rule, roots)
        for rule in cluster_rules.among(known.of(RULES))
    )


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
