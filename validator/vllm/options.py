"""vLLM's options and variables in all releases that are known, with what each of them opens.

Belongs here: the tables of the releases, read together. Each is a file in `releases`, which
`scripts/generate_vllm_release.py` writes; what an option opens is in `option_kinds` and
`variable_kinds`. The webhook reads command lines by it, and the check inside vLLM the engine's
arguments.

An option that any release has is known. A release that lacks it ends with an error, so reading
it is safe for all. A flag that two releases would read in different ways is `disputed`; one that
some lack is `partial`, since they may take it for a value.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from validator.vllm import option_kinds, variable_kinds
from validator.vllm.option_kinds import Kind
from validator.vllm.variable_kinds import Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


FOLDER: Final = Path(__file__).parent / "releases"
"""The tables of the releases, a file each."""

_Meaning = tuple[str, int | str | None, bool]
"""The meaning of a flag: argparse's name, its `nargs`, and whether its value is JSON."""


class ReleaseOption(msgspec.Struct, frozen=True, kw_only=True):
    """An option of one release.

    Attributes:
        dest: argparse's name for it, which is its field in vLLM's `EngineArgs`.
        flags: Its spellings; none for the positional argument.
        arity: argparse's `nargs`.
        json: Whether a value is JSON.
    """

    dest: str
    flags: tuple[str, ...]
    arity: int | str | None
    json: bool = False


class ReleaseVariable(msgspec.Struct, frozen=True, kw_only=True):
    """A variable of one release: the type that vLLM declares, and the expression that reads it."""

    type: str
    reading: str


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one release, in the order of its parser, and its variables."""

    vllm: str
    options: tuple[ReleaseOption, ...]
    environment: dict[str, ReleaseVariable]

    @property
    def name(self) -> str:
        """The release without its patch: `0.33`, as its file is named."""
        return minor(self.vllm)

    @property
    def by_flag(self) -> Iterator[tuple[str, ReleaseOption]]:
        """Each flag with its option."""
        return ((flag, option) for option in self.options for flag in option.flags)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a JSON option that opens something, and values with which it does not."""

    kind: Kind
    known: tuple[str, ...] = ()


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """An option in all releases that have it.

    Attributes:
        dest: argparse's name for it, which is its field in vLLM's `EngineArgs`.
        flags: Its spellings in any release; none for the positional argument.
        arity: argparse's `nargs`.
        kind: What its values open.
        json: Whether a value is JSON.
        known: Values that open nothing.
        keys: For JSON: the keys that open something, at any depth.
        everywhere: Whether all releases have it.
    """

    dest: str
    flags: tuple[str, ...]
    arity: int | str | None
    kind: Kind
    json: bool
    known: tuple[str, ...]
    keys: dict[str, Key]
    everywhere: bool


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """All options and variables of the releases that are known.

    Attributes:
        releases: The releases, the oldest first: `0.32`, `0.33`.
        environment: What each variable decides.
        options: In the order of the newest parser; those that it no longer has come last.
        disputed: Flags that the releases read in different ways.
        partial: Flags that not all releases have.
    """

    releases: tuple[str, ...]
    environment: dict[str, Variable]
    options: tuple[Option, ...]
    disputed: frozenset[str]
    partial: frozenset[str]

    @property
    def reading(self) -> str:
        """The releases in words: `vLLM 0.32 or 0.33`."""
        *others, last = self.releases
        return f"vLLM {', '.join(others)} or {last}" if others else f"vLLM {last}"

    def knows(self, version: str) -> bool:
        """Tell whether a version of vLLM is one of the releases, whatever its patch."""
        return minor(version) in self.releases

    def variables(self, *kinds: Variable) -> frozenset[str]:
        """Return the names of the variables of some kinds."""
        return frozenset(name for name, kind in self.environment.items() if kind in kinds)


def minor(version: str) -> str:
    """Return the first two numbers of a version: `0.33` of `0.33.1+cpu`."""
    return ".".join(version.split(".")[:2])


def merged(releases: Sequence[Release]) -> Table:
    """Return the table of some releases, the oldest first."""
    options: dict[str, list[ReleaseOption]] = {}
    for release in reversed(releases):
        for option in release.options:
            options.setdefault(option.dest, []).append(option)
    return Table(
        releases=tuple(release.name for release in releases),
        environment=_environment(releases),
        options=tuple(_option(same, of=len(releases)) for same in options.values()),
        disputed=frozenset(_disputed(releases)),
        partial=frozenset(_partial(releases)),
    )


def _option(same: Sequence[ReleaseOption], *, of: int) -> Option:
    """Return an option of several releases, the newest first."""
    dest = same[0].dest
    return Option(
        dest=dest,
        flags=tuple(dict.fromkeys(flag for option in same for flag in option.flags)),
        arity=same[0].arity,
        kind=option_kinds.KINDS[dest],
        json=same[0].json,
        known=option_kinds.KNOWN.get(dest, ()),
        keys={
            key: Key(kind=kind, known=option_kinds.KNOWN.get(f"{dest}.{key}", ()))
            for key, kind in option_kinds.KEYS.get(dest, {}).items()
        },
        everywhere=len(same) == of,
    )


def _disputed(releases: Iterable[Release]) -> Iterator[str]:
    """Yield the flags that mean one thing to a release, and another to another."""
    parsers = [
        {flag: (option.dest, option.arity, option.json) for flag, option in release.by_flag}
        for release in releases
    ]
    ordered = [sorted(flags) for flags in parsers]
    for flag in {flag for flags in parsers for flag in flags}:
        meant = (_meant(*parser, flag=flag) for parser in zip(parsers, ordered, strict=True))
        if len({meaning for meanings in meant for meaning in meanings}) > 1:
            yield flag


def _partial(releases: Iterable[Release]) -> set[str]:
    """Return the flags that not all releases have."""
    flags = [{flag for flag, _ in release.by_flag} for release in releases]
    return set().union(*flags) - set(flags[0]).intersection(*flags)


def _meant(flags: dict[str, _Meaning], ordered: list[str], *, flag: str) -> set[_Meaning]:
    """Return what a flag means to a release.

    To one without it, it means what it is the start of, as argparse reads it. Where that is
    several options or none, the release ends, and it means nothing.
    """
    if flag in flags:
        return {flags[flag]}
    first, last = bisect_left(ordered, flag), bisect_right(ordered, f"{flag}\U0010ffff")
    begun = {flags[longer] for longer in ordered[first:last]}
    return begun if len(begun) == 1 else set()


def _environment(releases: Iterable[Release]) -> dict[str, Variable]:
    scalars = {
        name
        for release in releases
        for name, variable in release.environment.items()
        if variable_kinds.is_scalar(variable.type)
    }
    return {
        **dict.fromkeys(sorted(scalars - variable_kinds.IGNORED), Variable.SAFE),
        **variable_kinds.KINDS,
    }


def _read() -> Iterator[Release]:
    for file in FOLDER.glob("*.json"):
        yield msgspec.json.decode(file.read_bytes(), type=Release)


RELEASES: Final = tuple(
    sorted(_read(), key=lambda release: tuple(map(int, release.name.split("."))))
)
"""The tables of the releases, the oldest first."""

TABLE: Final = merged(RELEASES)
OPTIONS: Final = {option.dest: option for option in TABLE.options}
"""The options by argparse's name."""

MODEL_KEYS: Final = frozenset(
    key for key, rule in OPTIONS["hf_overrides"].keys.items() if rule.kind is Kind.DRAFT
)
"""Fields of a model's configuration by which vLLM loads another model."""
