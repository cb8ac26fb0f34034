"""The doors: functions of vLLM through which a model, or code beside it, comes in.

Each entry of `DOORS` names a module and changes it so that the guard is asked first. They are,
from the first to the last:

- `EngineArgs`, from which nearly every engine is made, and the command line before it;
- `ModelConfig`, which reads the configuration, for those that are made without `EngineArgs`;
- the loaders of weights, whatever has made the engine, and when weights are loaded again;
- the readers of adapters;
- the file loader of vLLM's hook for SageMaker, which runs Python files;
- the start of a process image with weights in it (`vllm snapshot restore`).

Belongs here: which functions, and what of their arguments is asked about; they were read in
vLLM 0.30 to 0.33. Does not belong here: the answer. Only Python's own modules are imported.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final

from validator.errors import Undecided

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from validator.vllm.plugin.guard import Guard

    Function = Callable[..., Any]

READERS: Final = ("create_engine_config", "create_model_config", "create_speculative_config")
"""The methods of `EngineArgs` that read the model, or have it read."""

LOADING: Final = (
    "_prepare_weights",
    "create_model",
    "download_model",
    "get_all_weights",
    "load_model",
    "load_weights",
)
"""The methods of a loader that are given a model's configuration, or where its weights lie."""

_GUARDED: Final = "_model_validation_guarded"
"""The attribute by which a guarded function or class is known."""


def _guard_engine_arguments(guard: Guard, module: ModuleType) -> None:
    kind = module.EngineArgs

    def reader(method: Function) -> Function:
        def guarded(arguments: Any, *others: Any, **named: Any) -> Any:
            guard.ask(lambda judge: judge.engine(arguments))
            made = method(arguments, *others, **named)
            parallel = getattr(made, "parallel_config", None)
            if parallel is not None:
                guard.ask(lambda judge: judge.workers(parallel))
            return made

        return guarded

    def command_line(method: Function) -> Function:
        def guarded(kind: type[Any], given: Any, *others: Any, **named: Any) -> Any:
            arguments = method(kind, given, *others, **named)
            guard.ask(lambda judge: judge.server(arguments, given))
            return arguments

        return guarded

    for name in READERS:
        _put_before(kind, name, reader)
    _put_before(kind, "from_cli_args", command_line)


def _guard_model_configuration(guard: Guard, module: ModuleType) -> None:
    def made(method: Function) -> Function:
        def guarded(config: Any, *others: Any, **named: Any) -> Any:
            guard.ask(lambda judge: judge.engine(config))
            return method(config, *others, **named)

        return guarded

    _put_before(module.ModelConfig, "__post_init__", made)


def _guard_loaders(guard: Guard, module: ModuleType) -> None:
    base = module.BaseModelLoader
    for kind in (base, *_subclasses(base)):
        _guard_loader(guard, kind)
    if _GUARDED in vars(base):
        return

    def __init_subclass__(cls: type[Any], /, **named: Any) -> None:  # noqa: N807 — as Python calls it
        super(base, cls).__init_subclass__(**named)
        _guard_loader(guard, cls)

    base.__init_subclass__ = classmethod(__init_subclass__)
    setattr(base, _GUARDED, True)


def _guard_loader(guard: Guard, kind: type[Any]) -> None:
    def loading(method: Function) -> Function:
        signature = inspect.signature(method)

        def guarded(loader: Any, *others: Any, **named: Any) -> Any:
            given = signature.bind(loader, *others, **named).arguments
            config, source = given.get("model_config"), given.get("model_name_or_path")
            guard.ask(lambda judge: judge.weights(loader.load_config, config, source))
            return method(loader, *others, **named)

        return guarded

    for name in LOADING:
        if name in vars(kind):
            _put_before(kind, name, loading)


def _guard_path(guard: Guard, module: ModuleType, *, owner: str, name: str, what: str) -> None:
    """Ask about a path, which is a method's first argument after its object."""

    def opening(method: Function) -> Function:
        signature = inspect.signature(method)

        def guarded(*given: Any, **named: Any) -> Any:
            _, path, *_ = signature.bind(*given, **named).arguments.values()
            guard.ask(lambda judge: judge.path(what, path))
            return method(*given, **named)

        return guarded

    _put_before(getattr(module, owner), name, opening)


def _guard_snapshots(guard: Guard, module: ModuleType) -> None:
    def restoring(function: Function) -> Function:
        def guarded(*arguments: Any, **named: Any) -> Any:
            guard.ask(lambda judge: judge.snapshot())
            return function(*arguments, **named)

        return guarded

    _put_before(module, "restore_snapshot", restoring)


DOORS: Final[Mapping[str, Callable[[Guard, ModuleType], None]]] = {
    "vllm.engine.arg_utils": _guard_engine_arguments,
    "vllm.config.model": _guard_model_configuration,
    "vllm.model_executor.model_loader.base_loader": _guard_loaders,
    "vllm.lora.peft_helper": functools.partial(
        _guard_path, owner="PEFTHelper", name="from_local_dir", what="the adapter"
    ),
    "vllm.lora.lora_model": functools.partial(
        _guard_path, owner="LoRAModel", name="from_local_checkpoint", what="the adapter"
    ),
    "model_hosting_container_standards.common.custom_code_ref_resolver.file_loader": (
        functools.partial(
            _guard_path,
            owner="FileLoader",
            name="_load_regular_module",
            what="the script of vLLM's hook for SageMaker",
        )
    ),
    "vllm.snapshot.controller": _guard_snapshots,
}
"""The modules, and what changes each of them: once, however often it is called."""


def _put_before(owner: Any, name: str, guarded: Callable[[Function], Function]) -> None:
    """Put a guarded function in the place of a function of a class or module.

    Raises:
        Undecided: There is no such function.
    """
    held = vars(owner).get(name)
    if held is None:
        raise Undecided(
            f"this vLLM cannot be guarded: its {owner.__name__} has no {name}; use a release of "
            "vLLM and of model-validation that fit together"
        )
    bound = isinstance(held, classmethod)
    function = held.__func__ if bound else held
    if getattr(function, _GUARDED, False):
        return
    made = functools.wraps(function)(guarded(function))
    setattr(made, _GUARDED, True)
    setattr(owner, name, classmethod(made) if bound else made)


def _subclasses(kind: type[Any]) -> list[type[Any]]:
    direct = kind.__subclasses__()
    return [*direct, *(each for below in direct for each in _subclasses(below))]
