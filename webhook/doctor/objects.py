"""The paths of what is examined, and its objects as far as the checks look at them."""

from __future__ import annotations

from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from webhook.cluster.errors import ApiError
from webhook.cluster.reader import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

Object = dict[str, Any]
_T = TypeVar("_T")

NAMESPACE: Final = "model-validation"
SERVICE: Final = "model-validation-webhook"
SERVER_NAME: Final = f"{SERVICE}.{NAMESPACE}.svc"
"""The name that the API server expects in the webhook's certificate."""

WEBHOOK: Final = "model-validation-webhook"
CERTS: Final = "model-validation-certs"
SERVING_SECRET: Final = "model-validation-webhook-tls"  # noqa: S105 — an object's name
CONFIGURATION: Final = "zz-model-validation"

ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"

APPLY_AGAIN: Final = "apply the manifests of this release again"
"""The remedy for what somebody changed or deleted."""

READ_SECONDS: Final = 30
PAGE: Final = 200
"""Objects of one page of a list."""

PAGE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a page."""


class Api(Reader, Protocol):
    """The part of an API client that the checks need; each call raises `ApiError` only."""

    async def read_metadata(
        self, path: str, kind: type[_T], *, query: Mapping[str, str], seconds: float, limit: int
    ) -> _T:
        """Return the objects of a collection without what is not metadata."""

    async def try_creation(self, path: str, body: Object, kind: type[_T]) -> _T:
        """Return the object that would be made of `body`; keep nothing."""


class _More(msgspec.Struct, frozen=True):
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct, frozen=True):
    metadata: _More = _More()
    items: list[Object] | None = None


async def found(api: Api, path: str) -> Object | None:
    """Return the object at a path, `None` where there is none.

    Raises:
        ApiError: It cannot be read.
    """
    return await api.get(path, Object, seconds=READ_SECONDS)


async def listed(
    api: Api, path: str, *, query: Mapping[str, str] | None = None, metadata_only: bool = False
) -> AsyncGenerator[Object]:
    """Yield the objects of a collection, page by page.

    Raises:
        ApiError: It cannot be read whole.
    """
    chosen = dict(query or {}) | {"limit": str(PAGE)}
    while True:
        read = api.read_metadata if metadata_only else api.read
        page = await read(path, _List, query=chosen, seconds=READ_SECONDS, limit=PAGE_LIMIT)
        for item in page.items or []:
            yield item
        if not page.metadata.continue_:
            return
        chosen["continue"] = page.metadata.continue_


async def all_of(
    api: Api, path: str, *, query: Mapping[str, str] | None = None, metadata_only: bool = False
) -> list[Object]:
    """Return the objects of a collection.

    Raises:
        ApiError: It cannot be read whole.
    """
    async with aclosing(listed(api, path, query=query, metadata_only=metadata_only)) as items:
        return [item async for item in items]


async def installed(api: Api, path: str) -> list[Object]:
    """Return objects of a kind of ours; none where its definition is missing, a finding elsewhere.

    Raises:
        ApiError: They cannot be read.
    """
    try:
        return await all_of(api, path)
    except ApiError as refusal:
        if refusal.status != HTTPStatus.NOT_FOUND:
            raise
        return []


def name_of(item: Object) -> str:
    """Return an object's name."""
    return str(item["metadata"]["name"])
