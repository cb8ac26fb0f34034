"""The API server, as a source of policies; the only module that imports its client.

Objects stay decoded JSON: the client's models would cost time and memory, and
would have to know our resource. Foreign exceptions are converted here, once.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import msgspec
import structlog
from aiohttp.http import HttpProcessingError
from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.config import load_incluster_config, load_kube_config

from validator import contract
from validator.errors import PolicyError
from validator.text import quoted
from webhook.errors import NotReady, SetupError
from webhook.policies import watch
from webhook.policies.store import Store, identity, namespace_options, read
from webhook.policies.watch import GONE, ApiError, Changed, Listed, Removed, Timing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
    from pathlib import Path

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

CONNECT_SECONDS: Final = 10
LIVE_SECONDS: Final = 2
"""For a live read, of the five seconds that the API server gives a review."""

LIVE_READS: Final = 4
"""Live reads at a time; whoever creates bad pods must not make us flood the API server."""

ANSWER_LIMIT: Final = watch.PAGE * 3 * 1024 * 1024
"""Bytes of one answer: a page of objects of 1.5 MiB, which JSON may make longer."""

STATUS_OK: Final = 200
STATUS_NOT_FOUND: Final = 404
STATUS_SENTENCES: Final = {
    401: "the API server does not know our credentials",
    403: "the API server forbids it: our ServiceAccount needs get, list and watch",
    404: f"there is no such resource: install the {contract.KIND} resource definition",
}

_log = structlog.get_logger()


class ClusterApi:
    """Raw JSON from the API server, through its client's connections and credentials."""

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
                f"there is no way to the API server by {where}: {quoted(error)[1:-1]} (without a "
                "cluster, use --policies)"
            ) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def read(self, path: str, *, query: Mapping[str, str], seconds: float) -> Object:
        """Return the JSON object at a path.

        Raises:
            ApiError: It is not there, or not JSON, or not in time.
        """
        body = bytearray()
        async with self._answer(path, query=query, seconds=seconds) as answer:
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > ANSWER_LIMIT:
                    raise ApiError(f"{path}: an answer of more than {ANSWER_LIMIT:,} bytes")
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise ApiError(f"{path}: the answer is not a JSON object") from error

    async def lines(
        self, path: str, *, query: Mapping[str, str], seconds: float
    ) -> AsyncGenerator[bytes]:
        """Yield the lines of a streamed answer until it ends.

        Raises:
            ApiError: It breaks off, or goes on for more than `seconds`.
        """
        async with self._answer(path, query=query, seconds=seconds) as answer:
            async for line in answer.content:
                yield line

    @asynccontextmanager
    async def _answer(
        self, path: str, *, query: Mapping[str, str], seconds: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=seconds, connect=min(CONNECT_SECONDS, seconds))
        answer: aiohttp.ClientResponse | None = None
        try:
            answer = await self._client.call_api(
                path,
                "GET",
                query_params=list(query.items()),
                header_params={"Accept": "application/json"},
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=timeout,
            )
            if answer.status != STATUS_OK:
                raise ApiError(f"{path}: {_sentence(answer.status)}", status=answer.status)
            yield answer
        except TimeoutError as error:
            raise ApiError(f"{path}: no answer for {seconds:g} seconds") from error
        # A line longer than the client's buffer is none of its usual errors.
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
            raise ApiError(f"{path}: {type(error).__name__} {quoted(error)}") from error
        finally:
            if answer is not None:
                answer.close()


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
        timing: How patient we are.
    """

    def __init__(
        self,
        api: watch.Api,
        *,
        metrics: Metrics,
        gate_namespace: str | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._api = api
        self._gate_namespace = gate_namespace
        self._gate_images: tuple[str, ...] = ()
        self._metrics = metrics
        self._timing = timing or Timing()
        self._store = Store()
        self._synced: set[str] = set()
        self._live_reads = asyncio.Semaphore(LIVE_READS)

    @property
    def ready(self) -> bool:
        """Whether both collections were listed."""
        return self._synced == {POLICIES, NAMESPACES}

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
        """Watch both collections, for ever."""
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
        item = await self._found(f"{NAMESPACES}/{name}")
        if item is None:
            self._store.remove_namespace(name)
            return
        for options in _namespaces([item]):
            self._store.put_namespace(options)

    async def _refresh_gate_images(self) -> None:
        if self._gate_namespace is None:
            return
        path = f"{NAMESPACES}/{self._gate_namespace}"
        try:
            namespace = msgspec.convert(await self._found(path) or {}, _Namespace)
        except msgspec.ValidationError as error:
            raise ApiError(f"{path} is not a namespace: {error}") from error
        self._gate_images = namespace.gate_images

    async def _found(self, path: str) -> Object | None:
        """Return the object at a path, `None` where there is none."""
        try:
            return await self._api.read(path, query={}, seconds=LIVE_SECONDS)
        except ApiError as error:
            if error.status != STATUS_NOT_FOUND:
                raise
            return None

    async def _follow(self, path: str, take: Callable[[Change], None]) -> None:
        def failed(error: ApiError) -> None:
            self._metrics.watch_restarts.labels(path.rpartition("/")[2]).inc()
            # That a version is too old is the server's housekeeping.
            level = "info" if error.status == GONE else "warning"
            getattr(_log, level)("watching anew", reason=str(error))

        stream = watch.forever(self._api, path, timing=self._timing, failed=failed)
        async with aclosing(stream):
            async for change in stream:
                take(change)
                self._synced.add(path)

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


def _sentence(status: int) -> str:
    return STATUS_SENTENCES.get(status, f"the API server answered {status}")
