"""What the check inside vLLM looks at, beside what the webhook reads of the same arguments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from validator.vllm.plugin import engine_arguments
from webhook.vllm.parser import TABLE, Kind, Variable

ROOT: Final = Path(__file__).parents[4]

NO_OPTIONS: Final = {"model_weights", "trust_remote_code"}
"""Fields that programs set, or that open nothing themselves."""

SERVER: Final = {"model_tag", "lora_modules", "chat_template"}
"""Options of the server, which are no fields of its engine's arguments."""

OPENED: Final = {
    *(Kind.MODEL, Kind.TOKENIZER, Kind.CONFIG, Kind.ADAPTER, Kind.DRAFT, Kind.TEMPLATE),
    *(Kind.PATHS, Kind.REMOTE),
}


def test_each_option_that_the_webhook_knows_to_open_something_is_looked_at() -> None:
    """Both tables are of the same vLLM: an option that one of them has, the other one has."""
    listed = {option.dest for option in TABLE.options if option.kind in OPENED}
    with_keys = {
        option.dest
        for option in TABLE.options
        if {key.kind for key in option.keys.values()} & OPENED
    }
    assert listed | with_keys == engine_arguments.FIELDS - NO_OPTIONS | SERVER


def test_each_variable_that_the_webhook_refuses_is_refused() -> None:
    """The same variables let other models in, whoever looks."""
    refused = {
        name for name, kind in TABLE.environment.items() if kind in (Variable.REMOTE, Variable.PATH)
    }
    assert set(engine_arguments.VARIABLES) == refused


def test_formats_and_exceptions_are_the_webhooks() -> None:
    """What a value means does not depend on who reads it."""
    options = {option.dest: option for option in TABLE.options}
    assert set(options["load_format"].known) == engine_arguments.LOAD_FORMATS
    assert engine_arguments.PATHS["generation_config"] == set(options["generation_config"].known)
    draft = options["speculative_config"].keys["model"]
    assert engine_arguments.SETTINGS["speculative_config"]["model"] == set(draft.known)
    assert engine_arguments.PATHS["spec_model"] == set(options["spec_model"].known)


def test_the_plugin_is_imported_without_any_library() -> None:
    """A plugin whose import fails is skipped: so it needs nothing that may be missing."""
    script = (
        f"import sys; sys.path[:] = [{str(ROOT)!r}, *sys.path]; import validator.vllm.plugin; "
        "print([name for name in ('msgspec', 'cryptography', 'yaml', 'vllm') "
        "if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
