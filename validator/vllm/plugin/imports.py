"""Changes to modules of other projects at the moment when they have been imported.

A guard that imports what it guards would load seconds of code early, and would come late for a
module that somebody else has begun to import. So each change waits for its module. Belongs here:
Python's import system. Does not belong here: what is changed.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class ChangedImports:
    """A finder that changes modules once they have been run; the changes may be made twice."""

    def __init__(self, changes: Mapping[str, Callable[[ModuleType], None]]) -> None:
        """Remember the changes, by the module's full name."""
        self._changes = changes

    def install(self) -> None:
        """Change what has been imported, and from now on what will be.

        A module that is being imported at this moment is changed by the next call.
        """
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        for name, change in self._changes.items():
            module = sys.modules.get(name)
            if module is not None and not _is_being_imported(module):
                change(module)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the other finders have, with the change after the module's code.

        What the change raises ends the import: the module is not there, and the next import of it
        tries again.
        """
        change = self._changes.get(name)
        if change is None:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _ChangingLoader(spec.loader, change)
                return spec
        return None


class _ChangingLoader(Loader):
    """A module's own loader, with the change after the module's code."""

    def __init__(self, loader: Loader, change: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._change = change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader  # others ask it for source and resources
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._change(module)


def _is_being_imported(module: ModuleType) -> bool:
    """Tell whether a module's code has not come to its end (importlib's own mark)."""
    return bool(getattr(module.__spec__, "_initializing", False))
