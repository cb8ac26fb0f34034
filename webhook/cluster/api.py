"""Requests to the API server: read, patch, watch; JSON in and out, within bounds.

Objects are decoded into the few fields that their reader names: the models of a whole
Kubernetes client would cost time and memory. Foreign exceptions are converted here, once.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import aiohttp
import msgspec
from aiohttp.http import HttpProcessingError
from yarl import URL

from validator.text import quoted
from webhook.cluster.access import access
from webhook.cluster.errors import ApiError, Conflict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping
    from pathlib import Path

    from webhook.cluster.access import Access

Object = dict[str, Any]

REQUEST_SECONDS: Final = 10
CONNECT_SECONDS: Final = 10

DRY_RUN_SECONDS: Final = 35
"""For a creation: admission webhooks may take 30 seconds."""

WATCH_SECONDS: Final = 300
"""After which the server ends the watch of one object, and another begins."""

SILENCE_SECONDS: Final = 15
"""After the time at which the server should have ended a watch: the connection is dead."""

OBJECT_LIMIT: Final = 6 * 1024 * 1024
"""Bytes of one object: etcd takes 1.5 MiB, and JSON may make that longer."""

LINE_BUFFER: Final = 2 * 1024 * 1024
"""Bytes that a connection buffers; aiohttp takes lines of up to twice that, and an event of a watch
is one line with one object."""

CONNECTIONS: Final = 16
"""Connections at a time: the watches, a few live reads, and writes one after the other."""

SENTENCE_LIMIT: Final = 500
"""Characters of the server's own sentence."""

STATUS_OK: Final = 200
STATUS_CREATED: Final = 201
STATUS_UNAUTHORIZED: Final = 401
STATUS_NOT_FOUND: Final = 404
STATUS_CONFLICT: Final = 409

STRATEGIC: Final = "application/strategic-merge-patch+json"
"""Merges the entries of a webhook configuration by their names; for Kubernetes' own kinds alone."""

MERGE: Final = "application/merge-patch+json"
"""RFC 7386: lists are replaced whole. Custom resources take it."""

APPLY: Final = "application/apply-patch+yaml"
"""Server-side apply: what we have written and write no more is taken out. JSON is YAML."""

JSON: Final = "application/json"
METADATA_ONLY: Final = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Ask only for metadata: we need to know that something changed, and must not receive keys."""
METADATA_LIST: Final = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""The same for a list."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A request; its body, if there is one, is of the type `content`."""

    path: str
    method: str = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = JSON
    body: Object | None = None
    content: str = JSON

    @property
    def headers(self) -> dict[str, str]:
        content = {} if self.body is None else {"Content-Type": self.content}
        return {"Accept": self.accept} | content

    @property
    def successes(self) -> frozenset[int]:
        if self.content == APPLY:
            return frozenset({STATUS_OK, STATUS_CREATED})
        return frozenset({STATUS_CREATED if self.method == "POST" else STATUS_OK})

    @property
    def data(self) -> bytes | None:
        return None if self.body is None else msgspec.json.encode(self.body)


class ClusterApi:
    """The API server, as one client of it sees it.

    Args:
        way: Address and credentials.
        name: Of this client, as audit logs and managed fields show it.
    """

    def __init__(self, way: Access, *, name: str) -> None:
        self._way = way
        self._name = name
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=way.tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": name},
            read_bufsize=LINE_BUFFER,
            trust_env=way.proxy_from_environment,
        )

    @classmethod
    async def connect(cls, kubeconfig: Path | None, *, name: str) -> Self:
        """Take the credentials of a kubeconfig, or else of the pod's ServiceAccount.

        Raises:
            AccessError: There are none that can be used.
        """
        return cls(await access(kubeconfig), name=name)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def read(
        self,
        path: str,
        kind: type[_T],
        *,
        query: Mapping[str, str] | None = None,
        seconds: float = REQUEST_SECONDS,
        limit: int = OBJECT_LIMIT,
    ) -> _T:
        """Return what is at a path, decoded as `kind`.

        Args:
            path: At the API server.
            kind: A type that msgspec decodes.
            query: Of the URL.
            seconds: For the whole answer.
            limit: Bytes of the answer.

        Raises:
            ApiError: It is not there, not in time, or not of this kind.
        """
        request = _Request(path=path, query=query or {})
        return await self._decoded(request, kind, seconds=seconds, limit=limit)

    async def read_metadata(
        self,
        path: str,
        kind: type[_T],
        *,
        query: Mapping[str, str],
        seconds: float = REQUEST_SECONDS,
        limit: int = OBJECT_LIMIT,
    ) -> _T:
        """Return the objects of a collection without what is not metadata, decoded as `kind`.

        Raises:
            ApiError: As `read`.
        """
        request = _Request(path=path, query=query, accept=METADATA_LIST)
        return await self._decoded(request, kind, seconds=seconds, limit=limit)

    async def try_creation(self, path: str, body: Object, kind: type[_T]) -> _T:
        """Return the object that the API server would make of `body` in a collection; keep nothing.

        Raises:
            ApiError: The API server, or somebody whom it asks, refuses.
        """
        request = _Request(method="POST", path=path, query={"dryRun": "All"}, body=body)
        return await self._decoded(request, kind, seconds=DRY_RUN_SECONDS, limit=OBJECT_LIMIT)

    async def _decoded(
        self, request: _Request, kind: type[_T], *, seconds: float, limit: int
    ) -> _T:
        path = request.path
        async with self._answer(request, seconds=seconds) as answer:
            body = await _body(path, answer, limit=limit)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise ApiError(
                f"{path}: the answer is not what it should be: {quoted(error)[1:-1]}"
            ) from error

    async def get(
        self, path: str, kind: type[_T], *, seconds: float = REQUEST_SECONDS
    ) -> _T | None:
        """Return the object at a path, `None` where there is none.

        Raises:
            ApiError: It cannot be read, or is no such object.
        """
        try:
            return await self.read(path, kind, seconds=seconds)
        except ApiError as error:
            if error.status != STATUS_NOT_FOUND:
                raise
            return None

    async def create(self, path: str, body: Object) -> None:
        """Create an object in the collection at a path.

        Raises:
            Conflict: There is one of that name.
            ApiError: It cannot be created.
        """
        request = _Request(method="POST", path=path, query={"fieldManager": self._name}, body=body)
        async with self._answer(request):
            pass

    async def patch(self, path: str, body: Object, *, content: str = STRATEGIC) -> None:
        """Merge `body` into the object at a path, in the way of the media type `content`.

        Raises:
            Conflict: The object is not the one that `body` names by its version, or is gone.
            ApiError: It cannot be written.
        """
        request = _Request(
            method="PATCH",
            path=path,
            query={"fieldManager": self._name},
            body=body,
            content=content,
        )
        try:
            async with self._answer(request):
                pass
        except ApiError as error:
            if error.status == STATUS_NOT_FOUND:
                raise Conflict(f"{path} is gone", status=error.status) from error
            raise

    async def apply(self, path: str, body: Object) -> None:
        """Have the object at a path as `body` says, and create it where there is none.

        What others have written into the same fields is overwritten.

        Raises:
            ApiError: It cannot be written.
        """
        request = _Request(
            method="PATCH",
            path=path,
            query={"fieldManager": self._name, "force": "true"},
            body=body,
            content=APPLY,
        )
        async with self._answer(request):
            pass

    async def lines(
        self, path: str, *, query: Mapping[str, str], seconds: float, accept: str = JSON
    ) -> AsyncGenerator[bytes]:
        """Yield the lines of a streamed answer until it ends.

        Raises:
            ApiError: It breaks off, or goes on for more than `seconds`.
        """
        request = _Request(path=path, query=query, accept=accept)
        async with self._answer(request, seconds=seconds) as answer:
            async for line in answer.content:
                yield line

    async def changes(self, path: str) -> AsyncGenerator[None]:
        """Yield whenever the object at a path may have changed, first at once, for a while.

        Raises:
            ApiError: It cannot be watched any longer.
        """
        yield
        collection, _, name = path.rpartition("/")
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async for _line in self.lines(
            collection,
            query=query,
            seconds=WATCH_SECONDS + SILENCE_SECONDS,
            accept=METADATA_ONLY,
        ):
            yield

    @asynccontextmanager
    async def _answer(
        self, request: _Request, *, seconds: float = REQUEST_SECONDS
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, and yield the answer if it is a good one."""
        path, connect = request.path, min(CONNECT_SECONDS, seconds)
        authorization = await self._way.authorize()
        try:
            async with self._session.request(
                request.method,
                URL(f"{self._way.server}{path}"),
                params=request.query,
                data=request.data,
                headers=request.headers
                | ({"Authorization": authorization} if authorization else {}),
                timeout=aiohttp.ClientTimeout(total=seconds, connect=connect),
                # A redirection could take the token to another server.
                allow_redirects=False,
                proxy=self._way.proxy,
                server_hostname=self._way.server_name,
            ) as answer:
                if answer.status not in request.successes:
                    raise await _refusal(path, answer)
                yield answer
        except aiohttp.ConnectionTimeoutError as error:
            raise ApiError(f"{path}: no connection within {connect:g} seconds") from error
        except TimeoutError as error:
            raise ApiError(f"{path}: no answer for {seconds:g} seconds") from error
        # A body that breaks its framing, or a line that is too long, is none of the usual errors.
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
            raise ApiError(f"{path}: {type(error).__name__} {quoted(error)}") from error


class _Status(msgspec.Struct, frozen=True):
    """The API server's error, as far as we repeat it."""

    message: str = "no reason given"


async def _body(path: str, answer: aiohttp.ClientResponse, *, limit: int) -> bytearray:
    """Return an answer's bytes.

    Raises:
        ApiError: There are more than `limit`.
    """
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise ApiError(f"{path}: the answer has more than {limit:,} bytes")
    return body


async def _refusal(path: str, answer: aiohttp.ClientResponse) -> ApiError:
    """Return the error that repeats the server's own sentence."""
    code = answer.status
    if code == STATUS_CONFLICT:
        return Conflict(f"{path} was changed by another client", status=code)
    if code == STATUS_UNAUTHORIZED:
        return ApiError(f"{path}: the API server does not know our credentials", status=code)
    try:
        body = await _body(path, answer, limit=OBJECT_LIMIT)
        sentence = msgspec.json.decode(body, type=_Status).message
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        sentence = _Status().message
    return ApiError(
        f"{path}: the API server answered {code}: {quoted(sentence, limit=SENTENCE_LIMIT)[1:-1]}",
        status=code,
    )
