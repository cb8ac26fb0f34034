"""The paths that an engine opens, from vLLM's own objects after it has read its arguments.

Belongs here: reading the values of vLLM's `EngineArgs`. Which of its fields are
paths, or let vLLM load what no signature covers, the table of options says
(`validator.vllm.options`). Does not belong here: code that arguments name;
whoever starts vLLM decides which code runs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from validator.errors import Refused, Undecided
from validator.text import quoted
from validator.vllm.facts import OFFLINE, is_off, is_on, is_pathlike
from validator.vllm.option_kinds import LOAD_FORMATS, Kind
from validator.vllm.options import OPTIONS, TABLE
from validator.vllm.variable_kinds import Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PATH_KINDS: Final = frozenset({Kind.TOKENIZER, Kind.CONFIG, Kind.DRAFT})

PATHS: Final[dict[str, frozenset[str]]] = {
    "model_weights": frozenset({""}),  # no option: vLLM sets it where weights are fetched
    **{
        option.dest: frozenset(option.known)
        for option in TABLE.options
        if option.kind in _PATH_KINDS and not option.json
    },
}
"""Fields of `EngineArgs` that may name one path beside the model's, and values that name none."""

SETTINGS: Final[dict[str, dict[str, frozenset[str]]]] = {
    option.dest: {
        key: frozenset(rule.known) for key, rule in option.keys.items() if rule.kind in _PATH_KINDS
    }
    for option in TABLE.options
    if option.kind is Kind.PATHS or _PATH_KINDS & {rule.kind for rule in option.keys.values()}
}
"""Fields with settings; their keys that are always paths. Any other value that looks like a path
counts as one."""

ADAPTERS: Final = tuple(
    option.dest for option in TABLE.options if option.kind is Kind.ADAPTER and option.json
)
"""The fields with adapters by name."""

REMOTE: Final = tuple(
    option.dest for option in TABLE.options if option.kind is Kind.REMOTE and not option.known
)
"""Fields, and keys of any settings, that load what no signature covers, if they are set."""

REMOTE_SETTINGS: Final[dict[str, dict[str, frozenset[str]]]] = {
    field: {
        key: frozenset(rule.known)
        for key, rule in OPTIONS[field].keys.items()
        if rule.kind is Kind.REMOTE
    }
    for field in SETTINGS
}
"""Keys of settings that load what no signature covers, unless their value is one of these."""

FIELDS: Final = frozenset(
    {"model", "model_weights", "load_format", "trust_remote_code"}
    | {
        field
        for field in (*PATHS, *SETTINGS, *REMOTE, *ADAPTERS)
        if field != "model_weights" and OPTIONS[field].everywhere
    }
)
"""All fields of `EngineArgs` that each known release has, and that are looked at; a vLLM without
one of them is another one."""

VARIABLES: Final = sorted(TABLE.variables(Variable.REMOTE, Variable.PATH))
"""Variables that let vLLM load something else, or load more while it serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPath:
    """A value by which the engine opens something.

    Attributes:
        option: Whose value it is, as a person writes it: `--speculative-config.model`.
        value: A path, as vLLM was given it, or any other value.
        instead: What to do where it must not be opened; None for the name of a verified path.
    """

    option: str
    value: object
    instead: str | None = None


def of_engine(arguments: Any) -> Iterator[NamedPath]:
    """Yield what an engine opens.

    Args:
        arguments: vLLM's `EngineArgs`, or its `ModelConfig`, which has some of their fields.
    """
    yield NamedPath(option="--model", value=arguments.model)
    for field, silent in PATHS.items():
        value = getattr(arguments, field, None)
        if value is not None and value not in silent:
            yield NamedPath(option=_option(field), value=value)
    for field, keys in SETTINGS.items():
        for key, value in _leaves(_settings(arguments, field)):
            always = keys.get(key)
            if value not in always if always is not None else is_pathlike(value):
                yield NamedPath(option=f"{_option(field)}.{key}", value=value)
    for field in ADAPTERS:
        for name, path in _settings(arguments, field).items():
            yield NamedPath(option=f"{_option(field)}.{name}", value=path)


def of_server(arguments: Any) -> Iterator[NamedPath]:
    """Yield what a server opens beside its engine.

    Args:
        arguments: The parsed command line; commands without a server lack these options.
    """
    template = getattr(arguments, "chat_template", None)
    if template is not None:
        yield NamedPath(option="--chat-template", value=template)
    for adapter in getattr(arguments, "lora_modules", None) or ():
        yield NamedPath(option="--lora-modules", value=adapter.path)


def is_server(arguments: Any) -> bool:
    """Tell whether a parsed command line is a server's."""
    return hasattr(arguments, "middleware")


def refuse_requests(command_line: Any) -> None:
    """Refuse a server that lets its requests name files.

    Args:
        command_line: The parsed command line; commands without a server lack the option.

    Raises:
        Refused: It does.
    """
    if getattr(command_line, "trust_request_mm_kwargs", False):
        raise Refused(
            "--trust-request-mm-kwargs lets requests say which files a processor opens, and no "
            "signature covers them; leave it out"
        )


def refuse_another_vllm(arguments: Any) -> None:
    """Refuse `EngineArgs` that lack a field: a release that has renamed it would be unchecked.

    Args:
        arguments: vLLM's `EngineArgs`; anything else has other fields, and is let be.

    Raises:
        Undecided: It is not the class that we know.
    """
    if not any(kind.__name__ == "EngineArgs" for kind in type(arguments).__mro__):
        return
    missing = sorted(FIELDS - {field.name for field in dataclasses.fields(arguments)})
    if missing:
        raise Undecided(
            f"this vLLM cannot be guarded: its EngineArgs has no {', '.join(missing)}; use a "
            "release of vLLM and of model-validation that fit together"
        )


def refuse_remote(arguments: Any) -> None:
    """Refuse arguments by which an engine loads what no signature covers.

    Args:
        arguments: vLLM's `EngineArgs`, its `ModelConfig` or its `LoadConfig`.

    Raises:
        Refused: There is one.
    """
    for field in REMOTE:
        if getattr(arguments, field, None) is not None:
            raise Refused(f"{_option(field)} loads what no signature covers; remove it")
    for field, keys in REMOTE_SETTINGS.items():
        for key, value in _leaves(_settings(arguments, field)):
            if key in REMOTE or (key in keys and value not in keys[key]):
                raise Refused(
                    f"{_option(field)}.{key} {quoted(value)} loads what no signature covers; "
                    "remove it"
                )
    load_format = getattr(arguments, "load_format", None)
    if load_format is not None and load_format not in LOAD_FORMATS:
        raise Refused(
            f"--load-format {quoted(load_format)} is not known to read the model's own "
            "files; leave it out"
        )


def refuse_variables(environment: Mapping[str, str]) -> None:
    """Refuse variables by which vLLM loads what no signature covers, and a hub that is asked.

    Raises:
        Refused: There is one.
    """
    for name in VARIABLES:
        if not is_off(environment.get(name, "")):
            raise Refused(f"{name} lets vLLM load what no signature covers; remove it")
    if not is_on(environment.get(OFFLINE)):
        raise Refused(
            "the hub may be asked for what the model's configuration names, code among it; set "
            f"{OFFLINE} to 1"
        )


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _settings(arguments: Any, field: str) -> Mapping[str, Any]:
    """Return a field's settings; none where it is a function, as vLLM sets for a draft model."""
    settings = getattr(arguments, field, None)
    return settings if isinstance(settings, dict) else {}


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
