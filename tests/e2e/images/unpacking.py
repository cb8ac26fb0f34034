"""Unpack an image, from an archive or the storage, into a root file system."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.images import base
from tests.e2e.images.buildah import buildah, container
from tests.e2e.images.running import Unpacked
from tests.support.caching import cache, shared

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def unpacked(image: str) -> Iterator[Unpacked]:
    """Mount an image's root file system while the context lasts.

    Args:
        image: As buildah reads it: `docker-archive:PATH`, or a name or id in the storage.
    """
    with ExitStack() as stack:
        with shared(cache("images")):
            identity = buildah("pull", "--quiet", "--policy=never", image)
            _, root = stack.enter_context(container(identity))
        yield Unpacked(identity, root, _described(identity)["config"])


def own_bytes(image: Unpacked) -> int:
    """Return the size of the layers above the base as a registry stores them, compressed."""
    below = len(_described(base.name())["rootfs"]["diff_ids"])
    with tempfile.TemporaryDirectory() as folder:
        buildah("push", "--quiet", image.identity, f"dir:{folder}")
        manifest = json.loads(Path(folder, "manifest.json").read_text())
    return sum(layer["size"] for layer in manifest["layers"][below:])


def _described(image: str) -> dict[str, Any]:
    """Return the OCI image configuration."""
    described: dict[str, Any] = json.loads(buildah("inspect", "--type=image", image))["OCIv1"]
    return described
