"""Other places that a verified model's own configuration files name.

A signature proves who wrote a configuration, and not what else it leads to: code of another
repository, another model, weights beside the model. Belongs here: the fields that vLLM and its
libraries follow. They were read in vLLM 0.30 to 0.33 and transformers 5.19. Does not belong
here: fields that only describe where a model comes from.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from validator.errors import Refused
from validator.files import read_file
from validator.text import quoted
from validator.vllm.options import MODEL_KEYS
from validator.vllm.plugin.engine_arguments import NamedPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TOKENIZER: Final = "tokenizer_config.json"
MODULES: Final = "modules.json"
"""The parts of a Sentence Transformers model, and the folder of each."""

FILES: Final = frozenset(
    {
        "audio_tokenizer_config.json",
        "config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "video_preprocessor_config.json",
        MODULES,
        TOKENIZER,
    }
)
"""The files in which vLLM and transformers look for code, for other models and for paths."""

_VERSIONED: Final = ("config.", ".json")
"""Start and end of `config.4.1.json`: transformers takes the file that fits its own release."""

FILE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of one file; large ones list a tokenizer's added tokens."""

_AUDIO_TOKENIZER: Final = "audio_tokenizer_name_or_path"
"""Names the model by which transformers' processors read audio (`ProcessorMixin`)."""

_UNREAD: Final = frozenset({"special_tokens_map_file"})
"""Fields of a tokenizer's configuration with stale paths, in many models; none opens them."""

_ELSEWHERE: Final = "--"
"""In `org/base--module.Class`, transformers takes the code from the repository `org/base`."""


def named(opened: Iterable[str], *, trusts_code: bool) -> Iterator[NamedPath]:
    """Yield the models and files that the configuration files of verified directories name.

    Args:
        opened: Verified paths; a file has no such files.
        trusts_code: Whether vLLM runs the code that they name.

    Raises:
        Refused: A file names code of another repository, or is not JSON.
    """
    for path in _files(opened):
        yield from _named_by(path, trusts_code=trusts_code)


def _files(opened: Iterable[str]) -> Iterator[Path]:
    """Yield the configuration files, also of parts in subdirectories."""
    for top in opened:
        for directory, _, names in os.walk(top):
            yield from (Path(directory) / name for name in sorted(names) if _is_read(name))


def _is_read(name: str) -> bool:
    start, end = _VERSIONED
    return name in FILES or (name.startswith(start) and name.endswith(end))


def _named_by(path: Path, *, trusts_code: bool) -> Iterator[NamedPath]:
    text = read_file(path, limit=FILE_LIMIT, what="configuration")
    try:
        # As transformers reads it: with Infinity, and the last of a key.
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{quoted(str(path))} is not JSON that can be read") from error
    for key, value in _keyed_values(document):
        if _names_another(path.name, key, value):
            yield NamedPath(option=f"{path.name}: {key}", value=value)
        elif key == "auto_map" and trusts_code:
            _check_code(path, value)


def _names_another(file: str, key: str, value: Any) -> bool:
    """Tell whether a field leads to another model, or out of its own."""
    if key in MODEL_KEYS or key == _AUDIO_TOKENIZER:
        return bool(value)
    if file == MODULES:
        return key == "path" and _leads_out(value)
    return file == TOKENIZER and key.endswith("_file") and key not in _UNREAD and _leads_out(value)


def _leads_out(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith("/") or ".." in value.split("/"))


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
