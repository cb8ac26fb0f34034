"""`workload.arguments: Check`: that vLLM opens what was verified, as far as its pod says.

A guard against mistakes, not a boundary (`webhook.vllm.strict` is one): an image may
start anything. For each container of the workload the caller asks

    check(reading, mounts_model=…, model_paths=(…)) -> Judgement

with the container as it was read, whether it mounts a model, and the verified paths.
`webhook.vllm.recognition` tells whether it is vLLM. Of anything else that mounts the
model, a warning says that its arguments are not read. Of vLLM

- refused: what is opened outside of the verified paths (model, tokenizer, config,
  adapters, draft, chat template, download directory, `--config`, code by its
  file); a chat template as text; a hub id, unless its revision is a full commit,
  HF_HUB_OFFLINE is 1 and the cache's snapshot is verified; a URL; no model at
  all; adapters and weights that are loaded later (VLLM_ALLOW_RUNTIME_LORA_UPDATING,
  VLLM_SERVER_DEV_MODE, --weight-transfer-config); what decides of these and cannot
  be read;
- warned of: a shell or another program before vLLM; a tag that names a release of
  vLLM whose options are not known; code that the image is to
  bring (classes and plugins by name, PYTHONPATH, LD_PRELOAD, caches of compiled
  code); a chat template from the image or a ConfigMap; options that the table
  does not know; `envFrom`; --trust-remote-code
  without HF_HUB_OFFLINE, since config.json may name another repository;
- covered: every path that is opened, for the gate to find in the signature. A
  link is followed by the gate, not here. A relative path starts at workingDir;
  without one it starts wherever the image says, and is refused.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from validator.paths import canonical
from validator.text import quoted
from validator.vllm.options import TABLE
from webhook.vllm import command_line
from webhook.vllm import opened as openings
from webhook.vllm.code_places import judge_mounts, judge_program
from webhook.vllm.command_line import Form, MalformedError
from webhook.vllm.covered import Draft, Surroundings, judge_openings
from webhook.vllm.parser import UnreadableError
from webhook.vllm.recognition import tagged_release
from webhook.vllm.variables import judge_variables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from webhook.vllm.reading import Reading


class Volume(Protocol):
    """A volume of the pod."""

    @property
    def kind(self) -> str:
        """Its field in the pod, such as `configMap`."""


_NO_VOLUMES: Final[Mapping[str, Volume]] = MappingProxyType({})


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The refusals and warnings for a container's arguments and environment.

    Attributes:
        refusals: Why it must not run, a sentence each.
        warnings: What a person should look at, a sentence each.
        cover: Absolute, canonical paths that the signature must cover.
        unread: What could not be read, a sentence each; they are warnings or refusals too.
        vllm: Whether it is seen to start vLLM, and its arguments were read.
    """

    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    cover: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    vllm: bool = False


def check(
    reading: Reading,
    *,
    mounts_model: bool,
    model_paths: Sequence[str],
    volumes: Mapping[str, Volume] = _NO_VOLUMES,
) -> Judgement:
    """Judge a container of the workload.

    Args:
        reading: The container.
        mounts_model: Whether it mounts any of the models.
        model_paths: The verified paths, absolute and canonical.
        volumes: The pod's volumes, by name.
    """
    container = reading.container
    draft = Draft(where=f"container {quoted(container.get('name') or '')}")
    try:
        environment = reading.environment
        line = reading.line
        seen = reading.is_vllm
    except MalformedError as error:
        return Judgement(refusals=(f"{draft.where}: {error}",))
    if not mounts_model and not seen:
        return Judgement()
    surroundings = Surroundings(
        environment=environment,
        model_paths=tuple(model_paths),
        working_dir=container.get("workingDir"),
        mounts=_volume_kinds(container, volumes) if mounts_model else {},
    )
    if environment.open:
        draft.unknown("envFrom sets variables that cannot be read; name them in env")
    if line.form is None or not seen:
        program = f" ({quoted(line.program)})" if line.program else ""
        draft.unknown(
            f"what it runs{program} is not seen to be vLLM, so its arguments are not read, and "
            "what it opens is not known; start vLLM as `vllm serve`"
        )
    else:
        _check_arguments(draft, reading, line.form, surroundings)
        judge_program(draft, line.program, surroundings)
        judge_mounts(draft, surroundings)
    judge_variables(draft, surroundings)
    return Judgement(
        refusals=tuple(dict.fromkeys(draft.refusals)),
        warnings=tuple(dict.fromkeys(draft.warnings)),
        cover=tuple(dict.fromkeys(draft.cover)),
        unread=tuple(dict.fromkeys(draft.unread)),
        vllm=seen,
    )


def _check_arguments(
    draft: Draft, reading: Reading, form: Form, surroundings: Surroundings
) -> None:
    """Judge a command line that is vLLM's."""
    line = reading.line
    if line.module == command_line.RESTORE:
        draft.refuse(
            f"{line.module} serves an image of memory, which no signature covers; start the "
            "verified model by vllm serve"
        )
        return
    release = tagged_release(reading.container.get("image"))
    if release and not TABLE.knows(release):
        draft.warn(
            f"its image is of vLLM {release}, and its arguments are read as {TABLE.reading} would "
            "read them; another release may open more"
        )
    if line.wrapped:
        draft.unknown("another program starts vLLM, and what it changes cannot be read")
    if line.module and line.module not in command_line.SERVER_MODULES:
        draft.unknown(f"{quoted(line.module)} is read as if it were vLLM's server")
    try:
        parsed = reading.parsed
    except UnreadableError as error:
        draft.unreadable(f"vLLM's arguments cannot be read ({error}); {error.remedy}")
        return
    opened = openings.find(parsed, form=form)
    for sentence in opened.unreadable:
        draft.unreadable(f"{sentence}, so what it opens cannot be read; write it literally")
    for sentence in opened.unread:
        draft.unknown(f"{sentence}, and what it opens cannot be read")
    judge_openings(draft, opened, surroundings, bare=line.entrypoint)


def _volume_kinds(
    container: Mapping[str, Any], volumes: Mapping[str, Volume]
) -> dict[str, str] | None:
    """Return where a container mounts which kind of volume; None where its JSON does not say."""
    mounts = container.get("volumeMounts")
    if not isinstance(mounts, list):
        return None
    return {
        canonical(mount["mountPath"]): volume.kind if volume else ""
        for mount in mounts
        if isinstance(mount, dict) and isinstance(mount.get("mountPath"), str)
        for volume in (volumes.get(str(mount.get("name"))),)
    }
