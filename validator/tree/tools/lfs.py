"""Git LFS pointers: small texts that stand for large files until `git lfs pull` replaces them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from validator.tree.tree import Entry, Tree

_LIMIT: Final = 1024
"""Bytes; a pointer has fewer, by git-lfs' specification."""

_START: Final = b"version https://git-lfs.github.com/spec/"


def is_pointer(start: bytes, *, size: int) -> bool:
    """Tell whether a file is a pointer, by its first bytes and its size."""
    return size < _LIMIT and start.startswith(_START)


def leads_to_pointer(tree: Tree, entry: Entry) -> bool:
    """Tell whether a listed file is a pointer; one that cannot be read is not."""
    try:
        descriptor = tree.open_file(entry)
        try:
            return is_pointer(os.pread(descriptor, len(_START), 0), size=entry.identity.size)
        finally:
            os.close(descriptor)
    except OSError:
        return False
