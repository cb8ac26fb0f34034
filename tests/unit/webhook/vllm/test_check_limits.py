"""`Check`: command lines that are too long, too deep, or not all there."""

from __future__ import annotations

import json
from collections import UserDict
from typing import Any

import pytest

from webhook.vllm.check import check
from webhook.vllm.command_line import EXPANSION_LIMIT, MalformedError, expand
from webhook.vllm.opened import JSON_LIMIT
from webhook.vllm.parser import ARGUMENTS_LIMIT, UnreadableError, parse
from webhook.vllm.reading import Reading

MODEL = "/models/granite"


def refusal(*arguments: str, **fields: Any) -> str:
    """Return what is said first of a container with these arguments."""
    container = {"name": "vllm", "command": ["vllm", "serve", MODEL], "args": [*arguments]}
    judged = check(Reading(container=container | fields), mounts_model=True, model_paths=(MODEL,))
    return judged.refusals[0]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--speculative-config", '["ngram"]', "is not a JSON object"),
        ("--speculative-config", json.dumps({"a": "x" * JSON_LIMIT}), "is longer than 65,536"),
        ("--lora-modules", json.dumps(["x" * JSON_LIMIT]), "is longer than 65,536"),
        ("--speculative-config", '{"model": "$(DRAFT)"}', "is not all here"),
    ],
)
def test_settings_that_cannot_be_read_are_refused(option: str, value: str, said: str) -> None:
    """Nobody knows which paths they open."""
    assert f"{option} {said}" in refusal(option, value)
    assert "write it literally" in refusal(option, value)


def test_a_key_that_holds_no_text_is_refused() -> None:
    """The key opens what it names, and a number names nothing that is known."""
    said = refusal("--speculative-config", '{"model": 7}')
    assert "--speculative-config.model is not a text" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed=1"] * ARGUMENTS_LIMIT, r"there are 257 arguments, and 256 are read"),
        (["--hf-overrides.a", "[" * 100_000], "a JSON value is nested too deeply"),
        (["--hf-overrides.a", "1" * 5000], "'1+…' is a number that Python does not read"),
    ],
    ids=["many", "deep", "a long number"],
)
def test_arguments_that_vllm_would_not_read_either_are_refused(
    arguments: list[str], said: str
) -> None:
    """One sentence, and no error of the library's."""
    with pytest.raises(UnreadableError, match=said):
        parse([MODEL, *arguments], serve=True)
    assert "vLLM's arguments cannot be read" in refusal(*arguments)


class Counted(UserDict[str, str]):
    """Variables that count how often one was asked for."""

    asked = 0

    def get(self, name: str, default: Any = None) -> Any:
        """Return a variable."""
        self.asked += 1
        return super().get(name, default)


def test_an_expansion_ends_at_its_limit() -> None:
    """A text that would take all memory is not built first."""
    values = Counted(X="x" * (EXPANSION_LIMIT // 4 - 1))
    assert len(expand("$(X)" * 4, values)) == EXPANSION_LIMIT - 4
    values.asked = 0
    with pytest.raises(MalformedError, match="longer than"):
        expand("$(X)" * 1000, values)
    assert values.asked < 10


def test_a_text_without_references_has_the_same_limit() -> None:
    """A command line is long by itself as well."""
    with pytest.raises(MalformedError, match="longer than"):
        expand("x" * (EXPANSION_LIMIT + 1), {})
