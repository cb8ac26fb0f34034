"""Signed configurations that lead out of their model, as the check inside vLLM reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from validator.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.support.signed_model import Site

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize(
    ("name", "document", "words"),
    [
        ("config.json", {"audio_model_id": "org/whisper"}, "config.json: audio_model_id 'org/"),
        ("config.json", {"sub": [{"text_model_id": "/x"}]}, "config.json: text_model_id '/x' lies"),
        ("config.json", {"text_model_id": 7}, "config.json: text_model_id '7'"),
        ("config.4.1.json", {"text_model_id": "/x"}, "config.4.1.json: text_model_id '/x' lies"),
        ("part/config.json", {"text_model_id": "/x"}, "config.json: text_model_id '/x' lies"),
        (
            "processor_config.json",
            {"audio_tokenizer": {"audio_tokenizer_name_or_path": "org/dac"}},
            "processor_config.json: audio_tokenizer_name_or_path 'org/dac' is not an absolute",
        ),
        (
            "audio_tokenizer_config.json",
            {"audio_tokenizer_name_or_path": "/x"},
            "audio_tokenizer_config.json: audio_tokenizer_name_or_path '/x' lies in no model",
        ),
        (
            "modules.json",
            [{"idx": 0, "path": ""}, {"idx": 1, "path": "/x", "type": "a.Dense"}],
            "modules.json: path '/x' lies in no model",
        ),
        ("modules.json", {"modules": [{"path": "../x"}]}, "modules.json: path '../x'"),
        ("tokenizer_config.json", {"vocab_file": "/x"}, "tokenizer_config.json: vocab_file '/x'"),
        ("tokenizer_config.json", {"a": {"b_file": "a/../.."}}, "tokenizer_config.json: b_file"),
    ],
    ids=str,
)
def test_a_signed_configuration_that_names_another_model_is_refused(
    load: Callable[..., ModuleType], site: Site, name: str, document: Any, words: str
) -> None:
    """A signature says who wrote the name, and nothing of the model that it leads to."""
    site.sign_with(name, json.dumps(document).encode())
    arguments = load().EngineArgs(model=str(site.model))
    with pytest.raises(Refused) as refusal:
        arguments.create_engine_config()
    assert words in str(refusal.value)
    assert not arguments.reads


def test_a_model_within_the_signed_one_may_be_named(
    load: Callable[..., ModuleType], site: Site
) -> None:
    """Its files are signed as well, and so are parts by a relative path."""
    modules = [{"path": "1_Pooling"}, {"path": None}, {"path": f"{site.model}/weights"}]
    site.sign_with("modules.json", json.dumps(modules).encode())
    assert load().EngineArgs(model=str(site.model)).create_engine_config()
    (site.model / "modules.json").unlink()
    document = {"text_model_id": f"{site.model}/weights", "audio_model_id": None}
    site.sign_with("config.json", json.dumps(document).encode())
    assert load().EngineArgs(model=str(site.model)).create_engine_config()


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "preprocessor_config.json"]
)
@pytest.mark.parametrize(
    "auto_map",
    [{"AutoModel": "org/base--modeling.Model"}, {"AutoTokenizer": [None, "org/base--t.Fast"]}],
)
def test_code_of_another_repository_is_refused_where_code_is_run(
    load: Callable[..., ModuleType], site: Site, name: str, auto_map: Any
) -> None:
    """Offline it would come out of the hub's cache, which nobody has signed."""
    site.sign_with(name, json.dumps({"auto_map": auto_map}).encode())
    vllm = load()
    with pytest.raises(Refused, match="names code of another repository, 'org/base--"):
        vllm.EngineArgs(model=str(site.model), trust_remote_code=True).create_engine_config()
    assert vllm.EngineArgs(model=str(site.model)).create_engine_config()
    site.sign_with(name, b'{"auto_map": {"AutoModel": "modeling.Model"}}')
    vllm = load()
    assert vllm.EngineArgs(model=str(site.model), trust_remote_code=True).create_engine_config()


def test_a_configuration_is_read_as_transformers_reads_it(
    load: Callable[..., ModuleType], site: Site
) -> None:
    """Some models' have Infinity in them, which is no JSON; what cannot be read is refused."""
    site.sign_with("config.json", b'{"time_step_limit": [0.0, Infinity]}')
    vllm = load()
    assert vllm.EngineArgs(model=str(site.model)).create_engine_config()
    site.sign_with("config.json", b"{" * 100_000)
    with pytest.raises(Refused, match="is not JSON that can be read"):
        load().EngineArgs(model=str(site.model)).create_engine_config()


def test_fields_that_nobody_opens_are_let_be(load: Callable[..., ModuleType], site: Site) -> None:
    """Many models say where they were made, by paths of another machine."""
    stale = {"special_tokens_map_file": "/home/x/map.json", "tokenizer_file": None, "path": "/x"}
    site.sign_with("tokenizer_config.json", json.dumps(stale | {"name_or_path": "/x"}).encode())
    assert load().EngineArgs(model=str(site.model)).create_engine_config()
