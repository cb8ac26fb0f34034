"""The check that vLLM opens nothing outside of the verified models.

Belongs here: from an opening to a path, and the sentence where
there is none. Does not belong here: what options mean, and what the signature
covers: the gate looks at that, with the paths that are gathered here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from validator.paths import canonical, covers, nearest
from validator.text import printable, quoted
from validator.vllm.facts import OFFLINE, is_on
from validator.vllm.option_kinds import Kind
from validator.vllm.options import TABLE
from validator.vllm.variable_kinds import Variable
from webhook.vllm.command_line import Environment, is_known

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from webhook.vllm.opened import Opened, Opening

_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_HUB_KINDS: Final = frozenset({Kind.MODEL, Kind.TOKENIZER, Kind.CONFIG, Kind.DRAFT, Kind.ADAPTER})
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")

_TEMPLATE_TEXT: Final = frozenset("{}\n")
"""Characters by which vLLM tells a chat template's text from its path."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """The facts by which a path is judged.

    Attributes:
        environment: The container's variables.
        model_paths: The verified paths.
        working_dir: The container's own, where it gives one.
        mounts: Where the container mounts volumes, and of which kind they are ("" is any kind
            whose content people choose); None where its JSON does not say.
    """

    environment: Environment
    model_paths: tuple[str, ...]
    working_dir: object
    mounts: Mapping[str, str] | None

    @property
    def offline(self) -> bool:
        """Whether the hub is not asked."""
        return is_on(self.environment.values.get(OFFLINE))

    def volume_kind(self, path: str) -> str | None:
        """Return the kind of the volume on which a canonical path lies; None for the image."""
        mounts = self.mounts or {}
        at = nearest(path, mounts)
        return None if at is None else mounts[at]

    @property
    def verified(self) -> str:
        """The verified paths, for a sentence."""
        return " or ".join(self.model_paths) or "a verified model"


@dataclass(slots=True, kw_only=True)
class Draft:
    """A judgement while it is made; `where` names the container."""

    where: str
    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    cover: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def refuse(self, sentence: str) -> None:
        """Add a refusal."""
        self.refusals.append(printable(f"{self.where}: {sentence}"))

    def warn(self, sentence: str) -> None:
        """Add a warning."""
        self.warnings.append(printable(f"{self.where}: {sentence}"))

    def unknown(self, sentence: str) -> None:
        """Add a warning of what could not be read."""
        self.warn(sentence)
        self.unread.append(self.warnings[-1])

    def unreadable(self, sentence: str) -> None:
        """Add a refusal of what could not be read."""
        self.refuse(sentence)
        self.unread.append(self.refusals[-1])


def judge_openings(draft: Draft, opened: Opened, surroundings: Surroundings, *, bare: bool) -> None:
    """Judge what a command line opens; `bare` where nothing but its arguments says vLLM."""
    if not {opening.kind for opening in opened.openings} & {Kind.MODEL, Kind.ARGUMENTS}:
        hint = " (or the command, if this is not vLLM)" if bare else ""
        draft.refuse(
            "vLLM is started without a model and would fetch one of its own choice; "
            f"name the verified one{hint}: {surroundings.verified}"
        )
    if opened.trusts_code and not surroundings.offline:
        draft.warn(
            "--trust-remote-code runs code of other repositories where config.json names them; "
            'set HF_HUB_OFFLINE to "1"'
        )
    for sentence in opened.requests:
        draft.warn(f"{sentence}; leave it out, unless you trust all who send requests")
    caches = tuple(opening for opening in opened.openings if opening.kind is Kind.CACHE)
    others = tuple(opening for opening in opened.openings if opening.kind is not Kind.CACHE)
    from_hub = [opening for opening in others if _is_hub_id(opening, surroundings)]
    for opening in from_hub:
        for path in _snapshots(draft, opening, caches, surroundings):
            _judge_path(draft, opening, path, surroundings)
    for opening in others if from_hub else opened.openings:
        if opening not in from_hub:
            _judge_local(draft, opening, surroundings)


def _judge_local(draft: Draft, opening: Opening, surroundings: Surroundings) -> None:
    """Judge an opening that is not looked up in the hub's cache."""
    spelled = f"{opening.option} {quoted(opening.value)}"
    if opening.kind is Kind.REMOTE:
        draft.refuse(f"{spelled} loads what no signature covers; remove it")
    elif not is_known(opening.value):
        draft.unreadable(
            f"{spelled} takes its value from elsewhere, and it cannot be read; write it literally"
        )
    elif opening.kind is Kind.TEMPLATE and _TEMPLATE_TEXT.intersection(opening.value):
        draft.refuse(
            f"{opening.option} gives a chat template as text, which the signature does not cover; "
            "put it into a file of the model"
        )
    elif opening.kind is Kind.TEMPLATE and (origin := _template_origin(opening, surroundings)):
        draft.warn(f"{spelled} comes from {origin}, and no signature covers it")
    elif opening.kind is Kind.WATCHED or (opening.kind is Kind.CODE and "/" not in opening.value):
        draft.warn(f"{spelled} may bring code; see that it is the image's own")
    else:
        for path in _absolute_path(draft, opening, surroundings):
            _judge_path(draft, opening, path, surroundings)


def _template_origin(opening: Opening, surroundings: Surroundings) -> str | None:
    """Return whence a chat template comes that is no file of a volume; None for any other.

    A relative name starts where the image says, unless the container has a workingDir.
    """
    value = opening.value
    if not value or "://" in value or ".." in value.split("/"):
        return None
    if not value.startswith("/"):
        return None if surroundings.working_dir else "the image"
    path = canonical(value)
    kind = surroundings.volume_kind(path)
    if kind is None:
        return None if any(covers(at, path) for at in surroundings.model_paths) else "the image"
    return "a ConfigMap" if kind == "configMap" else None


def _absolute_path(draft: Draft, opening: Opening, surroundings: Surroundings) -> Iterable[str]:
    """Yield the absolute path that a value is, unless it cannot be one."""
    value, spelled = opening.value, f"{opening.option} {quoted(opening.value)}"
    instead = f"name a path under {surroundings.verified}"
    start = surroundings.working_dir
    if not value:
        draft.refuse(f"{opening.option} is empty; {instead}")
    elif "://" in value:
        draft.refuse(f"{spelled} is fetched from elsewhere; {instead}")
    elif ".." in value.split("/"):
        draft.refuse(f"{spelled} goes up by '..', past links too; write the path out")
    elif value.startswith("/"):
        yield canonical(value)
    elif value.startswith("-") and " " in value:
        draft.refuse(f"{spelled} is one word, with spaces; write each word as an entry of its own")
    elif isinstance(start, str) and start.startswith("/") and ".." not in start.split("/"):
        yield canonical(posixpath.join(start, value))
    else:
        draft.refuse(
            f"{spelled} is no verified path: a relative one starts where the image says, and a "
            f"hub id may be anything; {instead}"
        )


def _judge_path(draft: Draft, opening: Opening, path: str, surroundings: Surroundings) -> None:
    """Judge an absolute path, and gather it for the gate."""
    spelled = f"{opening.option} {quoted(opening.value)}"
    model = next((model for model in surroundings.model_paths if covers(model, path)), None)
    mounts = surroundings.mounts
    if model is None:
        draft.refuse(
            f"{spelled} lies outside of what is verified ({surroundings.verified}); "
            "move it there and sign it, or leave it out"
        )
    elif mounts is not None and nearest(model, mounts) is None:
        draft.refuse(f"{spelled} is verified, but not mounted in this container; mount it")
    else:
        draft.cover.append(path)
        if opening.kind is Kind.ARGUMENTS:
            draft.unknown(f"{spelled} holds more arguments, of which the signature alone decides")


def _is_hub_id(opening: Opening, surroundings: Surroundings) -> bool:
    """Tell whether a value is looked up in the hub's cache.

    Without a revision it is not worth asking; below a workingDir it is a path first.
    """
    return (
        opening.kind in _HUB_KINDS
        and bool(opening.revisions)
        and not surroundings.working_dir
        and _HUB_ID.fullmatch(opening.value) is not None
    )


def _snapshots(
    draft: Draft, opening: Opening, given: Iterable[Opening], surroundings: Surroundings
) -> Iterable[str]:
    """Yield where a hub id is found: its snapshot in each cache that vLLM looks into."""
    spelled = f"{opening.option} {quoted(opening.value)}"
    revision, *others = opening.revisions
    caches = {*(cache.value for cache in given), *_caches(surroundings.environment)}
    if others or not _COMMIT.fullmatch(revision):
        draft.refuse(f"{spelled} needs one revision, as a full commit of 40 hexadecimal digits")
    elif not surroundings.offline:
        draft.refuse(
            f"{spelled} may be fetched from the hub; name the snapshot's directory, or set "
            'HF_HUB_OFFLINE to "1"'
        )
    elif not all(is_plain(cache) for cache in caches):
        draft.refuse(
            f"{spelled} is looked up in a cache that cannot be told; set HF_HUB_CACHE to an "
            "absolute path"
        )
    else:
        for cache in sorted(caches):
            folder = f"models--{opening.value.replace('/', '--')}"
            yield canonical(f"{cache}/{folder}/snapshots/{revision}")


def _caches(environment: Environment) -> Iterator[str]:
    """Yield the hub's caches that the environment names; "" is one of which it does not tell."""
    values = environment.values
    if environment.open or environment.unknown & TABLE.variables(Variable.CACHE):
        yield ""
    if "TRANSFORMERS_CACHE" in values:
        yield values["TRANSFORMERS_CACHE"]
    home = values.get("HF_HOME")
    fallback = values.get("HUGGINGFACE_HUB_CACHE", f"{home}/hub" if home else "")
    yield values.get("HF_HUB_CACHE", fallback)


def is_plain(path: str) -> bool:
    """Tell whether a path is absolute, and the same to Python's `expandvars`."""
    return path.startswith("/") and "$" not in path and ".." not in path.split("/")
