"""The layout of Hugging Face's download cache, whose models are folders of links.

HUB/models--ORG--NAME/snapshots/REV/model.safetensors -> ../../blobs/ETAG
HUB/models--ORG--NAME/blobs/ETAG                      -> ../../blobs/XX/HASH   since 2.0, or a file
HUB/blobs/XX/HASH                                     shared by all models
HUB/blobs/.huggingface-shared-blobs
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_REPOSITORY: Final = r"(?s:(?:models|datasets|spaces|kernels)--.+)"
_SHARED: Final = "blobs"
_MARKER: Final = ".huggingface-shared-blobs"
_HASH: Final = "[0-9a-f]{64}"


def cache_of(real: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the folder that links of a snapshot may not leave, and the way from there to it.

    Args:
        real: The snapshot's path, free of links.

    Returns:
        The hub's folder where it has shared blobs, else the repository's; None for another layout.
    """
    snapshots, revision = os.path.split(real)
    cache, word = os.path.split(snapshots)
    hub, repository = os.path.split(cache)
    if word != "snapshots" or not re.fullmatch(_REPOSITORY, repository):
        return None
    if os.path.isfile(os.path.join(hub, _SHARED, _MARKER)):
        return hub, (repository, word, revision)
    return cache, (word, revision)


def is_blob(place: Sequence[str], snapshot: tuple[str, ...]) -> bool:
    """Tell whether a path is that of a blob, where a snapshot's links may lead.

    Args:
        place: Components below the folder that `cache_of` returned.
        snapshot: The way from there to the snapshot.
    """
    match [*place]:
        case [*repository, "blobs", _] if tuple(repository) == snapshot[:-2]:
            return True
        case ["blobs", start, name] if len(snapshot) == 3:  # noqa: PLR2004 — below a hub
            return bool(re.fullmatch(_HASH, name)) and start == name[:2]
    return False
