"""The variables that vLLM reads, with the type that it declares and the expression that reads."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from scripts.vllm_source.modules import NotVllmError

if TYPE_CHECKING:
    from scripts.vllm_source.modules import Source


def variables(source: Source) -> dict[str, dict[str, str]]:
    """Return the variables of `vllm/envs.py`, by name.

    Raises:
        NotVllmError: It has no list of them.
    """
    module = source.module("vllm.envs")
    listed = module.names.get("environment_variables")
    if not isinstance(listed, ast.AnnAssign) or not isinstance(listed.value, ast.Dict):
        raise NotVllmError("its vllm/envs.py has no list environment_variables")
    found = {}
    for key, value in zip(listed.value.keys, listed.value.values, strict=True):
        name = key.value if isinstance(key, ast.Constant) else None
        if not isinstance(name, str):
            raise NotVllmError("its vllm/envs.py lists variables of which the names cannot be read")
        declared = module.names.get(name)
        kind = ast.unparse(declared.annotation) if isinstance(declared, ast.AnnAssign) else "str"
        found[name] = {"type": kind, "reading": ast.unparse(value)}
    return dict(sorted(found.items()))
