"""References to images by their digest, by the grammar of the distribution project.

Source: `reference/reference.go` and `regexp.go` of github.com/distribution/reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LABEL: Final = "[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*"
_HOST: Final = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])"
_PART: Final = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REGISTRY: Final = f"(?:{_HOST}(?::[0-9]+)?/)?"
_PATH: Final = f"{_PART}(?:/{_PART})*"
_TAG: Final = r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
_DIGEST: Final = "sha256:[0-9a-f]{64}"

BY_DIGEST: Final = rf"^{_REGISTRY}{_PATH}{_TAG}@{_DIGEST}\Z"
"""The pattern of a reference with its digest. A tag beside it is for people."""

ALLOWED: Final = rf"^(?:{_REGISTRY}{_PATH}@)?{_DIGEST}\Z"
"""The pattern of an image in a list: without a tag, or the digest alone for any repository."""

PATH_LIMIT: Final = 255
"""Characters of a repository's path (`RepositoryNameTotalLengthMax`)."""

REFERENCE_LIMIT: Final = 1024
"""Characters of a reference: a registry's name has at most 253, a tag 128."""

_REFERENCE: Final = re.compile(
    f"(?P<repository>{_REGISTRY}(?P<path>{_PATH})){_TAG}@(?P<digest>{_DIGEST})"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """An image by its digest.

    Attributes:
        repository: Registry and path, as they were written.
        digest: `sha256:…`.
    """

    repository: str
    digest: str


def by_digest(text: object) -> Reference | None:
    """Return the parts of a reference; None where it has no digest, or is no reference at all."""
    if not isinstance(text, str) or len(text) > REFERENCE_LIMIT:
        return None
    parts = _REFERENCE.fullmatch(text)
    if parts is None or len(parts["path"]) > PATH_LIMIT:
        return None
    return Reference(repository=parts["repository"], digest=parts["digest"])


def agreed(ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the images that two lists allow, each in the form of `ALLOWED`.

    A digest alone allows any repository; where one list names it, that one is allowed.
    """
    both = [one for one in ours if one in theirs or _digest(one) in theirs]
    both += [one for one in theirs if _digest(one) in ours]
    return tuple(dict.fromkeys(both))


def _digest(image: str) -> str:
    return image.rpartition("@")[2]
