"""The modules of a vLLM, and the statement by which each of their names is known."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.resources.abc import Traversable


class NotVllmError(Exception):
    """The source is not that of a vLLM which can be read."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module, and the last statement that gives each of its names."""

    name: str
    body: list[ast.stmt]
    names: dict[str, ast.stmt]


class Source:
    """The source of one vLLM, in the folder or the wheel that holds its package."""

    def __init__(self, root: Traversable) -> None:
        """Remember where the package is."""
        self._root = root
        self._modules: dict[str, Module | None] = {}

    @property
    def release(self) -> str:
        """The release, as `vllm/_version.py` says, which is in wheels and installed packages.

        Raises:
            NotVllmError: It does not say.
        """
        module = self.find("vllm._version")
        assigned = module.names.get("__version__") if module else None
        if isinstance(assigned, ast.Assign) and isinstance(assigned.value, ast.Constant):
            return str(assigned.value.value)
        raise NotVllmError("its vllm/_version.py, which says the release, is missing")

    def find(self, name: str) -> Module | None:
        """Return a module of vLLM; None where it has none of this name."""
        if name not in self._modules:
            *packages, last = name.split(".")
            at = self._root
            for package in packages:
                at = at.joinpath(package)
            files = (at.joinpath(f"{last}.py"), at.joinpath(last).joinpath("__init__.py"))
            body = next(
                (ast.parse(file.read_bytes()).body for file in files if file.is_file()), None
            )
            self._modules[name] = None if body is None else Module(name, body, dict(_names(body)))
        return self._modules[name]

    def module(self, name: str) -> Module:
        """Return a module of vLLM.

        Raises:
            NotVllmError: It has none of this name.
        """
        found = self.find(name)
        if found is None:
            raise NotVllmError(f"it has no module {name}")
        return found

    def resolve(self, module: Module, name: str) -> tuple[Module, ast.AST] | None:
        """Return the class or the value that a name stands for, and its module.

        None where vLLM's source does not say: the name is a library's, or Python's own.
        """
        statement = module.names.get(name)
        if isinstance(statement, ast.ImportFrom):
            origin = self.find(imported_from(module, statement))
            original = next(
                alias.name for alias in statement.names if name in (alias.asname, alias.name)
            )
            return None if origin is None else self.resolve(origin, original)
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            return None if statement.value is None else (module, statement.value)
        return None if statement is None else (module, statement)


def imported_from(module: Module, statement: ast.ImportFrom) -> str:
    """Return the full name of the module that an import names."""
    if not statement.level:
        return statement.module or ""
    package = module.name.split(".")[: -statement.level]
    return ".".join([*package, statement.module] if statement.module else package)


def _names(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the names that statements give; of `if TYPE_CHECKING`, the other branch's come last."""
    for statement in body:
        match statement:
            case ast.ClassDef() | ast.FunctionDef():
                yield statement.name, statement
            case ast.Assign():
                for target in statement.targets:
                    yield from ((name.id, statement) for name in _stored(target))
            case ast.AnnAssign():
                yield from ((name.id, statement) for name in _stored(statement.target))
            case ast.ImportFrom() | ast.Import():
                for alias in statement.names:
                    yield alias.asname or alias.name.partition(".")[0], statement
            case ast.If():
                yield from _names(statement.body)
                yield from _names(statement.orelse)
            case ast.Try():
                yield from _names(statement.body)


def _stored(target: ast.expr) -> Iterator[ast.Name]:
    return (node for node in ast.walk(target) if isinstance(node, ast.Name))
