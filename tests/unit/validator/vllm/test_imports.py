"""Changes that wait for a module, with real modules on the disk."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

from validator.vllm.plugin.imports import ChangedImports

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

NAME = "changed_by_a_test"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a module that can be imported, and has not been."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    file = tmp_path / f"{NAME}.py"
    file.write_text("value = 1\n")
    return file


def _double(module: ModuleType) -> None:
    vars(module)["value"] *= 2


def test_a_module_is_changed_after_its_code(module: Path) -> None:
    """Whoever imports it sees the change, and other modules are left alone."""
    assert module.is_file()
    ChangedImports({NAME: _double, "no_such_module_at_all": _double}).install()
    assert vars(importlib.import_module(NAME))["value"] == 2
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_module_at_all")


def test_a_module_that_is_there_is_changed_at_once(module: Path) -> None:
    """And again by each call: a change that may be made once must see to it."""
    assert module.is_file()
    imported = importlib.import_module(NAME)
    imports = ChangedImports({NAME: _double})
    imports.install()
    imports.install()
    assert imported.value == 4
    assert sys.meta_path.count(imports) == 1


def test_a_module_in_the_midst_of_its_import_is_left_for_the_next_call(module: Path) -> None:
    """It lacks what is to be changed; its importers have not got it yet either."""
    imports = ChangedImports({NAME: _double})
    vars(sys)["_imports_of_a_test"] = imports  # for the module's code
    try:
        module.write_text("import sys\nsys._imports_of_a_test.install()\nvalue = 1\n")
        imported = importlib.import_module(NAME)
    finally:
        del vars(sys)["_imports_of_a_test"]
    assert imported.value == 1
    imports.install()
    assert imported.value == 2


def test_a_change_that_fails_ends_the_import_each_time(module: Path) -> None:
    """A module that cannot be guarded is not to be had at all."""
    assert module.is_file()

    def fails(_: ModuleType) -> None:
        raise LookupError

    ChangedImports({NAME: fails}).install()
    for _ in range(2):
        with pytest.raises(LookupError):
            importlib.import_module(NAME)
        assert NAME not in sys.modules
