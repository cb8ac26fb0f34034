"""The cluster-scoped objects of the API server: followed without end, and read live."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from validator import contract
from webhook.cluster import watch
from webhook.cluster.errors import ApiError
from webhook.cluster.watch import NOT_FOUND, Absent, Begun, Found, Listed
from webhook.sources.cluster_objects import KINDS, ClusterStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.cluster.watch import Timing
    from webhook.sources.cluster_objects import ClusterKind
    from webhook.sources.holdings import Bounds

GROUP: Final = f"/apis/{contract.API_VERSION}"
"""The discovery document of our group, which every account may read."""

_log = structlog.get_logger()


class _Resource(msgspec.Struct, frozen=True):
    name: str


class _Resources(msgspec.Struct, frozen=True):
    """The resources of a group that the API server has."""

    resources: list[_Resource]


class ClusterWatch:
    """Follows the cluster-scoped objects.

    Args:
        api: The client.
        timing: See `Timing`.
        bounds: See `Bounds`.
        failed: Is told of each failure, with the collection's path.
        heard: Is told of each word from the API server, with the kind.
    """

    def __init__(
        self,
        api: watch.Api,
        *,
        timing: Timing,
        bounds: Bounds,
        failed: Callable[[str, ApiError], None],
        heard: Callable[[ClusterKind], None],
    ) -> None:
        self.store = ClusterStore(bounds=bounds)
        self._api = api
        self._timing = timing
        self._failed = failed
        self._heard = heard
        self._absent: set[ClusterKind] = set()

    async def follow(self, kind: ClusterKind) -> None:
        """Follow the objects of a kind, which an older installation does not have."""
        stream = watch.forever(
            self._api, kind.path, timing=self._timing, failed=partial(self._complain, kind)
        )
        async with aclosing(stream):
            async for change in stream:
                match change:
                    case Absent():
                        if not await self._is_surely_absent(kind):
                            continue
                        self.store.replace(self.store.listing(kind))
                    case _:
                        self.store.take(kind, change)
                if isinstance(change, Listed):
                    self._absent.discard(kind)
                if not isinstance(change, Begun | Found):  # still the old state
                    self._heard(kind)

    async def refresh(self, *, seconds: float) -> None:
        """Read the objects of all kinds live.

        Raises:
            ApiError: Those of one cannot be read.
        """
        for kind in KINDS:
            listing = self.store.listing(kind)
            try:
                async with aclosing(watch.pages(self._api, kind.path, seconds=seconds)) as pages:
                    async for page in pages:
                        for item in page.objects():
                            listing.add(item)
            except ApiError as error:
                if error.status != NOT_FOUND or not await self._is_absent(kind):
                    raise
            self.store.replace(listing, live=True)

    def _complain(self, kind: ClusterKind, error: ApiError) -> None:
        """Tell of a failure, but not again and again that a kind is not installed."""
        if error.status != NOT_FOUND or kind not in self._absent:
            self._failed(kind.path, error)

    async def _is_surely_absent(self, kind: ClusterKind) -> bool:
        """Tell whether a kind is not installed; where that cannot be found out, it may be."""
        try:
            absent = await self._is_absent(kind)
        except ApiError as error:
            self._failed(GROUP, error)
            return False
        if absent and kind not in self._absent:
            self._absent.add(kind)
            _log.warning(
                "not installed",
                kind=kind.kind,
                reason=f"the API server does not have the kind, so that no {kind.kind} holds: "
                "install its resource definition, which is among this release's manifests",
            )
        return absent

    async def _is_absent(self, kind: ClusterKind) -> bool:
        """Tell whether the API server has our group, and in it our policies, but not this kind.

        A server that is starting may answer 404 for what it has (decision 0052).

        Raises:
            ApiError: The group cannot be read.
        """
        found = await self._api.get(GROUP, _Resources, seconds=self._timing.read)
        names = {resource.name for resource in found.resources} if found else set()
        return contract.PLURAL in names and kind.plural not in names
