"""Paths as a container sees them: their one spelling, and which lies above which.

They are text, since `pathlib` takes 2 ms of a gate's start. Imports nothing of ours: every program
shares it.
"""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

StrPath = str | os.PathLike[str]
"""A path of this machine, as the library takes it from others."""

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator


def canonical(path: str) -> str:
    """Return the one spelling of an absolute path, as the kubelet joins it to the root."""
    return posixpath.normpath("/" + path.lstrip("/"))


def is_canonical(path: str) -> bool:
    """Tell whether a path is absolute, below the root, and spelled in its one way."""
    # In Python 3.11.0 to 3.11.3, normpath ends at a NUL.
    return "\0" not in path and path != "/" and path == canonical(path)


def covers(outer: str, inner: str) -> bool:
    """Tell whether one canonical path is another or lies above it."""
    if outer in (inner, "/"):
        return True
    return inner.startswith(outer) and inner[len(outer)] == "/"


def related(one: str, other: str) -> bool:
    """Tell whether one canonical path is another, or lies above or below it."""
    return covers(one, other) or covers(other, one)


def nearest(path: str, paths: Container[str]) -> str | None:
    """Return the longest of some canonical paths that is another or lies above it.

    Args:
        path: The canonical path.
        paths: A set or a mapping of canonical paths: it is asked once for each part of `path`.
    """
    while path not in paths:
        if path == "/":
            return None
        path = path.rpartition("/")[0] or "/"
    return path


class Places:
    """Canonical paths that are asked about together, at the cost of one question."""

    def __init__(self, paths: Iterable[str]) -> None:
        given = frozenset(paths)
        self._at_or_above = given | {above for path in given for above in _above(path)}
        self._within = tuple(path if path == "/" else f"{path}/" for path in given)

    def related(self, path: str) -> bool:
        """Tell whether a canonical path is one of them, or lies above or below one."""
        return path in self._at_or_above or path.startswith(self._within)


def _above(path: str) -> Iterator[str]:
    """Yield the folders above a canonical path."""
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        yield path
