"""What an engine opens, as vLLM's own objects say after it has read its arguments.

Belongs here: which of their fields are paths, and what lets vLLM load something
that no signature covers. They were read one by one in vLLM 0.32. Does not belong
here: code that arguments name; whoever starts vLLM decides which code runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from validator.errors import Refused
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NO_DRAFT: Final = frozenset({"ngram", "[ngram]"})
"""Drafts that are guessed from the prompt, without a model."""

PATHS: Final[dict[str, frozenset[str]]] = {
    "model_weights": frozenset({""}),
    "tokenizer": frozenset(),
    "hf_config_path": frozenset({""}),
    "generation_config": frozenset({"auto", "vllm"}),
    "mm_encoder_fp8_scale_path": frozenset({""}),
    "spec_model": _NO_DRAFT,
}
"""Fields of `EngineArgs` that may name one path beside the model's, and values that name none."""

SETTINGS: Final[dict[str, dict[str, frozenset[str]]]] = {
    "speculative_config": {"model": _NO_DRAFT, "tokenizer": frozenset()},
    "model_loader_extra_config": {},
}
"""Fields with settings; their keys that are always paths. Any other value that looks like a path
counts as one."""

ADAPTERS: Final = "default_mm_loras"
"""The field with adapters by name."""

REMOTE: Final = ("code_revision", "weight_transfer_config")
"""Fields, and keys of settings, that load what no signature covers, if they are set."""

LOAD_FORMATS: Final = frozenset(
    {
        *("auto", "hf", "safetensors", "pt", "npcache", "mistral", "gguf", "bitsandbytes"),
        *("sharded_state", "fastsafetensors", "instanttensor"),
        *("runai_streamer", "runai_streamer_sharded"),
    }
)
"""Ways to load weights that read the model's files. `dummy` makes them up; a plugin's may fetch."""

FIELDS: Final = frozenset(
    {"model", *PATHS, *SETTINGS, *REMOTE, ADAPTERS, "load_format", "trust_remote_code"}
)
"""All fields of `EngineArgs` that are looked at; a vLLM without one of them is another one."""

VARIABLES: Final = (
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
    "VLLM_LORA_RESOLVER_CACHE_DIR",
    "VLLM_LORA_RESOLVER_HF_REPO_LIST",
    "VLLM_MODEL_REDIRECT_PATH",
    "VLLM_SERVER_DEV_MODE",
    "VLLM_TEST_FORCE_LOAD_FORMAT",
    "VLLM_USE_MODELSCOPE",
)
"""Variables that let vLLM load something else, or load more while it serves."""

_OFF: Final = frozenset({"", "0", "false", "no", "off"})
_ON: Final = frozenset({"1", "ON", "TRUE", "YES"})
"""What huggingface_hub takes for true."""

_PATHLIKE: Final = ("/", "~", "./", "../")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Something that the engine opens.

    Attributes:
        option: Whose value it is, as a person writes it: `--speculative-config.model`.
        value: A path, as vLLM was given it, or what is none.
    """

    option: str
    value: object


def of_engine(arguments: Any) -> Iterator[Opening]:
    """Yield what an engine opens.

    Args:
        arguments: vLLM's `EngineArgs`.
    """
    yield Opening(option="--model", value=arguments.model)
    for field, silent in PATHS.items():
        value = getattr(arguments, field)
        if value is not None and value not in silent:
            yield Opening(option=_option(field), value=value)
    for field, keys in SETTINGS.items():
        for key, value in _leaves(getattr(arguments, field) or {}):
            always = keys.get(key)
            if value not in always if always is not None else _is_pathlike(value):
                yield Opening(option=f"{_option(field)}.{key}", value=value)
    for name, path in (getattr(arguments, ADAPTERS) or {}).items():
        yield Opening(option=f"{_option(ADAPTERS)}.{name}", value=path)


def of_server(arguments: Any) -> Iterator[Opening]:
    """Yield what a server opens beside its engine.

    Args:
        arguments: The parsed command line; commands without a server lack these options.
    """
    template = getattr(arguments, "chat_template", None)
    if template is not None:
        yield Opening(option="--chat-template", value=template)
    for adapter in getattr(arguments, "lora_modules", None) or ():
        yield Opening(option="--lora-modules", value=adapter.path)


def refuse_remote(arguments: Any, *, environment: Mapping[str, str]) -> None:
    """Refuse arguments by which an engine loads what no signature covers.

    Args:
        arguments: vLLM's `EngineArgs`.
        environment: The process' variables.

    Raises:
        Refused: There is one.
    """
    for field in REMOTE:
        if getattr(arguments, field) is not None:
            raise Refused(f"{_option(field)} loads what no signature covers; remove it")
    for field in SETTINGS:
        for key, value in _leaves(getattr(arguments, field) or {}):
            if key in REMOTE:
                raise Refused(
                    f"{_option(field)}.{key} {quoted(value)} loads what no signature covers; "
                    "remove it"
                )
    if arguments.load_format not in LOAD_FORMATS:
        raise Refused(
            f"--load-format {quoted(arguments.load_format)} is not known to read the model's own "
            "files; leave it out"
        )
    if arguments.trust_remote_code and environment.get("HF_HUB_OFFLINE", "").upper() not in _ON:
        raise Refused(
            "--trust-remote-code runs code of other repositories where config.json names them; "
            "set HF_HUB_OFFLINE to 1"
        )


def refuse_variables(environment: Mapping[str, str]) -> None:
    """Refuse variables by which vLLM loads what no signature covers.

    Raises:
        Refused: There is one.
    """
    for name in VARIABLES:
        if environment.get(name, "").strip().lower() not in _OFF:
            raise Refused(f"{name} lets vLLM load what no signature covers; remove it")


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _leaves(settings: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield all texts with their keys as vLLM reads them, at any depth."""
    pending: list[tuple[str, Any]] = [("", settings)]
    while pending:
        key, value = pending.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict):
            pending += [(str(name).replace("-", "_"), inner) for name, inner in value.items()]
        elif isinstance(value, list | tuple):
            pending += [(key, inner) for inner in value]


def _is_pathlike(text: str) -> bool:
    return text.startswith(_PATHLIKE) or "://" in text
