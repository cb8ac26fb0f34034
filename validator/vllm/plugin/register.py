"""The entry point that vLLM calls in each of its processes, before it reads anything.

Nothing may fail at this module's import: vLLM would log it and go on without us.
What `register` raises ends vLLM.
"""

from __future__ import annotations

import logging
import multiprocessing
import os

from validator import contract

_log = logging.getLogger("vllm.model_validation")  # vLLM shows what lies below its own name


def register() -> None:
    """Guard this process' engines by the policy in the environment.

    Raises:
        PolicyError: The policy is none.
        Refused: A variable lets vLLM load what no signature covers.
        Undecided: This vLLM cannot be guarded.
    """
    text = os.environ.get(contract.POLICY_VARIABLE)
    if text is None:
        if multiprocessing.parent_process() is None:  # said once, by the process that others start
            _log.warning(
                "model-validation checks NOTHING: set %s to a ModelValidation, or to the absolute "
                "path of its file",
                contract.POLICY_VARIABLE,
            )
        return

    from vllm.engine import arg_utils

    from validator.vllm.plugin.guard import Guard

    # First of all: vLLM calls us once, and whoever catches what follows may try again.
    guard = Guard(text, environment=os.environ, log=_log)
    guard.install(arg_utils.EngineArgs)
    guard.check_start()
