"""Other places that a verified model's own configuration files name.

A signature proves who wrote a configuration, and not what else it leads to: code of another
repository, or another model. Belongs here: the fields by which vLLM follows a configuration.
They were read in vLLM 0.32. Does not belong here: fields that only describe where a model
comes from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from validator.errors import Refused
from validator.files import read_file
from validator.text import quoted
from validator.vllm.options import MODEL_KEYS
from validator.vllm.plugin.engine_arguments import NamedPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FILES: Final = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
)
"""The files of a model's directory in which transformers looks for code and other models."""

FILE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of one file; large ones list a tokenizer's added tokens."""

_ELSEWHERE: Final = "--"
"""In `org/base--module.Class`, transformers takes the code from the repository `org/base`."""


def named(directories: Iterable[str], *, trusts_code: bool) -> Iterator[NamedPath]:
    """Yield the models that the configuration files of verified directories name.

    Args:
        directories: Verified paths; what is no directory has no such files.
        trusts_code: Whether vLLM runs the code that they name.

    Raises:
        Refused: A file names code of another repository, or is not JSON.
    """
    for directory in directories:
        for name in FILES:
            path = Path(directory) / name
            if path.is_file():
                yield from _named_by(path, trusts_code=trusts_code)


def _named_by(path: Path, *, trusts_code: bool) -> Iterator[NamedPath]:
    text = read_file(path, limit=FILE_LIMIT, what="configuration")
    try:
        document = json.loads(
            text
        )  # as transformers reads it: with Infinity, and the last of a key
    except (ValueError, RecursionError) as error:
        raise Refused(f"{quoted(str(path))} is not JSON that can be read") from error
    for key, value in _keyed_values(document):
        if key in MODEL_KEYS and value:
            yield NamedPath(option=f"{path.name}: {key}", value=value)
        elif key == "auto_map" and trusts_code:
            _check_code(path, value)


def _check_code(path: Path, value: Any) -> None:
    for _, text in _keyed_values({"auto_map": value}):
        if isinstance(text, str) and _ELSEWHERE in text:
            raise Refused(
                f"{quoted(str(path))} names code of another repository, {quoted(text)}, which this "
                "signature does not cover; copy the code into the model, and sign it"
            )


def _keyed_values(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield all values with their keys, at any depth; a list's values have the list's key."""
    pending: list[tuple[str, Any]] = [("", document)]
    while pending:
        key, value = pending.pop()
        yield key, value
        if isinstance(value, dict):
            pending += [(str(name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            pending += [(key, inner) for inner in value]
