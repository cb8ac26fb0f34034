"""Python files that vLLM's hook for SageMaker runs in every server.

vLLM calls `model_hosting_container_standards`, whatever is served. It runs a script of a fixed
place, and what variables name. Read in its release 0.1.16 (`sagemaker_loader`,
`environment_loader`). Does not belong here: modules by name, which are the environment's own.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Final

from validator.vllm.facts import HOOK_DIRECTORY, HOOK_HANDLERS
from validator.vllm.plugin.engine_arguments import NamedPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FILE: Final = ".py:"
"""In `FILE.py:FUNCTION`, the hook reads a file; in `MODULE:FUNCTION`, it imports a module."""

_INSTEAD: Final = "remove it, or sign it with the model"


def scripts(environment: Mapping[str, str]) -> Iterator[NamedPath]:
    """Yield the files that the hook would run, under these variables."""
    directory = environment.get("SAGEMAKER_MODEL_PATH", HOOK_DIRECTORY)
    script = posixpath.join(directory, environment.get("CUSTOM_SCRIPT_FILENAME", "model.py"))
    if Path(script).is_file():
        yield _named("the script of vLLM's hook for SageMaker", script)
    for name in HOOK_HANDLERS:
        handler = environment.get(name, "").strip()
        if _FILE in handler:
            yield _named(name, posixpath.join(directory, handler.partition(":")[0]))


def _named(option: str, path: str) -> NamedPath:
    """Name a path, absolute: an empty directory is the working directory, as the hook takes it."""
    return NamedPath(option=option, value=posixpath.abspath(path), instead=_INSTEAD)
