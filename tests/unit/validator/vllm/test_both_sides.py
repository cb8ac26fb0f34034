"""The webhook and the check inside vLLM refuse the same: one table says what is opened."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Final

import pytest

from validator.errors import Refused
from validator.vllm.facts import HOOK_HANDLERS
from validator.vllm.option_kinds import Kind
from validator.vllm.options import TABLE, Option
from validator.vllm.plugin import engine_arguments
from webhook.vllm.check import check
from webhook.vllm.reading import Reading

MODEL: Final = "/models/granite"
ELSEWHERE: Final = "/elsewhere"
OPENED: Final = (Kind.MODEL, Kind.TOKENIZER, Kind.CONFIG, Kind.ADAPTER, Kind.DRAFT, Kind.REMOTE)
"""Kinds of what decides what is served. A chat template of the image is a warning of the webhook's,
and a refusal of the check inside vLLM, which cannot tell where the template comes from."""

SINGLE: Final = [
    each for each in TABLE.options if each.flags and each.kind in OPENED and not each.json
]
KEYED: Final = [
    (each, key)
    for each in TABLE.options
    for key, rule in {**each.keys, **({"a": None} if each.kind is Kind.PATHS else {})}.items()
    if rule is None or rule.kind in OPENED
]
JSON: Final = [each for each in TABLE.options if each.kind in OPENED and each.json]


def refused_by_the_webhook(option: Option, value: str) -> bool:
    """Tell whether the webhook refuses a value; beside the model, which it does not."""
    line = ["vllm", "serve", MODEL, f"{option.flags[0]}={value}"]
    container = {"name": "vllm", "command": line}
    return bool(
        check(Reading(container=container), mounts_model=True, model_paths=(MODEL,)).refusals
    )


def looked_at_by_the_plugin(option: Option, value: object) -> bool:
    """Tell whether the check inside vLLM refuses a value, or takes it for a path."""
    fields = dict.fromkeys([*engine_arguments.FIELDS, *engine_arguments.PATHS])
    arguments = SimpleNamespace(**{**fields, "model": MODEL, "load_format": "auto"})
    setattr(arguments, option.dest, value)
    try:
        engine_arguments.refuse_remote(arguments)
    except Refused:
        return True
    found = [*engine_arguments.of_engine(arguments), *engine_arguments.of_server(arguments)]
    return ELSEWHERE in {named.value for named in found}


@pytest.mark.parametrize("option", SINGLE, ids=lambda option: option.dest)
def test_a_path_outside_of_the_model_is_refused_by_both(option: Option) -> None:
    """Given to each option that opens something."""
    value: object = ELSEWHERE
    if option.kind is Kind.ADAPTER:
        value = [SimpleNamespace(name="a", path=ELSEWHERE)]
    written = f"a={ELSEWHERE}" if option.kind is Kind.ADAPTER else ELSEWHERE
    assert refused_by_the_webhook(option, written)
    assert looked_at_by_the_plugin(option, value)


@pytest.mark.parametrize("option", JSON, ids=lambda option: option.dest)
def test_settings_outside_of_the_model_are_refused_by_both(option: Option) -> None:
    """Adapters by name, and settings that load what no signature covers."""
    value = {"a": ELSEWHERE}
    assert refused_by_the_webhook(option, json.dumps(value))
    assert looked_at_by_the_plugin(option, value)


@pytest.mark.parametrize(
    ("option", "key"), KEYED, ids=lambda part: part if isinstance(part, str) else part.dest
)
@pytest.mark.parametrize("dashed", [False, True], ids=["underscored", "dashed"])
def test_a_key_that_opens_something_is_refused_by_both(
    option: Option, key: str, *, dashed: bool
) -> None:
    """At any depth, and with dashes for underscores, as vLLM reads a draft's settings."""
    value = {"deep": [{key.replace("_", "-") if dashed else key: ELSEWHERE}]}
    assert refused_by_the_webhook(option, json.dumps(value))
    assert looked_at_by_the_plugin(option, value)


@pytest.mark.parametrize(
    "name", [*HOOK_HANDLERS, "CUSTOM_SCRIPT_FILENAME", "SAGEMAKER_MODEL_PATH", "STANDARD_PIP_ARGS"]
)
def test_a_variable_by_which_vllm_runs_a_file_is_warned_of(name: str) -> None:
    """The check inside vLLM looks at the file itself, which the webhook cannot."""
    container = {
        "name": "vllm",
        "command": ["vllm", "serve", MODEL],
        "env": [{"name": name, "value": "serve.py:handler"}],
    }
    judgement = check(Reading(container=container), mounts_model=True, model_paths=(MODEL,))
    assert any(f"{name} decides which code runs" in warning for warning in judgement.warnings)
