"""The values that the check inside vLLM reads, compared with the webhook's reading."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from validator.vllm.option_kinds import LOAD_FORMATS
from validator.vllm.plugin import engine_arguments

ROOT: Final = Path(__file__).parents[4]


def test_the_fields_are_those_that_were_read_in_vllm() -> None:
    """A field that leaves the table is seen here: it would no longer be looked at."""
    assert {
        *("model", "model_weights", "tokenizer", "hf_config_path", "generation_config"),
        *("mm_encoder_fp8_scale_path", "spec_model", "speculative_config", "code_revision"),
        *("model_loader_extra_config", "default_mm_loras", "weight_transfer_config"),
        *("load_format", "trust_remote_code", "hf_overrides", "mm_processor_kwargs"),
    } == engine_arguments.FIELDS


def test_values_that_name_no_file_are_few() -> None:
    """Each of them lets a field pass that is a path otherwise."""
    assert {
        "model_weights": {""},
        "tokenizer": set(),
        "hf_config_path": {""},
        "generation_config": {"auto", "vllm"},
        "mm_encoder_fp8_scale_path": {""},
        "spec_model": {"ngram", "[ngram]"},
    } == engine_arguments.PATHS
    assert {
        "speculative_config": {"model": {"ngram", "[ngram]"}, "tokenizer": set()},
        "model_loader_extra_config": {},
        "hf_overrides": {
            "audio_model_id": set(),
            "text_model_id": set(),
            "_name_or_path": set(),
            "name_or_path": set(),
            "quantization_config_file": set(),
        },
        "mm_processor_kwargs": {},
    } == engine_arguments.SETTINGS
    assert engine_arguments.REMOTE_SETTINGS["speculative_config"].keys() == {
        "code_revision",
        "load_format",
    }
    assert "dummy" not in LOAD_FORMATS
    assert "safetensors" in LOAD_FORMATS


def test_variables_that_let_other_models_in_are_refused() -> None:
    """The webhook refuses the same ones."""
    assert engine_arguments.VARIABLES == [
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
        "VLLM_LORA_RESOLVER_CACHE_DIR",
        "VLLM_LORA_RESOLVER_HF_REPO_LIST",
        "VLLM_MODEL_REDIRECT_PATH",
        "VLLM_SERVER_DEV_MODE",
        "VLLM_TEST_FORCE_LOAD_FORMAT",
        "VLLM_USE_MODELSCOPE",
    ]


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
