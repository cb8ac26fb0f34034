"""Reads a command line as vLLM's own parser does, by the tables of its releases.

Belongs here: how vLLM spells (underscores, prefixes, `-O3`, dotted JSON), which
option takes how many values. Does not belong here: what may be opened.

vLLM parses with argparse, after rewriting the list of arguments. The rewriting
is repeated here; the parsing is argparse itself, with the options of all releases that
are known. A release that lacks one of them ends with an error, so it opens nothing. What two
releases would read in different ways is refused.
"""

from __future__ import annotations

import argparse
import functools
import json
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import msgspec

from validator.text import quoted
from validator.vllm.options import TABLE, Option

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from validator.vllm.options import Table

ARGUMENTS_LIMIT: Final = 256
"""Arguments of one command line that are read: many times what anybody writes."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """An option as it was given: in full, with its values as text."""

    option: Option
    flag: str
    values: tuple[str, ...]


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """A command line that was read.

    Attributes:
        given: The options, in vLLM's order: dotted ones come last.
        unknown: What is an option of no release, nor a value of one.
    """

    given: tuple[Given, ...] = ()
    unknown: tuple[str, ...] = ()


_NO_VALUE: Final = frozenset({"", "-"})
"""Beginnings of a word that may be no value of an option."""


class UnreadableError(Exception):
    """vLLM would not read this command line, or reads it in a way that is not known here.

    Attributes:
        remedy: What to do.
    """

    def __init__(
        self, why: str, *, remedy: str = "write each option out in full, with its value"
    ) -> None:
        """Say why, and what to do."""
        super().__init__(why)
        self.remedy = remedy


def parse(arguments: Sequence[str], *, serve: bool, table: Table = TABLE) -> Parsed:
    """Read vLLM's arguments.

    Args:
        arguments: Those after `vllm serve` or after the module's name.
        serve: Whether it is `vllm serve`, which takes its first `--model` for its positional.
        table: The options.

    Raises:
        UnreadableError: They are too many, ambiguous, or lack a value; or one of them means one
            thing to one release, and another to another.
    """
    if len(arguments) > ARGUMENTS_LIMIT:
        raise UnreadableError(
            f"there are {len(arguments)} arguments, and {ARGUMENTS_LIMIT} are read"
        )
    rewritten = _model_first(arguments) if serve else list(arguments)
    parser = _parser() if table is TABLE else _Parser(table)
    try:
        words = _undotted(_dashed(rewritten))
    except RecursionError as error:
        raise UnreadableError("a JSON value is nested too deeply") from error
    unknown: list[str] = []
    given = parser.plainly(words)
    if given is None:
        given = []
        _, unknown = parser.parse_known_args(words, argparse.Namespace(given=given))
    _agree(given, words, table)
    return Parsed(given=tuple(given), unknown=tuple(unknown))


def _model_first(arguments: Sequence[str]) -> list[str]:
    for index, argument in enumerate(arguments):
        if argument.startswith("--model="):
            model, rest = argument.removeprefix("--model="), index + 1
        elif argument == "--model":
            if index + 1 == len(arguments):
                raise UnreadableError("--model lacks its value")
            model, rest = arguments[index + 1], index + 2
        else:
            continue
        return [model, *arguments[:index], *arguments[rest:]]
    return list(arguments)


def _dashed(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with dashes for underscores in names, and `-O` spelled out.

    Values that look like options are rewritten too, as vLLM does.
    """
    rewritten: list[str] = []
    for index, argument in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < len(arguments) else ""
        if argument.startswith("--help="):
            rewritten.append("--help")
        elif argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            head, dot, keys = name.partition(".")
            rewritten.append(f"--{head.replace('_', '-')}{dot}{keys}{equals}{value}")
        elif argument.startswith("-O") and argument != "-O":
            rewritten += ["--optimization-level", argument[2:].removeprefix("=")]
        elif argument == "-O" and following in ("0", "1", "2", "3"):
            rewritten.append("--optimization-level")
        else:
            rewritten.append(argument)
    return rewritten


def _undotted(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `--option.key value` gathered into `--option JSON`, at the end."""
    kept: list[str] = []
    gathered: dict[str, dict[str, Any]] = {}
    pending = iter(arguments)
    for argument in pending:
        name, equals, value = argument.partition("=")
        if not argument.startswith("-") or "." not in name:
            kept.append(argument)
            continue
        if not equals:
            following = next(pending, None)
            if following is None:
                raise UnreadableError(f"{quoted(argument)} lacks its value")
            value = following
        listed = name.endswith("+")
        option, *keys = name.removesuffix("+").split(".")
        nested: Any = value.split(",") if listed else _value(value)
        for key in reversed(keys):
            nested = {key: nested}
        _merge(gathered.setdefault(option, {}), nested)
    for option, settings in gathered.items():
        kept += [option, json.dumps(settings)]
    return kept


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
    except ValueError as error:
        raise UnreadableError(f"{quoted(text)} is a number that Python does not read") from error


def _merge(settings: dict[str, Any], update: dict[str, Any]) -> None:
    for key, value in update.items():
        present = settings.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            _merge(present, value)
        elif isinstance(present, list) and isinstance(value, list):
            settings[key] = present + value
        else:
            settings[key] = value


def _agree(given: Sequence[Given], words: Sequence[str], table: Table) -> None:
    """Hold that all releases read a command line in one way, or end with an error.

    Raises:
        UnreadableError: A flag means different things to them. Or a release that lacks it takes
            it for a positional argument, as argparse does where a word has a space.
    """
    spaced = [word.partition("=")[0] for word in words if word.startswith("-") and " " in word]
    known = ", ".join(table.releases)
    for each in given:
        if each.flag in table.disputed:
            raise UnreadableError(
                f"releases of vLLM (of {known}) read {each.flag} in different ways",
                remedy="leave it out",
            )
        if each.flag in table.partial and any(map(each.flag.startswith, spaced)):
            raise UnreadableError(
                f"not all releases of vLLM (of {known}) have {each.flag}, and with a space in its "
                "word some take it for the model",
                remedy="write its value as a word of its own",
            )


class _Parser(argparse.ArgumentParser):
    """argparse, for options none of which has a default or is required."""

    def __init__(self, table: Table) -> None:
        super().__init__(prog="vllm", add_help=False, usage="")
        self._options: dict[str, Option] = {}
        self._positional: Option | None = None
        for option in table.options:
            if option.flags:
                self.add_argument(
                    *option.flags,
                    dest=argparse.SUPPRESS,
                    action=_Collect,
                    nargs=option.arity,
                    option=option,
                )
                self._options |= dict.fromkeys(option.flags, option)
            else:
                self.add_argument(option.dest, action=_Collect, nargs=option.arity, option=option)
                self._positional = option
        # argparse goes through all of these three times for each command line, for what options
        # do not have.
        self._actions = self._get_positional_actions()

    def plainly(self, words: Iterable[str]) -> list[Given] | None:
        """Return the options of a plain command line; None of any other one.

        It has one option after the other, in full, each with no value or one, which looks like no
        option. Before them it may have the positional argument. People write nearly all of them
        so, and argparse reads them in the same way, at ten times the cost.
        """
        given: list[Given] = []
        positional, rest = self._positional, iter(words)
        if positional is None or positional.arity != "?":
            return None
        for word in rest:
            flag, equals, value = word.partition("=")
            option = self._options.get(flag)
            if option is None:
                if given or word[:1] in _NO_VALUE:
                    return None
                given.append(Given(option=positional, flag="", values=(word,)))
                continue
            if option.arity is None:
                value = value if equals else next(rest, "")
                plain = value[:1] not in _NO_VALUE
            else:
                plain = option.arity == 0 and not equals
            if not plain:
                return None
            given.append(Given(option=option, flag=flag, values=(value,) if value else ()))
        return given

    def error(self, message: str) -> NoReturn:
        raise UnreadableError(quoted(message)[1:-1])


class _Collect(argparse.Action):
    """Keeps what was given in the namespace: the parser itself has no state."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        self.option: Option = settings.pop("option")
        # Nothing is set in the namespace but `given`. An option without destination and default is
        # left alone where argparse goes through all of them, twice for each command line.
        default = None if option_strings else argparse.SUPPRESS
        super().__init__(option_strings, dest, default=default, **settings)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        del parser
        if values is None or (option_string is None and values == argparse.SUPPRESS):
            values = []
        texts = (values,) if isinstance(values, str) else tuple(values)
        cast("list[Given]", namespace.given).append(
            Given(option=self.option, flag=option_string or "", values=texts)
        )


@functools.cache  # made once: 323 options take 10 ms
def _parser() -> _Parser:
    return _Parser(TABLE)
