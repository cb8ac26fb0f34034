"""Manifests in a file or in standard input, read within a limit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from validator.policy.yaml_documents import load_all
from webhook.cli import templates
from webhook.errors import SetupError

if TYPE_CHECKING:
    from webhook.cli.templates import Document

FILE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of a file of manifests; one object is at most 3 MiB."""


def read(source: str) -> list[Document]:
    """Return the manifests in a file or, for `-`, in standard input, those of Lists one by one.

    Raises:
        PolicyError: It does not hold manifests.
        SetupError: It cannot be read.
    """
    documents = load_all(_bytes(source), source=source, limit=FILE_LIMIT, aliases=True)
    return list(templates.flattened(documents, source=source))


def _bytes(source: str) -> bytes:
    try:
        if source == "-":
            return sys.stdin.buffer.read(FILE_LIMIT + 1)
        with Path(source).open("rb") as file:
            return file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise SetupError(f"{source} cannot be read: {error.strerror}") from error
