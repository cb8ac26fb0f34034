"""A container's command line and environment, as Kubernetes expands them.

Belongs here: `$(NAME)`, what is recognised as vLLM and what hides it. Does not
belong here: what vLLM's options mean.

Arguments and values that cannot be known before the pod runs (from a ConfigMap,
a Secret, the node) keep their `$(NAME)`: `is_known` tells them apart. Text that
looks like it but is meant literally is taken for unknown too.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_REFERENCE: Final = re.compile(r"\$(?:\$|\(([^)]*)\))")

EXPANSION_LIMIT: Final = 2 * 1024 * 1024
"""Characters of all arguments, or all variables, once expanded: Linux gives a process no more
(a quarter of an 8 MiB stack, in bytes)."""

WRAPPERS_LIMIT: Final = 16
"""Places of a command line at which vLLM is looked for: what stands before it is short."""

_TOO_LONG: Final = "the arguments or variables are longer than Linux gives to a process"

_PYTHON: Final = re.compile(r"python(?:3(?:\.\d+)?)?")
_MODULE_FLAG: Final = re.compile(r"-[bBdEhiIOPqsSuvVx]*m(.*)", re.DOTALL)
_CODE_FLAG: Final = re.compile(r"-[bBdEhiIOPqsSuvVx]*c")
_FLAGS_WITH_VALUE: Final = frozenset({"-W", "-X", "--check-hash-based-pycs"})
_COMMAND_MODULE: Final = "vllm.entrypoints.cli.main"
SERVER_MODULES: Final = frozenset(
    {"vllm.entrypoints.openai.api_server", "vllm.entrypoints.launchers.api_server.entry"}
)
"""The modules that are vLLM's server, in the versions up to the table's."""

SHELLS: Final = frozenset({"ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "sh", "zsh"})

_PROGRAMS: Final = SHELLS | {
    *("accelerate", "deepspeed", "dumb-init", "env", "lmcache", "lmcache_server", "lmcache_vllm"),
    *("mpirun", "nsys", "numactl", "nvidia-smi", "ray", "sleep", "tail", "tini", "torchrun", "uv"),
    "vllm",
}
"""Programs that people name in `args`, where the image starts what it is given."""


class Form(Enum):
    """The way vLLM is started, which decides what its positional argument is."""

    SERVE = "vllm serve"
    MODULE = "python -m vllm…"
    BARE = "the image's own entrypoint"


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A container's variables.

    Attributes:
        values: Those with a literal value, expanded.
        unknown: Names of those whose value comes from elsewhere.
        open: Whether `envFrom` may set any other.
    """

    values: Mapping[str, str]
    unknown: frozenset[str]
    open: bool


class CommandLine(msgspec.Struct, frozen=True, kw_only=True):
    """A container's command line.

    Attributes:
        form: How vLLM is started; None where it is not seen to be.
        arguments: vLLM's own arguments.
        program: What is started, as far as the pod says.
        wrapped: Whether another program stands before vLLM.
        module: The module, where Python starts it, or the command where it is not `vllm serve`.
        entrypoint: Whether the image decides what is started: there is no command.
    """

    form: Form | None
    arguments: tuple[str, ...] = ()
    program: str = ""
    wrapped: bool = False
    module: str = ""
    entrypoint: bool = False


_COMMANDS: Final[dict[tuple[str, ...], Form]] = {
    ("serve",): Form.SERVE,
    ("launch", "render"): Form.SERVE,
    ("snapshot", "create"): Form.SERVE,
    ("snapshot", "restore"): Form.SERVE,
    ("preload",): Form.MODULE,
    ("run-batch",): Form.MODULE,
    ("bench", "forward"): Form.MODULE,
    ("bench", "latency"): Form.MODULE,
    ("bench", "mm-processor"): Form.MODULE,
    ("bench", "startup"): Form.MODULE,
    ("bench", "throughput"): Form.MODULE,
}
"""vLLM's commands that read a model, most of them by the server's options, and their forms
(`vllm/entrypoints/cli` in vLLM 0.30 to 0.33)."""

_OTHER_COMMANDS: Final = frozenset(
    {"bench", "chat", "collect-env", "complete", "download-kernels", "launch", "snapshot"}
)

RESTORE: Final = "vllm snapshot restore"
"""The command that serves an image of a process' memory, and reads no model."""


class MalformedError(Exception):
    """A field of the container is not what Kubernetes defines."""


def is_known(text: str) -> bool:
    """Tell whether a text is free of references to what cannot be known here."""
    return "$(" not in text


def environment(container: Mapping[str, Any]) -> Environment:
    """Return a container's variables; the last of a name counts.

    Raises:
        MalformedError: `env` is not a list of named variables.
    """
    values: dict[str, str] = {}
    unknown: set[str] = set()
    budget = EXPANSION_LIMIT
    for variable in _list(container, "env"):
        name = variable.get("name") if isinstance(variable, dict) else None
        value = (variable.get("value") or "") if isinstance(variable, dict) else None
        if not isinstance(name, str) or not isinstance(value, str):
            raise MalformedError("env is not a list of variables with a name and a text")
        if variable.get("valueFrom"):
            unknown.add(name)
            values.pop(name, None)
        else:
            unknown.discard(name)
            values[name] = expand(value, values, limit=budget)
            budget -= len(values[name])
    return Environment(
        values=values, unknown=frozenset(unknown), open=bool(_list(container, "envFrom"))
    )


def expand(text: str, values: Mapping[str, str], *, limit: int = EXPANSION_LIMIT) -> str:
    """Return a text with `$(NAME)` replaced as the kubelet does: once, and `$$` stands for `$`.

    Raises:
        MalformedError: The result has more characters than `limit`.
    """
    length = len(text)
    if "$" not in text and length <= limit:  # as almost always
        return text

    def replacement(match: re.Match[str]) -> str:
        nonlocal length
        name = match.group(1)
        found = "$" if name is None else values.get(name, match.group())
        length += len(found) - len(match.group())
        if length > limit:
            raise MalformedError(_TOO_LONG)
        return found

    end = text.rfind(")") + 1  # no reference ends after it, and looking for one is quadratic
    expanded = _REFERENCE.sub(replacement, text[:end]) + text[end:].replace("$$", "$")
    if len(expanded) > limit:
        raise MalformedError(_TOO_LONG)
    return expanded


def read(container: Mapping[str, Any], values: Mapping[str, str]) -> CommandLine:
    """Return what a container starts.

    Raises:
        MalformedError: `command` or `args` is not a list of texts.
    """
    command, arguments = _expanded(container, values)
    started = [*command, *arguments]
    for index in range(min(len(started), WRAPPERS_LIMIT)):
        if found := _vllm_at(started, index):
            return found
    if command or not arguments:
        return CommandLine(form=None, program=_program(started))
    if found := _commanded(arguments, program="", wrapped=False, entrypoint=True):
        return found
    first = posixpath.basename(arguments[0])
    if first in _PROGRAMS or _PYTHON.fullmatch(first) or arguments[0] in _OTHER_COMMANDS:
        return CommandLine(form=None, program=_program(arguments))
    return CommandLine(form=Form.BARE, arguments=tuple(arguments), entrypoint=True)


def _program(started: Sequence[str]) -> str:
    """Return what is started, for a sentence: of vLLM with its command."""
    return " ".join(started[: 2 if posixpath.basename("".join(started[:1])) == "vllm" else 1])


def _commanded(
    words: Sequence[str], *, program: str, wrapped: bool, entrypoint: bool = False
) -> CommandLine | None:
    """Return the command line of the words that follow `vllm`; None where they read no model."""
    for length in (1, 2):
        form = _COMMANDS.get(tuple(words[:length]))
        if form is not None:
            return CommandLine(
                form=form,
                arguments=tuple(words[length:]),
                program=program,
                wrapped=wrapped,
                module="" if words[0] == "serve" else f"vllm {' '.join(words[:length])}",
                entrypoint=entrypoint,
            )
    return None


def _expanded(
    container: Mapping[str, Any], values: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    budget = EXPANSION_LIMIT
    fields: list[list[str]] = []
    for name in ("command", "args"):
        expanded: list[str] = []
        for text in texts(container, name):
            expanded.append(expand(text, values, limit=budget))
            budget -= len(expanded[-1])
        fields.append(expanded)
    return fields[0], fields[1]


def texts(container: Mapping[str, Any], name: str) -> list[str]:
    """Return a field that is a list of texts, empty where it is absent.

    Raises:
        MalformedError: It is something else.
    """
    listed = _list(container, name)
    if not all(isinstance(text, str) for text in listed):
        raise MalformedError(f"{name} is not a list of texts")
    return listed


def _list(container: Mapping[str, Any], name: str) -> list[Any]:
    listed = container.get(name) or []
    if not isinstance(listed, list):
        raise MalformedError(f"{name} is not a list")
    return listed


def _vllm_at(started: Sequence[str], index: int) -> CommandLine | None:
    """Return the command line where vLLM is started by the program at an index."""
    program = started[index].rpartition("/")[2]
    if program == "vllm":
        return _commanded(started[index + 1 :], program=started[index], wrapped=index > 0)
    if not program.startswith("python") or not _PYTHON.fullmatch(program):
        return None
    module, rest = _module(started[index + 1 :])
    if not module.startswith("vllm."):
        return None
    if module == _COMMAND_MODULE:
        return _commanded(rest, program=started[index], wrapped=index > 0)
    return CommandLine(
        form=Form.MODULE,
        arguments=tuple(rest),
        program=started[index],
        wrapped=index > 0,
        module=module,
    )


def _module(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the module that Python is told to run, and what follows it."""
    remaining: Iterator[str] = iter(arguments)
    for argument in remaining:
        if match := _MODULE_FLAG.fullmatch(argument):
            return match.group(1) or next(remaining, ""), list(remaining)
        if not argument.startswith("-") or _CODE_FLAG.match(argument):
            break
        if argument in _FLAGS_WITH_VALUE:
            next(remaining, None)
    return "", []
