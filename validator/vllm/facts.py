"""Facts of vLLM that both sides need: how it and its libraries read values.

The webhook reads command lines with them, and the check inside vLLM the engine's arguments.
"""

from __future__ import annotations

from typing import Final

OFFLINE: Final = "HF_HUB_OFFLINE"
"""The variable that keeps huggingface_hub from asking the hub."""

HOOK_DIRECTORY: Final = "/opt/ml/model"
"""Where vLLM's hook for SageMaker looks for `model.py`, which it runs, whatever else is said
(`SageMakerDefaults` of model_hosting_container_standards)."""

HOOK_HANDLERS: Final = (
    "CUSTOM_FASTAPI_INVOCATION_HANDLER",
    "CUSTOM_FASTAPI_MIDDLEWARE_PRE_POST_PROCESS",
    "CUSTOM_FASTAPI_MIDDLEWARE_THROTTLE",
    "CUSTOM_FASTAPI_PING_HANDLER",
    "CUSTOM_POST_PROCESS",
    "CUSTOM_PRE_PROCESS",
)
"""Variables by which that hook runs a function of a file or a module (its `FastAPIEnvVars`)."""

_ON: Final = frozenset({"1", "ON", "TRUE", "YES"})
"""Texts that huggingface_hub takes for true, in any case (`constants.ENV_VARS_TRUE_VALUES`)."""

_OFF: Final = frozenset({"", "0", "false", "no", "off"})
"""Texts that vLLM takes for no, or that are no value."""

_PATH_STARTS: Final = ("/", "~", "./", "../")


def is_on(value: str | None) -> bool:
    """Tell whether huggingface_hub takes a variable's value for true."""
    return value is not None and value.upper() in _ON


def is_off(value: str) -> bool:
    """Tell whether vLLM takes a variable's value for no."""
    return value.strip().lower() in _OFF


def is_pathlike(text: str) -> bool:
    """Tell whether a text can only be meant as a path or a URL.

    One with a part ".." is: as a processor's `subfolder`, it leads out of the model.
    """
    return text.startswith(_PATH_STARTS) or "://" in text or ".." in text.split("/")
