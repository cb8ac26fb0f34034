"""The container that has the model under `Strict`: it starts vLLM and nothing else.

Everything is literal, spelled in full and known:

- it starts vLLM itself: `vllm serve MODEL …` or `python3 -m` with vLLM's server, or its image
  is seen to start vLLM; no shell, no other program;
- its options are known to open nothing, or a path (`arguments`);
- its variables are on the list (`variables`);
- nothing is mounted over its image but the models, and at /tmp and /dev/shm emptyDirs that no
  other container uses; one at /dev/shm, where other containers run in the pod;
- what else lies on a model's volume is mounted only where no image has files of its own.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.paths import canonical, covers
from validator.text import quoted
from validator.vllm.facts import HOOK_DIRECTORY, OFFLINE
from validator.vllm.option_kinds import Kind
from webhook.vllm import command_line
from webhook.vllm.code_places import brings_hook
from webhook.vllm.command_line import MalformedError
from webhook.vllm.parser import UnreadableError
from webhook.vllm.strict import arguments, variables

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from webhook.vllm.reading import Reading

_PYTHON_STARTS: Final = (["python", "-m"], ["python3", "-m"])
_MEMORY: Final = "/dev/shm"
_SCRATCH: Final = frozenset({"/tmp", _MEMORY})
_NOT_THE_IMAGES: Final = ("/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/var")
"""Folders with files that runtimes, the kernel or the container write, by what the pod says: its
name, its variables, its DNS settings. The mounts that are allowed beside the models lie there."""
_FOR_DATA: Final = ("/data", "/media", "/mnt", "/model", "/models", "/srv")
"""Folders in which no image keeps programs, libraries or caches: more than the model may be mounted
there. Elsewhere, what lies beside the model on its volume would hide what the image brings."""


def refusals(
    reading: Reading,
    *,
    model_paths: Sequence[str],
    fresh: Collection[str] = (),
    accompanied: bool = False,
) -> tuple[str, ...]:
    """Return why a container that has the model must not run, a sentence each.

    Args:
        reading: The container.
        model_paths: The verified paths, absolute and canonical.
        fresh: Names of the pod's emptyDirs that no other container mounts.
        accompanied: Whether others run beside it in its pod.
    """
    where = f"container {quoted(reading.container.get('name') or '')}"
    try:
        found = (
            *_started(reading, model_paths),
            *variables.refusals(reading, scratch=_homes(reading.container)),
            *_refused_mounts(reading.container, model_paths, fresh),
            *(_memory(reading.container) if accompanied else ()),
        )
    except MalformedError as error:
        found = (str(error),)
    return tuple(dict.fromkeys(f"{where}: {sentence}" for sentence in found))


def _started(reading: Reading, model_paths: Sequence[str]) -> Iterator[str]:
    if not reading.container.get("volumeMounts"):
        yield "it starts vLLM without the verified model; mount it"
    words = _start(reading.container) if reading.is_vllm else None
    if words is None:
        yield (
            "it is not seen to start vLLM and nothing else; write the command as "
            f"`vllm serve {' or '.join(model_paths)}`, each word an entry of its own"
        )
        return
    yield from arguments.refusals(words)
    yield from _templates(reading, model_paths)
    if "--trust-remote-code" in words and reading.environment.values.get(OFFLINE) != "1":
        yield (
            "--trust-remote-code runs code of other repositories where config.json names them; "
            f'set {OFFLINE} to "1"'
        )


def _templates(reading: Reading, model_paths: Sequence[str]) -> Iterator[str]:
    """Yield which chat templates are neither a model's nor the image's."""
    try:
        given = reading.parsed.given
    except UnreadableError:  # which `Check` refuses
        return
    for value in (each for it in given if it.option.kind is Kind.TEMPLATE for each in it.values):
        path = canonical(value)
        written = any(covers(folder, path) for folder in _NOT_THE_IMAGES)
        if written and not any(covers(model, path) for model in model_paths):
            yield (
                f"the chat template {quoted(value)} is none of the image's files: the pod's author "
                "may have written it; put it into the model, and sign it"
            )


def _start(container: Mapping[str, Any]) -> list[str] | None:
    """Return vLLM's arguments, or None where anything but vLLM is started."""
    command = command_line.texts(container, "command")
    words = command_line.texts(container, "args")
    if not command:
        return words[1:] if words[:1] == ["serve"] else words or None
    started = [*command, *words]
    if started[:2] == ["vllm", "serve"]:
        return started[2:]
    module = started[2:3]
    if started[:2] in _PYTHON_STARTS and module and module[0] in command_line.SERVER_MODULES:
        return started[3:]
    return None


def _refused_mounts(
    container: Mapping[str, Any], model_paths: Sequence[str], fresh: Collection[str]
) -> Iterator[str]:
    mounts = container.get("volumeMounts") or ()
    for mount in mounts if isinstance(mounts, list) else ():
        path = mount.get("mountPath") if isinstance(mount, dict) else None
        at = canonical(path) if isinstance(path, str) else "/"
        if at == contract.SERVICE_ACCOUNT_PATH:
            continue
        held = [model for model in model_paths if covers(at, model)]
        if held:
            yield from _refused_beside(at, held, model_paths)
            continue
        if at in _SCRATCH and str(mount.get("name")) in fresh:
            continue
        yield (
            f"the mount at {quoted(path)} may hide what the image brings; mount nothing but "
            "models, and at /tmp and /dev/shm emptyDirs of the container's own"
        )


def _refused_beside(at: str, held: Sequence[str], model_paths: Sequence[str]) -> Iterator[str]:
    """Yield why a mount that holds models must not show what lies beside them."""
    # The folder of one repository in a hub's cache has what its snapshots are links to.
    alone = at in held or posixpath.basename(at).startswith("models--")
    if brings_hook(at, model_paths):
        yield (
            f"vLLM runs {HOOK_DIRECTORY}/model.py, which may come from the volume that is "
            f"mounted at {quoted(at)}; keep the model at another path"
        )
    elif not alone and not any(covers(folder, at) for folder in _FOR_DATA):
        yield (
            f"the mount at {quoted(at)} shows what lies beside the model on its volume, and may "
            f"hide what the image brings; mount the model's folder alone, at {held[0]} by subPath "
            "(of a hub's cache, the folder models--…), or have the policy name a path below "
            f"{', '.join(_FOR_DATA)}"
        )


def _homes(container: Mapping[str, Any]) -> frozenset[str]:
    """Return the directories that nobody but the container has ever written.

    The pod's own shared memory keeps what init containers left there: compiled code, for one.
    """
    return _SCRATCH if _has_memory(container) else _SCRATCH - {_MEMORY}


def _has_memory(container: Mapping[str, Any]) -> bool:
    mounts = container.get("volumeMounts")
    return isinstance(mounts, list) and any(
        isinstance(mount, dict) and mount.get("mountPath") == _MEMORY for mount in mounts
    )


def _memory(container: Mapping[str, Any]) -> Iterator[str]:
    if not _has_memory(container):
        yield (
            f"other containers can write its {_MEMORY}, where vLLM's processes leave Python "
            "objects for one another; mount an emptyDir of its own there"
        )
