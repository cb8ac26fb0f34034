"""The part of an API client that reads objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

_T = TypeVar("_T")


class Reader(Protocol):
    """Reads what is at a path; each call raises `ApiError` only."""

    async def read(
        self,
        path: str,
        kind: type[_T],
        *,
        query: Mapping[str, str] | None = None,
        seconds: float,
        limit: int,
    ) -> _T:
        """Return what is at a path, decoded as `kind`."""

    async def get(self, path: str, kind: type[_T], *, seconds: float) -> _T | None:
        """Return the object at a path, `None` where there is none."""
