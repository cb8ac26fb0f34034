"""The arguments of vLLM that `Strict` allows: literal, in full, and known to open nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from validator.text import quoted
from validator.vllm.option_kinds import OF_REQUESTS, Kind
from validator.vllm.options import TABLE, Option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ALLOWED_KINDS: Final = frozenset(
    {Kind.SAFE, Kind.MODEL, Kind.TOKENIZER, Kind.CONFIG, Kind.ADAPTER, Kind.DRAFT, Kind.TEMPLATE}
)
"""Kinds of the allowed options: they open nothing, or what `Check` holds to the verified paths."""

REFUSED: Final[dict[str, str]] = {
    "help": "starts no server",
    "uds": "leaves the pod's port to others",
    **OF_REQUESTS,
    "mm_encoder_fp8_scale_save_path": "writes a file, anywhere",
    **dict.fromkeys(
        (
            *("data_parallel_size", "data_parallel_size_local", "data_parallel_supervisor_port"),
            *("enable_elastic_ep", "elastic_ep_max_dp_size", "enable_fault_tolerance"),
            *("enable_scale_out", "fault_tolerance_config"),
        ),
        "lets other processes or machines join",
    ),
}
"""Options that are refused with a reason, by argparse's names; most of them open nothing."""

_VALUE_START: Final = re.compile(r"[^-]|-\d")
_OPTIONS: Final[dict[str, Option]] = {
    flag: option for option in TABLE.options for flag in option.flags
}


def refusals(arguments: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with vLLM's arguments, read word by word."""
    seen: set[str] = set()
    rest = list(reversed(arguments))
    if rest and rest[-1].startswith("/"):
        seen.add("model")
        yield from _literal("the positional argument", [rest.pop()])
    while rest:
        flag, equals, value = rest.pop().partition("=")
        option = _OPTIONS.get(flag)
        if option is None:
            yield f"{quoted(flag)} is none of vLLM's options in full; options come one by one"
            continue
        yield from _listed(flag, option)
        if option.dest in seen:
            yield f"{flag} is given twice, or beside the positional argument; keep one"
        seen.add(option.dest)
        values = [value] if equals else _taken(option, rest)
        if not values and option.arity not in (0, "?"):
            yield f"{flag} lacks its value"
        yield from _literal(flag, values)
        yield from _form(flag, option, values)


def _listed(flag: str, option: Option) -> Iterator[str]:
    said = f"{flag} is not on the list of options that are safe beside a model"
    if option.dest in REFUSED:
        yield f"{said}: it {REFUSED[option.dest]}; remove it"
    elif option.kind not in ALLOWED_KINDS or option.json:
        yield f"{said}; remove it"


def _taken(option: Option, rest: list[str]) -> list[str]:
    """Take from the end of `rest`, which is reversed, the values that belong to an option."""
    taken: list[str] = []
    most = 0 if option.arity == 0 else 1 if option.arity in (None, "?") else len(rest)
    while rest and len(taken) < most and _VALUE_START.match(rest[-1]):
        taken.append(rest.pop())
    return taken


def _literal(flag: str, values: Iterable[str]) -> Iterator[str]:
    for value in values:
        if "$(" in value or "$$" in value:
            yield f"{flag} takes its value {quoted(value)} from elsewhere; write it literally"


def _form(flag: str, option: Option, values: Sequence[str]) -> Iterator[str]:
    if option.kind is Kind.ADAPTER and any("," in value or "=" not in value for value in values):
        yield f"{flag} is not written as NAME=PATH"
    if option.kind is Kind.TEMPLATE and any(not value.startswith("/") for value in values):
        yield f"{flag} is no absolute path"
