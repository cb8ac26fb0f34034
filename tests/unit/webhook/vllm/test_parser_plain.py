"""What is read without argparse is what argparse reads."""

from __future__ import annotations

import argparse
from typing import Any, Final, NoReturn

from hypothesis import event, given
from hypothesis import strategies as st

from validator.vllm.options import TABLE, Option
from webhook.vllm.parser import Given, UnreadableError, parse

Line = list[str]
Read = tuple[tuple[Given, ...], tuple[str, ...]]
"""The options, and what is none."""

FLAGS: Final = [flag for option in TABLE.options for flag in option.flags if flag != "-O"]
FEW: Final = ("--port", "--model", "--enable-lora", "--lora-modules", "--quantization", "-tp", "-n")

flags = st.sampled_from(FEW) | st.sampled_from(FLAGS)
values = st.sampled_from(("x", "1", "-1", "--", "-", "", "a=b", "=", "a b", "-a b", "@x", "é"))
pairs = st.tuples(flags, values)
words: st.SearchStrategy[tuple[str, ...]] = st.one_of(
    flags.map(lambda flag: (flag,)),
    values.map(lambda value: (value,)),
    pairs,
    pairs.map(lambda pair: ("=".join(pair),)),
    pairs.map(lambda pair: (" ".join(pair),)),
    flags.map(lambda flag: (flag[:-1],)),  # an abbreviation, where it is one flag's alone
)
plain = st.sampled_from(
    [(option.flags[0],) if option.arity == 0 else (option.flags[0], "x")
     for option in TABLE.options if option.arity in (0, None)]
)  # fmt: skip
lines = st.lists(words | plain | plain, max_size=5).map(lambda listed: [*sum(listed, ())])


class Untouched(argparse.ArgumentParser):
    """argparse itself, with vLLM's options."""

    def __init__(self) -> None:
        super().__init__(prog="vllm", add_help=False, usage="")
        self.given: list[Given] = []
        for option in TABLE.options:
            kept: dict[str, Any] = {"nargs": option.arity, "action": _keeping(option, self.given)}
            self.add_argument(*(option.flags or (option.dest,)), **kept)

    def error(self, message: str) -> NoReturn:
        """Raise, in the place of an exit."""
        raise UnreadableError(message)


def _keeping(option: Option, found: list[Given]) -> type[argparse.Action]:
    """Return an action that keeps what is given for an option."""

    class Keep(argparse.Action):
        def __call__(self, _: Any, __: Any, texts: Any, flag: str | None = None) -> None:
            if flag is None and texts is None:
                return  # the positional argument, which is not there
            listed = (texts,) if isinstance(texts, str) else tuple(texts or ())
            found.append(Given(option=option, flag=flag or "", values=listed))

    return Keep


UNTOUCHED: Final = Untouched()


def by_argparse(line: Line) -> Read | None:
    """Return what argparse reads; None, where that is an error."""
    UNTOUCHED.given.clear()
    try:
        _, unknown = UNTOUCHED.parse_known_args(line)
    except UnreadableError:
        return None
    return tuple(UNTOUCHED.given), tuple(unknown)


def by_us(line: Line) -> Read | str:
    """Return the same as it is read here, or the sentence."""
    try:
        parsed = parse(line, serve=False)
    except UnreadableError as error:
        return str(error)
    return parsed.given, parsed.unknown


@given(lines)
def test_a_command_line_is_read_as_argparse_reads_it(line: Line) -> None:
    """Whatever stands in it; only what releases read in different ways is an error of ours."""
    ours, theirs = by_us(line), by_argparse(line)
    event("unreadable" if isinstance(ours, str) else f"{len(ours[0])} options")
    if isinstance(ours, str):
        assert theirs is None or ours.startswith("not all releases")
    else:
        assert ours == theirs
