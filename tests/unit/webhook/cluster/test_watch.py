"""Lists take the memory of one page, and what is no list or no present state is refused."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from webhook.cluster.errors import ApiError
from webhook.cluster.watch import PAGE, Timing, changes, pages

if TYPE_CHECKING:
    from webhook.cluster.watch import Api

OBJECT = 10_000
"""Bytes of an object."""
COUNT = 5


class Pages:
    """An API server with `COUNT` pages of objects that are many small values."""

    def __init__(self, item: bytes) -> None:
        self.items = b",".join([item] * PAGE)
        self.asked = 0

    async def read(self, _path: str, kind: type[Any], **_options: Any) -> Any:
        """Answer with the next page, as JSON of a length of its own."""
        self.asked += 1
        more = b'"x"' if self.asked < COUNT else b'""'
        text = b'{"metadata":{"resourceVersion":"7","continue":%s},"items":[%s]}'
        return msgspec.json.decode(text % (more, self.items), type=kind)


async def test_a_list_takes_the_memory_of_one_page() -> None:
    """Its objects, 1 MB in all, become 17 MB where all of them are decoded at a time."""
    item = json.dumps({"metadata": {}, "x": [{}] * (OBJECT // 4)}).encode()
    api, seen = Pages(item), 0
    tracemalloc.start()
    try:
        async for page in pages(cast("Api", api), "/x", seconds=1):
            for each in page.objects():
                seen += len(each["x"]) > 100
            assert page.version == "7"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen == COUNT * PAGE
    assert peak < 8 * PAGE * OBJECT


async def test_an_item_that_is_no_object_ends_the_list() -> None:
    """It must not pass for a policy that is not there."""
    async for page in pages(cast("Api", Pages(b"7")), "/x", seconds=1):
        with pytest.raises(ApiError, match="an item of the list is not an object"):
            list(page.objects())
        break


class Restored:
    """An API server whose etcd was restored after the first answer."""

    def __init__(self) -> None:
        self.versions = ["7", "5"]

    async def read(self, _path: str, kind: type[Any], **_options: Any) -> Any:
        """Answer with an empty list of the next version."""
        version = self.versions.pop(0)
        text = {"metadata": {"resourceVersion": version}, "items": []}
        return msgspec.convert(text, type=kind)


async def test_a_version_that_is_not_there_yet_is_not_watched_from() -> None:
    """The watch would say nothing until that version is reached again."""
    with pytest.raises(ApiError, match="it was restored"):
        async for _ in changes(cast("Api", Restored()), "/x", timing=Timing()):
            pass
