"""The API server, by object and name; the only module that imports its client.

Objects stay JSON, read into the few fields that matter. Foreign exceptions are
converted here, once.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import msgspec
from aiohttp.http import HttpProcessingError
from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.config import load_incluster_config, load_kube_config

from certs.errors import ApiError, Conflict, SetupError
from certs.objects import LEASE, Kind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from certs.objects import Object

REQUEST_SECONDS: Final = 10
WATCH_SECONDS: Final = 300
"""After which the server ends a watch, and another begins."""

SILENCE_SECONDS: Final = 15
"""How much longer we wait: a connection that is frozen ends by our clock."""

ANSWER_LIMIT: Final = 6 * 1024 * 1024
"""Bytes of one answer: an object of 1.5 MiB, as etcd limits them, which JSON may make longer."""

SENTENCE_LIMIT: Final = 500
"""Characters of the server's own sentence."""

STATUS_OK: Final = 200
STATUS_UNAUTHORIZED: Final = 401
STATUS_NOT_FOUND: Final = 404
STATUS_CONFLICT: Final = 409

MERGE: Final = "application/strategic-merge-patch+json"
"""Merges the entries of a configuration by their names."""

METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""A watch that is a bell needs no private keys."""


class ClusterApi:
    """The objects of `certs.objects`, through the client's connections and credentials."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @classmethod
    async def connect(cls, kubeconfig: Path | None) -> Self:
        """Take the credentials of a kubeconfig, or else of the pod's ServiceAccount.

        Raises:
            SetupError: There are none that can be used.
        """
        configuration = Configuration()
        try:
            if kubeconfig is None:
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                await load_kube_config(
                    config_file=str(kubeconfig),
                    client_configuration=configuration,
                    persist_config=False,
                )
            return cls(ApiClient(configuration))
        except Exception as error:  # the loader stumbles over a bad file in many ways
            where = f"the kubeconfig {kubeconfig}" if kubeconfig else "the pod's ServiceAccount"
            raise SetupError(
                f"there is no way to the API server by {where}: {_printable(str(error))}"
            ) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def get(self, path: str, kind: type[Kind]) -> Kind | None:
        """Return the object at a path, `None` where there is none.

        Raises:
            ApiError: It cannot be read, or is no such object.
        """
        async with self._answer("GET", path, seconds=REQUEST_SECONDS) as answer:
            if answer.status == STATUS_NOT_FOUND:
                return None
            body = await _body(path, answer)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise ApiError(f"{path}: the answer is not what it should be: {error}") from error

    async def patch(self, path: str, body: Object) -> None:
        """Merge `body` into the object at a path.

        Raises:
            Conflict: The object is not the one that `body` names by its version.
            ApiError: It cannot be written.
        """
        where = f"{path}?fieldManager={LEASE}"
        async with self._answer("PATCH", where, body=body, seconds=REQUEST_SECONDS) as answer:
            if answer.status == STATUS_NOT_FOUND:
                raise Conflict(f"{path} is gone")

    async def changes(self, path: str) -> AsyncGenerator[None]:
        """Yield whenever the object at a path may have changed, first at once, for a while.

        Raises:
            ApiError: It cannot be watched any longer.
        """
        yield
        collection, _, name = path.rpartition("/")
        query = f"watch=true&fieldSelector=metadata.name%3D{name}&timeoutSeconds={WATCH_SECONDS}"
        seconds = WATCH_SECONDS + SILENCE_SECONDS
        async with self._answer(
            "GET", f"{collection}?{query}", accept=METADATA_ONLY, seconds=seconds
        ) as answer:
            async for _chunk in answer.content.iter_any():
                yield

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        body: Object | None = None,
        accept: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask; the answer is a good one, or says that there is no such object."""
        timeout = aiohttp.ClientTimeout(total=seconds, connect=REQUEST_SECONDS)
        where = path.partition("?")[0]
        answer: aiohttp.ClientResponse | None = None
        try:
            answer = await self._client.call_api(
                path,
                method,
                header_params={"Accept": accept, "Content-Type": MERGE},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=timeout,
            )
            if answer.status not in {STATUS_OK, STATUS_NOT_FOUND}:
                raise await _refusal(where, answer)
            yield answer
        except TimeoutError as error:
            raise ApiError(f"{where}: no answer for {seconds:g} seconds") from error
        # A body that breaks its framing is none of the client's usual errors.
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
            text = _printable(str(error))
            raise ApiError(f"{where}: {type(error).__name__} {text}") from error
        finally:
            if answer is not None:
                answer.close()


async def _body(path: str, answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > ANSWER_LIMIT:
            raise ApiError(f"{path}: an answer of more than {ANSWER_LIMIT:,} bytes")
    return bytes(body)


async def _refusal(path: str, answer: aiohttp.ClientResponse) -> ApiError:
    """Return the error that says what the server said."""
    if answer.status == STATUS_CONFLICT:
        return Conflict(f"{path} was changed by somebody else")
    if answer.status == STATUS_UNAUTHORIZED:
        return ApiError(f"{path}: the API server does not know our credentials")
    try:
        status: dict[str, Any] = msgspec.json.decode(await _body(path, answer), type=dict[str, Any])
        sentence = str(status.get("message", "no reason given"))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        sentence = "no reason given"
    return ApiError(f"{path}: the API server answered {answer.status}: {_printable(sentence)}")


def _printable(text: str) -> str:
    """Return one bounded line, whatever the text from outside is."""
    line = " ".join(text.split())[:SENTENCE_LIMIT]
    return "".join(each if each.isprintable() else "?" for each in line)
