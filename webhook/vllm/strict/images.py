"""The images that `Strict` allows: those that the policy names by their digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from validator.policy.schema.image_reference import by_digest
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def refusal(
    image: Any, allowed: Iterable[str], *, field: str, remedy: Callable[[str], str]
) -> str | None:
    """Return why an image must not run, or None.

    Args:
        image: The container's image.
        allowed: `REPOSITORY@sha256:…`, or `sha256:…` alone for any repository.
        field: The policy's field that has them.
        remedy: Returns what to do, with who can.
    """
    reference = by_digest(image)
    if reference is None:
        return f"the image {quoted(image)} is not named by its digest; write NAME@sha256:…"
    named = f"{reference.repository}@{reference.digest}"
    if {reference.digest, named}.isdisjoint(allowed):
        return (
            f"the image {quoted(image)} is not one that the policy allows: "
            f"{remedy(f'add {named} to {field}')}"
        )
    return None
