"""The options of `vllm serve`: vLLM's own code makes the parser, and all else is left out.

The classes and functions of the modules in `MODULES` run as they are written. Whatever they
take from elsewhere, but for Python's own library, is a placeholder, and configurations' fields
come from `fields`. So nothing of vLLM is imported, and no torch.
"""

from __future__ import annotations

import ast
import json
import sys
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import MagicMock

from scripts.vllm_source import fields
from scripts.vllm_source.modules import NotVllmError, Source, imported_from

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from scripts.vllm_source.modules import Module

PARSERS: Final = (
    "vllm.entrypoints.common.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.openai.cli_args",
)
"""The modules that make the parser of `vllm serve`, the newest release's first."""

_ENGINE: Final = "vllm.engine.arg_utils"
_ARGPARSE: Final = "vllm.utils.argparse_utils"
MODULES: Final = frozenset({*PARSERS, _ENGINE, _ARGPARSE})


def options(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the options, in the order of vLLM's parser.

    Raises:
        NotVllmError: The parser is not made as it was in the releases that are known.
    """
    name = next((name for name in PARSERS if source.find(name)), None)
    if name is None:
        raise NotVllmError(f"it has none of the modules {', '.join(PARSERS)}")
    parts = _Parts(source)
    parser: argparse.ArgumentParser = parts.of(_ARGPARSE)["FlexibleArgumentParser"]()
    parts.of(name)["make_arg_parser"](parser)
    flags: dict[int, list[str]] = {}
    for flag, action in parser._option_string_actions.items():  # noqa: SLF001 — hidden ones too
        flags.setdefault(id(action), []).append(flag)
    for action in parser._actions:  # noqa: SLF001 — argparse has no other list
        option = {"dest": action.dest, "flags": flags.get(id(action), []), "arity": action.nargs}
        yield option | ({"json": True} if action.type is json.loads else {})


class _Parts:
    """The modules of which classes and functions run."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._made: dict[str, dict[str, Any]] = {}

    def of(self, name: str) -> dict[str, Any]:
        """Return the names of a module, made once."""
        if name not in self._made:
            module = self._source.module(name)
            names = self._made[name] = {"__name__": name}
            for statement in module.body:
                self._run(module, statement, names)
            if name == _ENGINE:
                names["get_kwargs"] = self._settings
                names["optional_type"] = names["parse_type"] = lambda kind: kind
        return self._made[name]

    def _run(self, module: Module, statement: ast.stmt, names: dict[str, Any]) -> None:
        """Run a class or function; of other statements, give their names a meaning."""
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            statement.decorator_list = []
            kept = _WithoutImports(self, module, names).visit(statement)
            code = compile(ast.Module([kept], []), f"<{module.name}>", "exec")
            exec(code, names)  # noqa: S102 — vLLM's own code, as whoever runs vLLM would run it
            return
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.bind(module, node, names)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names[node.id] = MagicMock()

    def bind(
        self, module: Module, statement: ast.Import | ast.ImportFrom, names: dict[str, Any]
    ) -> None:
        """Give the names of an import: Python's own, those of MODULES, or placeholders."""
        origin = imported_from(module, statement) if isinstance(statement, ast.ImportFrom) else ""
        for alias in statement.names:
            top = (origin or alias.name).partition(".")[0]
            bound = alias.asname or alias.name.partition(".")[0]
            if top in sys.stdlib_module_names:
                code = ast.Module([type(statement)(**{**vars(statement), "names": [alias]})], [])
                exec(compile(code, f"<{module.name}>", "exec"), names)  # noqa: S102 — as above
            elif origin in MODULES:
                names[bound] = self.of(origin)[alias.name]
            else:
                names[bound] = MagicMock(where=(module, bound))

    def _settings(self, configuration: Any) -> dict[str, dict[str, Any]]:
        """Stand for vLLM's `get_kwargs`."""
        if isinstance(configuration, type):
            module, name = self._source.module(configuration.__module__), configuration.__name__
        else:
            module, name = configuration.where
        found = fields.settings(self._source, module, name)
        if not found:
            raise NotVllmError(f"the fields of its {name} cannot be found")
        return found


class _WithoutImports(ast.NodeTransformer):
    """Takes imports out of functions, and has their names known to the whole module."""

    def __init__(self, parts: _Parts, module: Module, names: dict[str, Any]) -> None:
        self._parts, self._module, self._names = parts, module, names

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        return self._bound(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        return self._bound(node)

    def _bound(self, node: ast.Import | ast.ImportFrom) -> ast.stmt:
        self._parts.bind(self._module, node, self._names)
        return ast.copy_location(ast.Pass(), node)
