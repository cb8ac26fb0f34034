"""The images that `Strict` allows: those that the policy names by their digest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

_REFERENCE: Final = re.compile(
    r"(?P<repository>[^@\s]+?)(?::[A-Za-z0-9_][\w.-]{0,127})?@(?P<digest>sha256:[0-9a-f]{64})",
    re.ASCII,
)
"""A reference by digest; a tag beside it is for people (distribution/reference)."""


def refusal(image: Any, allowed: Iterable[str], *, field: str) -> str | None:
    """Return why an image must not run, or None.

    Args:
        image: The container's image.
        allowed: `REPOSITORY@sha256:…`, or `sha256:…` alone for any repository.
        field: The policy's field that has them.
    """
    parts = _REFERENCE.fullmatch(image) if isinstance(image, str) else None
    if parts is None:
        return f"the image {quoted(image)} is not named by its digest; write NAME@sha256:…"
    digest = parts["digest"]
    if {digest, f"{parts['repository']}@{digest}"}.isdisjoint(allowed):
        return (
            f"the image {quoted(image)} is not one that the policy allows; whoever owns the policy "
            f"can add it to {field}, as {parts['repository']}@{digest}"
        )
    return None
