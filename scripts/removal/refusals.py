"""The refusals in source files: what counts as one, where they stand, and which were changed."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
SHOWING: Final = frozenset({"debug", "info", "warning", "error", "exception", "log", "write"})
"""Methods that show a sentence and decide nothing."""


class Site(NamedTuple):
    """A refusal in the source, and the function that it stands in."""

    path: Path
    line: int
    text: str
    function: str


def is_sentence(node: ast.AST | None) -> bool:
    """Tell whether an expression holds a text of several words, or an error as a text."""
    return node is not None and any(
        (isinstance(part, ast.Constant) and isinstance(part.value, str) and " " in part.value)
        or (isinstance(part, ast.Call) and ast.unparse(part.func) == "str")
        for part in ast.walk(node)
    )


def is_refusal(node: ast.AST, function: Function) -> bool:
    """Tell whether a statement of a function refuses something."""
    match node:
        case ast.Raise():
            return not re.search(r"\b(AssertionError|NotImplementedError)\b", ast.unparse(node))
        case ast.Expr(value=ast.Yield()):
            yields = (part for part in ast.walk(function) if isinstance(part, ast.Yield))
            return any(is_sentence(part.value) for part in yields)
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name), args=arguments)):
            return name not in SHOWING and any(map(is_sentence, arguments))
        case ast.Return(value=ast.Tuple(elts=[ast.Constant(value=False), sentence])):
            return is_sentence(sentence)
        case ast.Return(value=ast.JoinedStr() | ast.Constant() as sentence) if function.returns:
            return "None" in ast.unparse(function.returns) and is_sentence(sentence)
    return False


def sites_in(path: Path, node: ast.AST, function: Function | None = None) -> Iterator[Site]:
    """Yield the refusals below a node of a source file."""
    for child in ast.iter_child_nodes(node):
        if function and isinstance(child, ast.stmt) and is_refusal(child, function):
            yield Site(path, child.lineno, ast.unparse(child), ast.unparse(function))
        yield from sites_in(path, child, child if isinstance(child, Function) else function)


def git(*arguments: str) -> str:
    """Return what Git says of the tree; nothing, where it fails."""
    return subprocess.run(  # noqa: S603 — our own arguments
        [shutil.which("git") or "git", *arguments], check=False, capture_output=True, text=True
    ).stdout


def functions_at(revision: str, path: Path) -> set[str]:
    """Return the functions that a file had at a revision; none, where it was not there."""
    tree = ast.parse(git("show", f"{revision}:{path}"))
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, Function)}
