"""A collection of the API server, held as its changes say."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from webhook.cluster import watch
from webhook.cluster.watch import Absent, Begun, Changed, Found, Listed, Removed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping

    from webhook.cluster.errors import ApiError
    from webhook.cluster.watch import Change, Object, Timing
    from webhook.cluster.watch_metrics import WatchMetrics
    from webhook.observe.pod.wire import Key

REMEDIES: Final = {
    403: "apply components/observe again, which gives our ServiceAccount its rights",
    404: "install its resource definition",
}
"""By HTTP status, what the API server's sentence leaves unsaid."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """The way in which all collections are followed.

    Attributes:
        api: The client.
        timing: See `Timing`.
        failed: Is told of each failure, with the collection's path.
        heard: Is told of each word from the server that counts as news, with the collection's path
            and its key.
    """

    api: watch.Api
    timing: Timing
    failed: Callable[[str, ApiError], None]
    heard: Callable[[str, str], None]

    async def changes(
        self, path: str, *, key: str = "", selection: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Change]:
        """Yield the changes of a collection without end.

        Args:
            path: Of the collection.
            key: What is heard of; the path, if absent.
            selection: See `watch.forever`.
        """
        failed = partial(self.failed, path)
        stream = watch.forever(
            self.api, path, timing=self.timing, failed=failed, selection=selection
        )
        async with aclosing(stream):
            async for change in stream:
                yield change
                if not isinstance(change, Begun | Found | Absent):
                    self.heard(path, key or path)


async def keep(
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
                    listed.add(key_of(item))
                    keys.add(key_of(item))  # should this list break off
            case Listed():
                remove(keys - listed)
                keys, listed = listed, set()
            case Changed(item):
                if put(item):
                    keys.add(key_of(item))
                else:
                    keys.discard(key_of(item))
            case Removed(item):
                keys.discard(key_of(item))
                remove([key_of(item)])


def key_of(item: Object) -> Key:
    """Return an object's namespace, "" for none, and name."""
    metadata: dict[str, Any] = item.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def complain(path: str, error: ApiError, *, metrics: WatchMetrics) -> None:
    """Log and count that a collection was not followed for a moment."""
    if error.status != watch.GONE:
        metrics.restarted(path.rpartition("/")[2])
    remedy = REMEDIES.get(error.status or 0)
    _log.warning("watching anew", reason=f"{error}: {remedy}" if remedy else str(error))
