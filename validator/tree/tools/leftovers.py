"""Files that nobody put into a model: clients, systems and storage leave them there."""

from __future__ import annotations

import re
from typing import Final

_ELSEWHERE: Final = "give the model a folder of its own on the volume, or ignore the path"

_KINDS: Final = (
    (
        r"\.nfs[0-9a-f]{8,}",
        "a client of NFS keeps it for a process that has a deleted file open: end that process",
    ),
    (
        r"\.fuse_hidden[0-9a-f]+",
        "FUSE keeps it for a process that has a deleted file open: end that process",
    ),
    (
        r"\._.+|\.DS_Store|\.AppleDouble|\.Spotlight-V100|\.Trashes|\.fseventsd",
        "macOS left it there: delete it",
    ),
    (
        r"Thumbs\.db|desktop\.ini|System Volume Information|\$RECYCLE\.BIN",
        "Windows left it there: delete it",
    ),
    (
        r"\.snapshots?|~snapshot|\.zfs",
        f"the storage shows its snapshots there: {_ELSEWHERE}",
    ),
    (
        r"lost\+found",
        f"the file system has it at the root of a volume: {_ELSEWHERE}",
    ),
    (
        r"\.huggingface",
        "`hf download --local-dir` left it there: delete it, or ignore the path",
    ),
    (r"\.ipynb_checkpoints", "Jupyter left it there: delete it"),
)
"""Patterns, which `re` compiles once they are needed: a start would take 3 ms more."""

_LOCAL_DIR: Final = (".cache", "huggingface")
_LOCAL_DIR_WORDS: Final = (
    "`hf download --local-dir` left it there: delete .cache/huggingface, or ignore the path"
)


def explained(name: str) -> str:
    """Return a colon and words on where an unsigned file comes from; nothing, if unknown."""
    parts = name.split("/")
    if tuple(parts[:2]) == _LOCAL_DIR:
        return f": {_LOCAL_DIR_WORDS}"
    for pattern, words in _KINDS:
        if any(re.fullmatch(pattern, part) for part in parts):
            return f": {words}"
    return ""
