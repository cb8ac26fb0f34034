"""`workload.arguments: Strict`: an allowlist, so that nothing but the verified model is served.

For each container of the workload the caller asks

    refusals(reading, mounts_model=…, model_paths=(…)) -> tuple[str, ...]

beside `webhook.vllm.check.check`, whose refusals count too. Nothing is said of a
container that neither mounts a model nor starts vLLM: only its image must be
pinned. Of any other, everything must be literal, spelled in full and known:

- it starts vLLM itself: `vllm serve MODEL …` or `python3 -m` with vLLM's server,
  or leaves that to its image's entrypoint; no shell, no other program;
- its options are known to open nothing, or a path; none twice, no underscores,
  prefixes, JSON or dots; no option by which other machines take part;
- its variables are known to decide nothing, or are the policy of the check inside
  vLLM; their values are literal, but for secrets like HF_TOKEN; no `envFrom`;
- nothing is mounted over its image but the models, and at /tmp and /dev/shm
  volumes that are empty when it starts (`fresh`, which the caller tells); one at
  /dev/shm, where the container would share that with others (`accompanied`);
- no lifecycle hooks, no exec probes, no workingDir;
- its image is named by digest.

What an image does with it all is the image's: a digest says which one it is.
A container without the model may do as it likes, so Services are to name ports.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.paths import canonical, covers
from validator.text import quoted
from validator.vllm.options import TABLE, Kind, Option, Variable
from webhook.vllm import command_line
from webhook.vllm.command_line import MalformedError, is_known
from webhook.vllm.recognition import is_vllm

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from webhook.vllm.reading import Reading

ALLOWED_KINDS: Final = frozenset(
    {Kind.SAFE, Kind.MODEL, Kind.TOKENIZER, Kind.CONFIG, Kind.ADAPTER, Kind.DRAFT, Kind.TEMPLATE}
)
"""What allowed options open: nothing, or what `Check` holds to the verified paths."""

SECRETS: Final = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "VLLM_API_KEY"})
"""Variables whose value may come from a Secret: they open doors for clients, not for content."""

_DIGEST: Final = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_PYTHON_STARTS: Final = (["python", "-m"], ["python3", "-m"])
_MEMORY: Final = "/dev/shm"
_SCRATCH: Final = frozenset({"/tmp", _MEMORY})
_VALUE_START: Final = re.compile(r"[^-]|-\d")
_OPTIONS: Final[dict[str, Option]] = {
    flag: option for option in TABLE.options for flag in option.flags
}


def refusals(
    reading: Reading,
    *,
    mounts_model: bool,
    model_paths: Sequence[str],
    fresh: Collection[str] = (),
    accompanied: bool = False,
) -> tuple[str, ...]:
    """Return why a container of the workload must not run, a sentence each.

    Args:
        reading: The container.
        mounts_model: Whether it mounts any of the models.
        model_paths: The verified paths, absolute and canonical.
        fresh: Names of the pod's volumes that are empty when this container starts: each an
            emptyDir that no other container mounts.
        accompanied: Whether others run in its pod, or share the node's memory with it.
    """
    container = reading.container
    where = f"container {quoted(container.get('name') or '')}"
    try:
        found = (
            *_found(reading, mounts_model=mounts_model, model_paths=model_paths),
            *(_mounts(container, model_paths, fresh) if mounts_model else ()),
            *(_memory(container) if mounts_model and accompanied else ()),
        )
    except MalformedError as error:
        found = (str(error),)
    return tuple(dict.fromkeys(f"{where}: {sentence}" for sentence in found))


def _found(reading: Reading, *, mounts_model: bool, model_paths: Sequence[str]) -> Iterator[str]:
    container = reading.container
    image = container.get("image")
    if not isinstance(image, str) or not _DIGEST.fullmatch(image):
        yield f"the image {quoted(image)} is not named by its digest; write NAME@sha256:…"
    if not mounts_model and not is_vllm(reading):
        return
    if not mounts_model:
        yield "it starts vLLM without the verified model; mount it"
    yield from _hooks(container)
    yield from _variables(reading)
    arguments = _start(container) if is_vllm(reading) else None
    if arguments is None:
        yield (
            "it is not seen to start vLLM and nothing else; write the command as "
            f"`vllm serve {' or '.join(model_paths)}`, each word an entry of its own"
        )
        return
    yield from _arguments(arguments)
    offline = reading.environment.values.get("HF_HUB_OFFLINE")
    if "--trust-remote-code" in arguments and offline != "1":
        yield (
            "--trust-remote-code runs code of other repositories where config.json names them; "
            'set HF_HUB_OFFLINE to "1"'
        )


def _start(container: Mapping[str, Any]) -> list[str] | None:
    """Return vLLM's arguments, or None where anything but vLLM is started."""
    command = command_line.texts(container, "command")
    arguments = command_line.texts(container, "args")
    if not command:
        return arguments[1:] if arguments[:1] == ["serve"] else arguments or None
    started = [*command, *arguments]
    if started[:2] == ["vllm", "serve"]:
        return started[2:]
    module = started[2:3]
    if started[:2] in _PYTHON_STARTS and module and module[0] in command_line.SERVER_MODULES:
        return started[3:]
    return None


def _arguments(arguments: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with vLLM's arguments, read word by word."""
    seen: set[str] = set()
    rest = list(arguments)
    if rest and rest[0].startswith("/"):
        seen.add("model")
        yield from _values("the positional argument", [rest.pop(0)])
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        option = _OPTIONS.get(flag)
        if option is None:
            yield f"{quoted(flag)} is none of vLLM's options in full; options come one by one"
            continue
        if option.kind not in ALLOWED_KINDS or option.json or option.dest == "help":
            yield f"{flag} is not on the list of options that are safe beside a model; remove it"
        if option.dest in seen:
            yield f"{flag} is given twice, or beside the positional argument; keep one"
        seen.add(option.dest)
        values = [value] if equals else _taken(option, rest)
        if not values and option.arity not in (0, "?"):
            yield f"{flag} lacks its value"
        yield from _values(flag, values)
        if option.kind is Kind.ADAPTER and any(
            "," in value or "=" not in value for value in values
        ):
            yield f"{flag} is not written as NAME=PATH"


def _taken(option: Option, rest: list[str]) -> list[str]:
    """Take from the front of `rest` the values that belong to an option."""
    taken: list[str] = []
    most = 0 if option.arity == 0 else 1 if option.arity in (None, "?") else len(rest)
    while rest and len(taken) < most and _VALUE_START.match(rest[0]):
        taken.append(rest.pop(0))
    return taken


def _values(flag: str, values: Iterable[str]) -> Iterator[str]:
    for value in values:
        if "$(" in value or "$$" in value:
            yield f"{flag} takes its value {quoted(value)} from elsewhere; write it literally"


def _variables(reading: Reading) -> Iterator[str]:
    environment = reading.environment
    if environment.open:
        yield "envFrom sets variables that cannot be read; name them in env"
    names = [variable["name"] for variable in reading.container.get("env") or ()]
    for name in sorted(name for name, times in Counter(names).items() if times > 1):
        yield f"{quoted(name)} is set twice; keep one"
    for name in sorted(environment.values.keys() | environment.unknown):
        value = environment.values.get(name)
        if name == "HOME" and value in _SCRATCH:
            continue  # where vLLM keeps caches, and Python packages of a user: empty at the start
        if TABLE.environment.get(name) is not Variable.SAFE and name != contract.POLICY_VARIABLE:
            yield f"{quoted(name)} is not on the list of variables that are safe; remove it"
        elif name in environment.unknown and name not in SECRETS:
            yield f"{name} takes its value from elsewhere; write it literally"
        elif value is not None and not is_known(value):
            yield f"{name} takes its value {quoted(value)} from elsewhere; write it literally"


def _mounts(
    container: Mapping[str, Any], model_paths: Sequence[str], fresh: Collection[str]
) -> Iterator[str]:
    mounts = container.get("volumeMounts") or ()
    for mount in mounts if isinstance(mounts, list) else ():
        path = mount.get("mountPath") if isinstance(mount, dict) else None
        at = canonical(path) if isinstance(path, str) else "/"
        if at == contract.SERVICE_ACCOUNT_PATH or any(covers(at, model) for model in model_paths):
            continue
        if at in _SCRATCH and any(mount.get("name") == name for name in fresh):
            continue
        yield (
            f"the mount at {quoted(path)} may hide what the image brings; mount nothing but "
            "models, and at /tmp and /dev/shm emptyDirs of the container's own"
        )


def _memory(container: Mapping[str, Any]) -> Iterator[str]:
    mounts = container.get("volumeMounts") or ()
    if not any(mount.get("mountPath") == _MEMORY for mount in mounts):
        yield (
            f"other containers can write its {_MEMORY}, where vLLM's processes leave Python "
            "objects for one another; mount an emptyDir of its own there"
        )


def _hooks(container: Mapping[str, Any]) -> Iterator[str]:
    if container.get("lifecycle"):
        yield "lifecycle hooks run programs beside vLLM; remove them"
    if container.get("workingDir"):
        yield "workingDir decides what relative names mean; remove it"
    if container.get("terminationMessagePath") not in (None, contract.TERMINATION_MESSAGE_PATH):
        yield "terminationMessagePath is a file over the image's own; remove it"
    for name in _PROBES:
        probe = container.get(name)
        if isinstance(probe, dict) and probe.get("exec"):
            yield f"{name} runs a program beside vLLM; ask by httpGet"
