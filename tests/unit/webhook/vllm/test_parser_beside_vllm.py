r"""Our reading of command lines, against vLLM's own parser.

Runs where vLLM and pytest can be imported, so in an environment of its own:

    PYTHONPATH=. python -m pytest -c /dev/null --rootdir . --noconftest \
        --import-mode=importlib tests/unit/webhook/vllm/test_parser_beside_vllm.py
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from scripts import generate_vllm_release
from validator.vllm.option_kinds import Kind
from validator.vllm.options import RELEASES, TABLE, Option, Release, Table, merged, minor
from webhook.vllm import parser as vllm_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None,
        reason="vLLM is not installed here: "
        "tests/e2e/stack/programs/test_vllm_plugin.py runs this where it is",
    ),
    pytest.mark.filterwarnings("default"),  # vLLM and torch have their own
]

LINES: Final = 600
SEED: Final = 20261123

OPENING: Final = tuple(option for option in TABLE.options if option.kind is not Kind.SAFE)
WORDS: Final = (
    *("/models/granite", "/elsewhere", "org/name", "a=b", "auto", "-", "--", "-1", "0.5", "x.y"),
    *('{"model": "/elsewhere"}', '{"a": {"b": [1]}}', "None", "a b", "--serve_model", "-O", "3"),
)


_APART: Final = frozenset({"help", "served_model_name"})
"""Options that end the program, or demand a positional argument whatever else is said."""


class Refused(Exception):
    """vLLM does not start with these arguments."""


@pytest.fixture(scope="module")
def vllm() -> argparse.ArgumentParser:
    """Return vLLM's parser, with its command `serve`, without types and choices."""
    argparse_utils = importlib.import_module("vllm.utils.argparse_utils")
    cli_args = _cli_args()
    parser: argparse.ArgumentParser = argparse_utils.FlexibleArgumentParser(prog="vllm")
    _harmless(cli_args.make_arg_parser(parser))
    commands = argparse_utils.FlexibleArgumentParser(prog="vllm")
    serve = commands.add_subparsers(dest="subparser").add_parser("serve")
    _harmless(cli_args.make_arg_parser(serve))
    commands.error = serve.error
    parser.with_commands = commands  # type: ignore[attr-defined]
    return parser


@pytest.fixture(scope="module")
def release() -> Table:
    """Return the table of this vLLM alone."""
    version = importlib.import_module("vllm").__version__
    (known,) = (each for each in RELEASES if each.name == minor(version))
    return merged([known])


def test_each_line_is_read_as_vllm_reads_it(vllm: argparse.ArgumentParser, release: Table) -> None:
    """For every option, what vLLM takes last is what we read last, or neither reads the line.

    With the options of all releases, what vLLM reads is read in the same way, or refused.
    """
    chance = random.Random(SEED)  # noqa: S311 — test data
    read = 0
    for number in range(LINES):
        serve = number % 2 == 0
        line = list(_line(chance, serve=serve))
        theirs = _theirs(vllm, line, serve=serve)
        assert _ours(line, serve=serve, table=release) == theirs, line
        both = _ours(line, serve=serve)
        assert theirs is None or both is None or both == theirs, line
        read += both is not None and theirs is not None
    assert read > LINES // 4  # the others are refused by one or both


@pytest.mark.parametrize("option", OPENING, ids=lambda option: option.dest)
def test_each_opening_option_is_found_in_all_its_spellings(
    vllm: argparse.ArgumentParser, option: Option, release: Table
) -> None:
    """Shortened, underscored, joined or dotted, an option is the same one to both."""
    for flag in option.flags:
        spellings = {flag, flag[:-1], flag[:-2], flag.replace("-", "_").replace("__", "--", 1)}
        for spelling in sorted(spellings):
            for line in (
                [spelling, "/elsewhere"],
                [f"{spelling}=/elsewhere"],
                [f"{spelling}.model", "/elsewhere"],
                [f"{spelling}.a.b+=x,y"],
                [spelling],
            ):
                if line[0] == "--config":  # vLLM reads the file at once
                    continue
                theirs = _theirs(vllm, line, serve=False)
                assert _ours(line, serve=False, table=release) == theirs, line
                assert theirs is None or _ours(line, serve=False) in (None, theirs), line


def test_the_options_are_those_of_this_vllms_parser() -> None:
    """The generator, which reads vLLM's source and imports nothing, finds what the parser has."""
    package = Path(importlib.import_module("vllm").__path__[0])
    written = generate_vllm_release.read(package.parent)
    (release,) = (each for each in RELEASES if each.name == minor(written["vllm"]))
    assert msgspec.convert(written, Release) == release
    argparse_utils = importlib.import_module("vllm.utils.argparse_utils")
    parser = _cli_args().make_arg_parser(argparse_utils.FlexibleArgumentParser(prog="vllm serve"))
    flags: dict[str, list[str]] = {}
    for flag, action in parser._option_string_actions.items():
        flags.setdefault(action.dest, []).append(flag)
    assert written["options"] == [
        {"dest": action.dest, "flags": flags.get(action.dest, []), "arity": action.nargs}
        | ({"json": True} if _is_json(action) else {})
        for action in parser._actions
    ]


def _is_json(action: argparse.Action) -> bool:
    """Tell whether a value is read as JSON, by trying."""
    if action.nargs == 0 or not callable(action.type):
        return False
    try:
        value = action.type("{}")
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        return False
    return not isinstance(value, str | list)


def _cli_args() -> Any:
    """Return the module that makes the parser, which has moved."""
    names = ("vllm.entrypoints.common.cli_args", "vllm.entrypoints.launchers.cli_args")
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise AssertionError(names)


def _line(chance: random.Random, *, serve: bool) -> Iterator[str]:
    """Yield a command line with all that makes reading it hard."""
    if serve and chance.random() < 0.5:
        yield "/models/granite"
    for _ in range(chance.randint(0, 6)):
        options = OPENING if chance.random() < 0.7 else TABLE.options
        option = chance.choice([option for option in options if option.dest not in _APART])
        flag = _spelled(chance, chance.choice(option.flags or ("--model",)))
        if flag in ("--config", "-h"):
            continue
        if chance.random() < 0.2:
            flag = f"{flag}.{chance.choice(['model', 'a.b', 'list+', 'a_b'])}"
        count = 0 if option.arity == 0 else chance.choice([1, 1, 1, 1, 0, 2])
        values = [chance.choice(WORDS) for _ in range(count)]
        if values and chance.random() < 0.4:
            flag, values = f"{flag}={values[0]}", values[1:]
        yield flag
        yield from values


def _spelled(chance: random.Random, flag: str) -> str:
    if chance.random() < 0.3:
        flag = flag[: chance.randint(min(len(flag), 6), len(flag))]
    if chance.random() < 0.3:
        flag = flag[:2] + flag[2:].replace("-", "_")
    return flag


def _theirs(
    vllm: argparse.ArgumentParser, line: list[str], *, serve: bool
) -> dict[str, Any] | None:
    parser = vllm.with_commands if serve else vllm  # type: ignore[attr-defined]
    try:
        found = vars(parser.parse_args(["serve", *line] if serve else line))
    except (Refused, IndexError, ValueError):
        return None
    return {
        dest: values
        for dest, values in found.items()
        if dest not in ("subparser", "help") and values is not None
    }


def _ours(line: list[str], *, serve: bool, table: Table = TABLE) -> dict[str, Any] | None:
    try:
        parsed = vllm_parser.parse(line, serve=serve, table=table)
    except vllm_parser.UnreadableError:
        return None
    if parsed.unknown:
        return None
    return {given.option.dest: list(given.values) for given in parsed.given}


class _Keep(argparse.Action):
    """Keeps the last values of an option as vLLM's parser hands them over."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        del parser, option_string
        if values is None:  # the positional one, where there is none
            return
        setattr(namespace, self.dest, [values] if isinstance(values, str) else list(values))


def _harmless(parser: argparse.ArgumentParser) -> None:
    """Let a parser keep text for every option, and raise instead of ending the process."""

    def refuse(message: str) -> None:
        raise Refused(message)

    parser.error = refuse  # type: ignore[method-assign,assignment]
    for action in parser._actions:
        if action.dest == "help":
            action.__class__ = _Keep
            continue
        action.type, action.choices = None, None
        action.default, action.const = None, ()
        action.__class__ = _Keep


def test_the_kept_text_is_json_where_dots_were_used() -> None:
    """Dotted options reach both parsers as one JSON text."""
    parsed = vllm_parser.parse(["--speculative-config.a.b", "1"], serve=False)
    assert json.loads(parsed.given[0].values[0]) == {"a": {"b": 1}}
