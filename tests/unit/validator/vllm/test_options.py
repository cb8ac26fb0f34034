"""The tables of vLLM's releases, read together: an option of any of them is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from validator.vllm import option_kinds, variable_kinds
from validator.vllm.option_kinds import Kind
from validator.vllm.options import (
    FOLDER,
    RELEASES,
    TABLE,
    Release,
    ReleaseOption,
    ReleaseVariable,
    merged,
    minor,
)

DOCUMENTS = Path(__file__).parents[4] / "docs"
NUMBER = ReleaseVariable(type="int", reading="")


def release(version: str, *flags: str, **arities: Any) -> Release:
    """Return a release with some flags, each an option of its own; `arities` by argparse's name."""
    options = [
        ReleaseOption(dest=dest, flags=(flag,), arity=arities.get(dest))
        for flag in flags
        for dest in [flag[2:].replace("-", "_")]
    ]
    return Release(vllm=version, options=tuple(options), environment={"VLLM_PORT": NUMBER})


def test_each_release_has_its_file() -> None:
    """Named after its first two numbers, in the order of their numbers."""
    files = {each.name for each in FOLDER.iterdir()}
    assert {f"{each.name}.json" for each in RELEASES} == files
    assert TABLE.releases == tuple(sorted(TABLE.releases, key=lambda name: int(name[2:])))


@pytest.mark.parametrize("page", ["admission.md", "vllm.md"])
def test_the_documents_name_the_releases(page: str) -> None:
    """All of them, and no other."""
    assert f" {TABLE.reading.replace(' or ', ' and ')}, " in (DOCUMENTS / page).read_text()


@pytest.mark.parametrize("each", RELEASES, ids=lambda each: each.vllm)
def test_all_of_a_release_has_a_kind(each: Release) -> None:
    """Somebody has read what it opens."""
    assert {option.dest for option in each.options} <= option_kinds.KINDS.keys()
    texts = {
        name
        for name, variable in each.environment.items()
        if not variable_kinds.is_scalar(variable.type)
    }
    assert texts <= variable_kinds.KINDS.keys() | variable_kinds.IGNORED


def test_no_kind_is_that_of_an_option_that_no_release_has() -> None:
    """An option that vLLM has given up leaves the tables with its last release."""
    dests = {option.dest for each in RELEASES for option in each.options}
    assert option_kinds.KINDS.keys() == dests
    assert option_kinds.KEYS.keys() <= dests
    assert {name.partition(".")[0] for name in option_kinds.KNOWN} <= dests
    variables = {name for each in RELEASES for name in each.environment}
    placed = variable_kinds.KINDS.keys() | variable_kinds.IGNORED
    assert {name for name in placed if name.startswith("VLLM_")} <= variables


def test_what_is_known_is_said_of_an_option_that_opens_something() -> None:
    """A value that is let pass names an option, or a key, that would be looked at otherwise."""
    for name in option_kinds.KNOWN:
        dest, _, key = name.partition(".")
        kind = option_kinds.KEYS[dest][key] if key else option_kinds.KINDS[dest]
        assert kind is not Kind.SAFE


def test_no_two_known_releases_differ_in_what_a_flag_means() -> None:
    """The table of a new release may: then `disputed` names the flag, which is refused."""
    assert TABLE.disputed == frozenset()


def test_an_option_of_any_release_is_known() -> None:
    """The newest release's come first; what all have is told apart."""
    table = merged([release("0.8.0", "--model", "--seed"), release("0.9.1", "--model", "--port")])
    assert [option.dest for option in table.options] == ["model", "port", "seed"]
    assert [option.everywhere for option in table.options] == [True, False, False]
    assert table.partial == {"--port", "--seed"}
    assert table.releases == ("0.8", "0.9")
    assert table.reading == "vLLM 0.8 or 0.9"
    assert table.disputed == frozenset()


def test_a_flag_gets_the_spellings_of_all_releases() -> None:
    """A new alias is an alias, and an old one stays one."""
    older = ReleaseOption(dest="seed", flags=("--seed", "--old-seed"), arity=None)
    newer = ReleaseOption(dest="seed", flags=("--seed", "--new-seed"), arity=None)
    table = merged(
        [Release(vllm="1.0", options=(each,), environment={}) for each in (older, newer)]
    )
    assert table.options[0].flags == ("--seed", "--new-seed", "--old-seed")
    assert table.partial == {"--new-seed", "--old-seed"}


@pytest.mark.parametrize(
    ("older", "newer", "disputed"),
    [
        (release("1.0", "--seed", seed=0), release("1.1", "--seed"), {"--seed"}),
        (release("1.0", "--seed", seed="+"), release("1.1", "--seed", seed="?"), {"--seed"}),
        # the older takes it for the start of another option
        (release("1.0", "--model"), release("1.1", "--mode", "--model", mode=0), {"--mode"}),
        (release("1.0", "--model"), release("1.1", "--mode", "--model"), {"--mode"}),
        # of two options it is the start, and the older release ends
        (release("1.0", "--port", "--pooler-config"), release("1.1", "--p"), set()),
        (release("1.0", "--port"), release("1.1", "--port", "--port-file"), set()),
    ],
    ids=str,
)
def test_a_flag_that_releases_read_in_different_ways_is_disputed(
    older: Release, newer: Release, disputed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another number of values, or as the start of another option."""
    for name in ("mode", "p", "port_file"):
        monkeypatch.setitem(option_kinds.KINDS, name, Kind.SAFE)
    assert merged([older, newer]).disputed == disputed
    assert merged([newer, older]).disputed == disputed


@pytest.mark.parametrize(
    ("version", "known"),
    [("0.33.0", True), ("0.33.1+cpu", True), ("0.33", True), ("0.3.0", False), ("0.330", False)],
)
def test_a_version_is_known_by_its_release(version: str, known: bool) -> None:  # noqa: FBT001 — a parameter of the test
    """Whatever its patch is."""
    assert TABLE.knows(version) is known
    assert minor("1.2.3.post1") == "1.2"


def test_a_variable_that_is_no_text_decides_nothing_unless_a_table_says_so() -> None:
    """Numbers, switches and closed lists of words; `VLLM_SERVER_DEV_MODE` is a switch that does."""
    assert TABLE.environment["VLLM_ENGINE_READY_TIMEOUT_S"] is variable_kinds.Variable.SAFE
    assert TABLE.environment["VLLM_SERVER_DEV_MODE"] is variable_kinds.Variable.REMOTE
    for declared in ("bool", "int | None", "Literal['a', 'b'] | None", "float"):
        assert variable_kinds.is_scalar(declared)
    for declared in ("str", "str | None", "list[str]", "Path"):
        assert not variable_kinds.is_scalar(declared)
