"""Git LFS pointers: small texts that stand for large files until `git lfs pull` replaces them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validator.tree.tree import Entry, Tree

_LIMIT: Final = 1024
"""Bytes; a pointer has fewer, by git-lfs' specification."""

_START: Final = b"version https://git-lfs.github.com/spec/"


def pointers(tree: Tree, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield those of some files that are pointers; one that cannot be read is none."""
    for entry in entries:
        if len(_START) < entry.identity.size < _LIMIT and _starts(tree, entry) == _START:
            yield entry


def _starts(tree: Tree, entry: Entry) -> bytes:
    try:
        descriptor = tree.open_file(entry)
        try:
            return os.pread(descriptor, len(_START), 0)
        finally:
            os.close(descriptor)
    except OSError:
        return b""
