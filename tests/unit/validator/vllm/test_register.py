"""The entry points that vLLM calls, and the guard's place before everything else."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import tomllib
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from validator import contract
from validator.errors import PolicyError, Refused, Undecided, ValidatorError
from validator.vllm.options import TABLE
from validator.vllm.plugin import register

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.support.signed_model import Site

ROOT: Final = Path(__file__).parents[4]

pytestmark = pytest.mark.usefixtures("environment")


def test_the_entry_point_is_the_one_that_vllm_looks_for() -> None:
    """The name is the one that VLLM_PLUGINS has to list, and leads to the function."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for group, function in (("general", register.register), ("platform", register.claim)):
        points = project["entry-points"][f"vllm.{group}_plugins"]
        assert points == {contract.VLLM_PLUGIN: f"{register.__name__}:{function.__name__}"}


def test_without_a_policy_it_says_that_it_checks_nothing(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """A check that is installed and has nothing to check by must not look like one."""
    assert contract.POLICY_VARIABLE not in environment
    register.register()
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "model-validation checks NOTHING" in record.getMessage()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"kind": "ModelValidation"}', "/no/such/file", "\udcff"]
)
def test_a_broken_policy_ends_vllm_and_stays_in_its_way(
    load: Callable[..., ModuleType], site: Site, text: str
) -> None:
    """A plugin is called once: the guard is up before the policy is read, and reads it again."""
    with pytest.raises((PolicyError, Undecided)) as broken:
        load(text)
    assert "\n" not in str(broken.value)
    arguments = sys.modules["vllm.engine.arg_utils"].EngineArgs(model=str(site.model))
    with pytest.raises((PolicyError, Undecided)):
        arguments.create_engine_config()
    assert not arguments.reads


def test_the_guard_is_there_before_any_plugin(vllm: dict[str, ModuleType]) -> None:
    """A plugin that comes before ours makes an engine, and one raises before ours is called."""
    met: list[type[BaseException] | None] = []

    def makes_an_engine() -> None:
        met.append(_error_of(vllm["vllm.engine.arg_utils"]))

    def raises() -> None:
        raise LookupError

    plugins = vllm["vllm.plugins"]
    plugins.functions.extend((makes_an_engine, raises, register.register))
    register.claim()
    with pytest.raises(LookupError):
        plugins.load_general_plugins()
    plugins.load_general_plugins()
    assert [*met, _error_of(vllm["vllm.engine.arg_utils"])] == [Refused, Refused]


def test_a_second_thread_meets_the_guard(vllm: dict[str, ModuleType]) -> None:
    """VLLM says that its plugins are loaded before it has called one."""
    met: list[type[BaseException] | None] = []
    plugins = vllm["vllm.plugins"]

    def second() -> None:
        plugins.load_general_plugins()
        met.append(_error_of(vllm["vllm.engine.arg_utils"]))

    def first() -> None:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()

    plugins.functions.extend((first, register.register))
    register.claim()
    plugins.load_general_plugins()
    assert met == [Refused]


def test_a_module_that_was_being_imported_is_guarded_by_the_time_of_an_engine(
    vllm: dict[str, ModuleType],
) -> None:
    """VLLM asks for platforms in the middle of the import of `arg_utils`."""
    arg_utils = vllm["vllm.engine.arg_utils"]
    engine_args = vars(arg_utils).pop("EngineArgs")
    arg_utils.__spec__ = ModuleSpec(arg_utils.__name__, None)
    arg_utils.__spec__._initializing = True  # type: ignore[attr-defined]
    register.claim()
    arg_utils.__spec__._initializing = False  # type: ignore[attr-defined]
    arg_utils.EngineArgs = engine_args  # type: ignore[attr-defined]
    vllm["vllm.plugins"].load_general_plugins()
    assert _error_of(arg_utils) is Refused


def test_what_cannot_be_guarded_is_heard_where_vllm_listens(vllm: dict[str, ModuleType]) -> None:
    """VLLM would write a traceback for a platform that fails, and go on."""
    del vllm["vllm.engine.arg_utils"].EngineArgs.create_engine_config
    register.claim()
    with pytest.raises(Undecided, match="has no create_engine_config"):
        vllm["vllm.plugins"].load_general_plugins()
    with pytest.raises(Undecided, match="has no create_engine_config"):
        register.register()


def test_it_may_be_called_again(vllm: dict[str, ModuleType]) -> None:
    """Each function is guarded once, and a process has one guard."""
    for _ in range(2):
        register.claim()
        register.register()
    arg_utils, loader = vllm["vllm.engine.arg_utils"], vllm["vllm.plugins"].load_general_plugins
    reader = arg_utils.EngineArgs.create_engine_config
    register.claim()
    register.register()
    assert arg_utils.EngineArgs.create_engine_config is reader
    assert vllm["vllm.plugins"].load_general_plugins is loader


def test_without_a_policy_vllm_is_left_as_it_is(
    vllm: dict[str, ModuleType], environment: dict[str, str]
) -> None:
    """Nobody pays for a check that is not asked for."""
    del environment[contract.POLICY_VARIABLE]
    before = vllm["vllm.plugins"].load_general_plugins
    register.claim()
    register.register()
    assert vllm["vllm.plugins"].load_general_plugins is before
    assert _error_of(vllm["vllm.engine.arg_utils"]) is None


def test_a_refusal_that_ends_a_program_is_one_line(
    vllm: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    """People see the sentence and no traceback; other errors are told as before."""
    assert vllm
    told: list[BaseException] = []
    sys.excepthook = lambda _, error, __: told.append(error)
    register.register()
    for error in (Refused("no"), ValueError("x")):
        sys.excepthook(type(error), error, None)
    assert capsys.readouterr().err == "validator.errors.Refused: no\n"
    assert [type(error) for error in told] == [ValueError]


_PROGRAM: Final = """
import json, os, sys
sys.path.insert(0, {root!r})
from tests.support.fakes import fake_vllm
vllm = fake_vllm.package()
sys.modules.update(vllm)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MODEL_VALIDATION_POLICY"] = {policy!r}
sys.modules.update(dict.fromkeys({missing!r}))
before = set(sys.modules)
from validator.vllm.plugin import register
guarded = hasattr(vllm["vllm.engine.arg_utils"].EngineArgs.from_cli_args, "__wrapped__")
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(guarded, sorted(new - sys.stdlib_module_names - {{"__mp_main__"}}))
told = set()
arguments = vllm["vllm.engine.arg_utils"].EngineArgs({model!r})
for attempt in (register.register, arguments.create_model_config):
    try:
        attempt()
    except Exception as error:
        told.add(f"{{type(error).__name__}}: {{error}}")
print(*told, sep="\\n")
"""


def _started(policy: dict[str, Any], site: Site, *missing: str) -> list[str]:
    """Load the plugin in a new process, without some libraries; return what it says."""
    program = _PROGRAM.format(
        root=str(ROOT), policy=json.dumps(policy), missing=missing, model=str(site.model)
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return ran.stdout.splitlines()


@pytest.mark.parametrize("missing", ["cryptography", "msgspec", "re2"])
def test_a_missing_library_is_one_sentence_and_no_engine(
    policy: dict[str, Any], site: Site, missing: str
) -> None:
    """Whoever tries again is told again; the guard itself needs no library."""
    guarded, *told = _started(policy, site, missing)
    assert guarded == "True ['validator']"
    [sentence] = (line for line in told if line)
    assert sentence == (
        f"Undecided: the engine does not start: nothing can be verified without '{missing}'; run "
        "`pip install '.[vllm]'` in a checkout of this project, with the pip of vLLM"
    )


def test_with_all_libraries_it_starts(policy: dict[str, Any], site: Site) -> None:
    """The control of the test above; here the guard stands once the plugin is imported."""
    assert _started(policy, site) == ["True ['validator']", ""]


def _error_of(arg_utils: ModuleType) -> type[BaseException] | None:
    """Make an engine of a model that nobody has signed; return the kind of the error."""
    try:
        arg_utils.EngineArgs(model="/elsewhere").create_engine_config()
    except ValidatorError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("version", "told"), [("0.33.0", False), ("0.32.1+cpu", False), ("0.99.0", True), ("dev", True)]
)
def test_a_release_that_nobody_has_read_is_told(
    load: Callable[..., ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    version: str,
    *,
    told: bool,
) -> None:
    """It may open more than the table says; the line names the releases that were read."""
    load()
    monkeypatch.setattr(sys.modules["vllm"], "__version__", version, raising=False)
    caplog.clear()
    register.register()
    said = [record.getMessage() for record in caplog.records if version in record.getMessage()]
    assert bool(said) is told
    assert all(f"was read in {TABLE.reading}" in line for line in said)
