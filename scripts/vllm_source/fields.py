"""The options that vLLM makes of its configurations' fields, by their types.

The rules are those of `get_kwargs` in vLLM's `engine/arg_utils.py`, as far as they decide how
many values an option takes, and whether a value is JSON.
"""

from __future__ import annotations

import argparse
import ast
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.vllm_source.modules import Module, Source

_BUILTIN: Final = frozenset({"bool", "dict", "float", "int", "list", "set", "str", "tuple"})
_SEQUENCES: Final = ("tuple", "list", "set")

_Hint = tuple[str, ast.expr | None]
"""A part of a type: `dict`, `config`, `other` and the like, and what stands in its brackets."""


def settings(source: Source, module: Module, name: str) -> dict[str, dict[str, Any]]:
    """Return argparse's settings for each field of a configuration."""
    return {
        field: _settings(dict(_hints(source, owner, annotation)))
        for field, (owner, annotation) in _fields(source, module, name).items()
    }


def _fields(source: Source, module: Module, name: str) -> dict[str, tuple[Module, ast.expr]]:
    """Return the annotations of a dataclass' fields, those of its bases first."""
    owner, statement = source.resolve(module, name) or (module, None)
    if not isinstance(statement, ast.ClassDef):
        return {}
    fields: dict[str, tuple[Module, ast.expr]] = {}
    for base in statement.bases:
        if isinstance(base, ast.Name):
            fields |= _fields(source, owner, base.id)
    for node in statement.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            fields[node.target.id] = (owner, node.annotation)
    return fields


def _hints(source: Source, module: Module, node: ast.AST) -> Iterator[_Hint]:
    """Yield the parts of a type."""
    match node:
        case ast.Constant(value=None):
            yield "None", None
        case ast.Constant(value=str(text)):
            yield from _hints(source, module, ast.parse(text, mode="eval").body)
        case ast.BinOp(left=left, right=right):
            yield from _hints(source, module, left)
            yield from _hints(source, module, right)
        case ast.Subscript(value=ast.Name(id=name), slice=inner):
            yield from _subscripted(source, module, name, inner)
        case ast.Name(id=name) if name in _BUILTIN:
            yield name, None
        case ast.Name(id=name):
            yield from _named(source, module, name)
        case _:
            yield "other", None


def _subscripted(source: Source, module: Module, name: str, inner: ast.expr) -> Iterator[_Hint]:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Annotated":
        yield from _hints(source, module, parts[0])
    elif name in ("Optional", "Union"):
        for part in parts:
            yield from _hints(source, module, part)
        if name == "Optional":
            yield "None", None
    else:
        yield name if name in {*_BUILTIN, "Literal"} else "other", inner


def _named(source: Source, module: Module, name: str) -> Iterator[_Hint]:
    found = source.resolve(module, name)
    if found is None:
        yield "other", None
    elif not isinstance(found[1], ast.ClassDef):
        yield from _hints(source, *found)
    elif any(_is(base, "dict") for base in found[1].bases):
        yield "dict", None
    else:
        is_config = any(map(_makes_dataclass, found[1].decorator_list))
        yield "config" if is_config else "other", None


def _is(node: ast.expr, name: str) -> bool:
    node = node.value if isinstance(node, ast.Subscript) else node
    return isinstance(node, ast.Name) and node.id == name


def _makes_dataclass(decorator: ast.expr) -> bool:
    made = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(made, ast.Name) and made.id in ("config", "dataclass")


class _Choices(list[str]):
    """The words that an option takes, of which nothing is asked: vLLM takes some out."""

    def remove(self, value: Any) -> None:
        """Do nothing."""


def _settings(hints: dict[str, ast.expr | None]) -> dict[str, Any]:
    """Return argparse's settings for a field, by the first rule that holds, as vLLM does."""
    settings: dict[str, Any] = {"default": None, "help": "", "type": str}
    sequence = next((kind for kind in _SEQUENCES if kind in hints), None)
    if "config" in hints:
        settings["type"] = json.loads
    elif hints.keys() == {"bool", "str", "None"}:
        settings["nargs"] = "?"
    elif "bool" in hints:
        del settings["type"]
        settings["action"] = argparse.BooleanOptionalAction
    elif "Literal" in hints:
        settings["choices"] = _Choices()
    elif sequence:
        settings |= {"nargs": _values(sequence, hints[sequence]), "choices": _Choices()}
    elif "dict" in hints and not hints.keys() & {"int", "float"}:
        settings["type"] = json.loads
    return settings


def _values(sequence: str, inner: ast.expr | None) -> int | str:
    parts = inner.elts if isinstance(inner, ast.Tuple) else []
    endless = any(isinstance(part, ast.Constant) and part.value is ... for part in parts)
    return "+" if sequence != "tuple" or endless else len(parts)
