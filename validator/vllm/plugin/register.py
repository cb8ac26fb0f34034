"""The entry points that vLLM calls in each of its processes, before it reads anything.

There are two. `claim` belongs to the group `vllm.platform_plugins`, which vLLM calls while its
own modules are being imported: no engine can be made before that. It puts the guard in the way
of `load_general_plugins`, which each engine calls first; so a second thread, or a plugin that
comes before ours, meets the guard. `register`, of `vllm.general_plugins`, then says no where the
policy or the environment is not right. Its errors end vLLM; vLLM catches those of `claim`.

Nothing may fail at this module's import: vLLM would log it and go on without us.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import multiprocessing
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.errors import ValidatorError
from validator.vllm.plugin.guard import Guard

if TYPE_CHECKING:
    from types import TracebackType

_log = logging.getLogger("vllm.model_validation")  # vLLM shows what lies below its own name

_PLUGINS: Final = "vllm.plugins"
_GUARD: Final = "_model_validation_guard"
"""The attribute of `vllm.plugins` with this process' guard: there is one, however we are called."""


def register() -> None:
    """Guard this process' engines by the policy in the environment.

    Raises:
        PolicyError: The policy is not valid.
        Refused: A variable lets vLLM load what no signature covers.
        Undecided: This vLLM cannot be guarded, or a library is missing.
    """
    guard = _guard()
    if guard is None:
        if multiprocessing.parent_process() is None:  # said once, by the process that others start
            _log.warning(
                "model-validation checks NOTHING: set %s to a ModelValidation, or to the absolute "
                "path of its file",
                contract.POLICY_VARIABLE,
            )
        return
    _tell_refusals_in_one_line()
    # First of all: vLLM calls us once, and whoever catches what follows may try again.
    guard.install()
    guard.ask(lambda judge: judge.start())
    _tell_an_unknown_release()


def claim() -> None:
    """Put the guard in place before vLLM loads its plugins; we are no platform, and return None."""
    guard = _guard()
    if guard is None:
        return
    plugins = importlib.import_module(_PLUGINS)
    load = plugins.load_general_plugins
    if not hasattr(load, _GUARD):

        @functools.wraps(load)
        def load_general_plugins() -> None:
            guard.install()  # again: some of vLLM's modules were being imported the first time
            load()

        setattr(load_general_plugins, _GUARD, guard)
        plugins.load_general_plugins = load_general_plugins  # type: ignore[attr-defined]
    with contextlib.suppress(ValidatorError):  # `register` raises it again, where it is heard
        guard.install()


def _guard() -> Guard | None:
    """Return this process' guard; None where there is no policy."""
    text = os.environ.get(contract.POLICY_VARIABLE)
    if text is None:
        return None
    plugins = importlib.import_module(_PLUGINS)
    guard: Guard | None = getattr(plugins, _GUARD, None)
    if guard is None:
        guard = Guard(text, environment=os.environ, log=_log)
        setattr(plugins, _GUARD, guard)
    return guard


def _tell_an_unknown_release() -> None:
    """Say once, by the process that others start, where nobody has read what this vLLM opens."""
    from validator.vllm.options import TABLE

    version = str(getattr(importlib.import_module("vllm"), "__version__", "of an unknown release"))
    if not TABLE.knows(version) and multiprocessing.parent_process() is None:
        _log.warning(
            "this is vLLM %s, and what its arguments open was read in %s: another release may open "
            "more",
            version,
            TABLE.reading,
        )


def _tell_refusals_in_one_line() -> None:
    """Let a refusal that ends a program be told by its sentence, without a traceback."""
    others = sys.excepthook
    if hasattr(others, _GUARD):
        return

    def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        if isinstance(error, ValidatorError):
            sys.stderr.write(f"{kind.__module__}.{kind.__qualname__}: {error}\n")
        else:
            others(kind, error, trace)

    setattr(told, _GUARD, True)
    sys.excepthook = told


def _claim_at_import() -> None:
    """Claim where vLLM has asked for no platform: it imports all plugins before it calls one."""
    if _PLUGINS in sys.modules:
        claim()


_claim_at_import()
