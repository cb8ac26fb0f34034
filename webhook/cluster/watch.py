"""A collection of the API server, followed without end: list, watch, list again after a failure.

Three generators, one on top of the other: the events of one connection; the changes from
one list on, over as many connections as that takes; and the loop that never ends. The
caller decides what a change means.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from validator.text import quoted
from webhook.cluster.errors import ApiError
from webhook.cluster.reader import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

Object = dict[str, Any]

PAGE: Final = 20
"""Objects of one page of a list: at most 1.5 MiB each, as etcd limits them. Listing takes at most
60 MiB of answers at a time, and one object of them decoded, however many there are."""

PAGE_LIMIT: Final = PAGE * 3 * 1024 * 1024
"""Bytes of a page; JSON may make an object longer than etcd counts it."""

HASTE_SECONDS: Final = 1
"""A watch that ends sooner without an event counts as failed: else we would ask in a tight loop."""

NOT_FOUND: Final = 404
GONE: Final = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times of following, in seconds.

    Attributes:
        read: For one page of a list.
        watch: After which the server ends a watch, and we go on from where it stopped.
        silence: How much longer we wait: a connection that is frozen ends by our clock.
        pause: After a failure; it doubles with each one.
        longest_pause: The longest of them.
        stable: What lasted longer did not fail at once: the pauses start small again.
        stale: For which what is known may be used without a word from the server. One word is
            lost, at the latest, after `watch` and `silence`, and a new list takes a moment.
    """

    read: float = 30
    watch: float = 60
    silence: float = 15
    pause: float = 0.2
    longest_pause: float = 30
    stable: float = 30
    stale: float = 120


class Api(Reader, Protocol):
    """The part of an API client that following needs; each call raises `ApiError` only."""

    def lines(
        self, path: str, *, query: Mapping[str, str], seconds: float
    ) -> AsyncGenerator[bytes]:
        """Yield the lines of a streamed answer until it ends."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A list of all that there is begins."""


@dataclass(frozen=True, slots=True)
class Found:
    """The list's next object."""

    item: Object


@dataclass(frozen=True, slots=True)
class Listed:
    """The list is complete: what was not among it is gone."""


@dataclass(frozen=True, slots=True)
class Changed:
    """An object that is new or different."""

    item: Object


@dataclass(frozen=True, slots=True)
class Removed:
    """An object that is gone, as it was."""

    item: Object


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A word from the server that nothing else has changed until now."""


@dataclass(frozen=True, slots=True)
class Absent:
    """The server says that it has no such collection; whether that is so, the caller finds out."""


Change = Begun | Found | Listed | Changed | Removed | Unchanged | Absent


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Collection(msgspec.Struct, frozen=True):
    metadata: _Metadata
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: Object

    @property
    def version(self) -> str:
        """The version that the event leads to.

        Raises:
            msgspec.ValidationError: The object has none.
        """
        metadata = msgspec.convert(self.object.get("metadata"), _Metadata)
        if not metadata.resource_version:
            raise msgspec.ValidationError("the object has no version")
        return metadata.resource_version


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Attributes:
        version: From which to watch the collection, after the last page.
    """

    path: str
    version: str
    raw: list[msgspec.Raw]

    def objects(self) -> Iterator[Object]:
        """Yield the objects, each decoded when it is asked for.

        Raises:
            ApiError: An item is not an object.
        """
        for each in self.raw:
            try:
                yield msgspec.json.decode(each, type=Object)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                raise ApiError(f"{self.path}: an item of the list is not an object") from error


async def pages(
    api: Api, path: str, *, seconds: float, selection: Mapping[str, str] | None = None
) -> AsyncGenerator[Page]:
    """Yield a collection, page by page.

    Args:
        api: The client.
        path: Of the collection.
        seconds: For each page.
        selection: The query's `labelSelector` and `fieldSelector`; `None` for all objects.

    Raises:
        ApiError: It cannot be read whole.
    """
    first = {"limit": str(PAGE), **(selection or {})}
    query = first
    while True:
        page = await api.read(path, _Collection, query=query, seconds=seconds, limit=PAGE_LIMIT)
        yield Page(path, page.metadata.resource_version, page.items or [])
        if not page.metadata.continue_:
            return
        query = first | {"continue": page.metadata.continue_}


async def forever(
    api: Api,
    path: str,
    *,
    timing: Timing,
    failed: Callable[[ApiError], None],
    selection: Mapping[str, str] | None = None,
) -> AsyncGenerator[Change]:
    """Yield a collection's changes without end; after each failure, pause and list anew.

    Args:
        api: The client.
        path: Of the collection.
        timing: See `Timing`.
        failed: Is told of each failure.
        selection: The query's `labelSelector` and `fieldSelector`; `None` for all objects.
    """
    clock = asyncio.get_running_loop().time
    growing = pauses(timing.pause, longest=timing.longest_pause)
    while True:
        start = clock()
        try:
            async with aclosing(changes(api, path, timing=timing, selection=selection)) as stream:
                async for change in stream:
                    yield change
        except ApiError as error:
            failed(error)
            if error.status == NOT_FOUND:
                yield Absent()
        if clock() - start > timing.stable:
            growing = pauses(timing.pause, longest=timing.longest_pause)
        await asyncio.sleep(next(growing))


async def changes(
    api: Api, path: str, *, timing: Timing, selection: Mapping[str, str] | None = None
) -> AsyncGenerator[Change]:
    """Yield the list, then its changes over as many connections as it takes.

    Raises:
        ApiError: Changes may have been missed; only a new list helps.
    """
    yield Begun()
    version = ""
    async with aclosing(pages(api, path, seconds=timing.read, selection=selection)) as listed:
        async for page in listed:
            for item in page.objects():
                yield Found(item)
            version = page.version
    yield Listed()
    clock = asyncio.get_running_loop().time
    while True:
        await _refuse_the_past(api, path, version, seconds=timing.read)
        start, before = clock(), version
        connection = _connection(api, path, version, timing=timing, selection=selection)
        async with aclosing(_events(connection)) as events:
            async for event, reached in events:
                version = reached  # the next connection goes on from here
                match event.type:
                    case "ADDED" | "MODIFIED":
                        yield Changed(event.object)
                    case "DELETED":
                        yield Removed(event.object)
                    case _:  # a bookmark
                        yield Unchanged()
        if version == before and clock() - start < HASTE_SECONDS:
            raise ApiError(f"the watch of {path} ended as soon as it began")
        yield Unchanged()


async def _refuse_the_past(api: Api, path: str, version: str, *, seconds: float) -> None:
    """Ask for the collection's present version.

    A cluster whose etcd was restored goes on from an older one, and a watch from ours would say
    nothing until it is reached again.

    Raises:
        ApiError: It is older than `version`, or cannot be read.
    """
    page = await api.read(
        path, _Collection, query={"limit": "1"}, seconds=seconds, limit=PAGE_LIMIT
    )
    now = page.metadata.resource_version
    if now.isdecimal() and version.isdecimal() and int(now) < int(version):
        raise ApiError(f"{path}: the API server's state is older than ours: it was restored")


def _connection(
    api: Api, path: str, version: str, *, timing: Timing, selection: Mapping[str, str] | None
) -> AsyncGenerator[bytes]:
    query = {
        **(selection or {}),
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(max(1, round(timing.watch))),
    }
    return api.lines(path, query=query, seconds=timing.watch + timing.silence)


def pauses(first: float, *, longest: float) -> Iterator[float]:
    """Yield growing pauses, in seconds, each by chance up to half shorter.

    Replicas that lost the same server must not all come back at once.
    """
    pause = first
    while True:
        yield pause * random.uniform(0.5, 1)  # noqa: S311 — no secret
        pause = min(pause * 2, longest)


async def _events(connection: AsyncGenerator[bytes]) -> AsyncGenerator[tuple[_Event, str]]:
    """Yield the events of one connection, each with the version that it leads to.

    Raises:
        ApiError: A line is not an event, or the server says that it cannot go on.
    """
    async with aclosing(connection):
        async for line in connection:
            try:
                event = msgspec.json.decode(line, type=_Event)
                if event.type == "ERROR":
                    raise _refusal(event.object)
                version = event.version
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                raise ApiError(
                    f"the watch sent what is not an event: {quoted(line[:100])}"
                ) from error
            yield event, version


def _refusal(status: Object) -> ApiError:
    code = status.get("code")
    return ApiError(
        f"the watch ended: {quoted(status.get('message', 'no reason given'))}",
        status=code if isinstance(code, int) else None,
    )
