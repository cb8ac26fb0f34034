"""The check inside vLLM: what it lets pass, and what it refuses before anything is read."""

from __future__ import annotations

import json
import logging
from argparse import Namespace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes import fake_vllm
from tests.support.signed_model import FILES, statement, write
from validator.errors import ModelError, PinError, Refused, Undecided
from validator.vllm.plugin import inherited_verdicts
from validator.vllm.plugin.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.signed_model import Site

pytestmark = pytest.mark.usefixtures("environment")


def test_an_honest_model_is_read(load: Callable[..., ModuleType], site: Site) -> None:
    """A signed model is opened as without the plugin."""
    arguments = load().EngineArgs(model=str(site.model))
    assert arguments.create_engine_config().parallel_config
    assert arguments.reads == [f"{site.model}/config.json", f"{site.model}/tokenizer.json"]


def test_a_changed_model_is_not_read_however_often_it_is_tried(
    load: Callable[..., ModuleType], site: Site
) -> None:
    """One byte differs, and not even config.json is opened: also by those who catch the error."""
    vllm = load()
    (site.model / "weights/a.bin").write_bytes(b"b" + b"a" * 999)
    for _ in range(2):
        arguments = vllm.AsyncEngineArgs(model=str(site.model))
        for method in ("create_engine_config", "create_model_config"):
            with pytest.raises(ModelError, match=r"'weights/a\.bin' is not the signed file"):
                getattr(arguments, method)()
        with pytest.raises(ModelError):
            vllm.AsyncEngineArgs.from_cli_args(Namespace(model=str(site.model)))
        assert not arguments.reads


def test_a_repaired_model_is_read(load: Callable[..., ModuleType], site: Site) -> None:
    """A refusal is not for ever: the next try is judged anew."""
    vllm = load()
    (site.model / "config.json").write_bytes(b"[]")
    with pytest.raises(ModelError):
        vllm.EngineArgs(model=str(site.model)).create_engine_config()
    write(site.model, FILES)
    assert vllm.EngineArgs(model=str(site.model)).create_engine_config()


def test_a_pin_holds_inside_vllm_too(
    load: Callable[..., ModuleType], policy: dict[str, Any], site: Site
) -> None:
    """The whole policy counts, not only its signers."""
    policy["spec"]["model"]["digests"] = [f"sha256:{'0' * 64}"]
    vllm = load()
    with pytest.raises(PinError):
        vllm.EngineArgs(model=str(site.model)).create_engine_config()


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"model": "/elsewhere"}, "--model '/elsewhere'"),
        ({"model": "org/name"}, "--model 'org/name' is not an absolute path"),
        ({"model": "s3://bucket/name"}, "--model 's3://bucket/name' is not an absolute path"),
        ({"model": "granite"}, "--model 'granite' is not an absolute path"),
        ({"model": "{model}/../other"}, "--model '{model}/../other' goes up by '..'"),
        ({"model": "{model}-other"}, "--model '{model}-other' lies in no model"),
        ({"model": "{model}/adapter"}, "the workload opens 'adapter', which the signature"),
        ({"model": Path("/elsewhere")}, "--model '/elsewhere' is not an absolute path"),
        ({"model": None}, "--model 'None' is not an absolute path"),
        ({"model_weights": "s3://bucket/name"}, "--model-weights"),
        ({"tokenizer": "/elsewhere"}, "--tokenizer '/elsewhere' lies in no model"),
        ({"tokenizer": "org/name"}, "--tokenizer 'org/name'"),
        ({"tokenizer": ""}, "--tokenizer ''"),
        ({"hf_config_path": "/elsewhere"}, "--hf-config-path '/elsewhere'"),
        ({"generation_config": "/elsewhere"}, "--generation-config '/elsewhere'"),
        ({"mm_encoder_fp8_scale_path": "/elsewhere"}, "--mm-encoder-fp8-scale-path"),
        ({"spec_model": "org/draft"}, "--spec-model 'org/draft'"),
        ({"speculative_config": {"model": "org/draft"}}, "--speculative-config.model 'org/draft'"),
        ({"speculative_config": {"tokenizer": "t"}}, "--speculative-config.tokenizer 't'"),
        ({"speculative_config": {"a": [{"some-file": "./x"}]}}, "--speculative-config.some_file"),
        ({"speculative_config": {"code-revision": "main"}}, "--speculative-config.code_revision"),
        ({"default_mm_loras": {"audio": "/elsewhere"}}, "--default-mm-loras.audio '/elsewhere'"),
        ({"model_loader_extra_config": {"a": "s3://x"}}, "--model-loader-extra-config.a"),
        ({"code_revision": "main"}, "--code-revision loads what no signature covers"),
        ({"weight_transfer_config": ...}, "--weight-transfer-config loads what no signature"),
        ({"load_format": "dummy"}, "--load-format 'dummy'"),
        ({"load_format": "tensorizer"}, "--load-format 'tensorizer'"),
        ({"hf_overrides": {"vision_config": {"path": "/elsewhere"}}}, "--hf-overrides.path"),
        ({"hf_overrides": {"audio_model_id": "org/whisper"}}, "--hf-overrides.audio_model_id"),
        (
            {"hf_overrides": {"quantization_config_file": "config.json"}},
            "--hf-overrides.quantization_config_file 'config.json' is not an absolute path",
        ),
        ({"hf_overrides": {"_name_or_path": "org/name"}}, "--hf-overrides._name_or_path"),
        (
            {"speculative_config": {"draft_load_config": {"load_format": "dummy"}}},
            "--speculative-config.load_format 'dummy' loads what no signature covers",
        ),
        ({"mm_processor_kwargs": {"subfolder": "a/../../b"}}, "subfolder 'a/../../b' is not an"),
        ({"mm_processor_kwargs": {"a": ["./x"]}}, "--mm-processor-kwargs.a './x'"),
    ],
    ids=str,
)
def test_what_lies_outside_of_the_signature_is_not_opened(
    load: Callable[..., ModuleType], site: Site, changes: dict[str, Any], option: str
) -> None:
    """Each thing that an engine opens must lie in a verified model; the sentence names it."""
    given = {
        name: value.format(model=site.model) if isinstance(value, str) else value
        for name, value in ({"model": "{model}"} | changes).items()
    }
    arguments = load().EngineArgs(**given)
    with pytest.raises(Refused) as refusal:
        arguments.create_engine_config()
    assert option.format(model=site.model) in str(refusal.value)
    assert not arguments.reads


@pytest.mark.parametrize(
    "changes",
    [
        {"tokenizer": "{model}"},
        {"model": "/{model}/"},
        {"generation_config": "vllm"},
        {"generation_config": "{model}"},
        {"hf_config_path": "{model}/weights"},
        {"spec_model": "ngram"},
        {"speculative_config": {"method": "ngram", "prompt_lookup_max": 3}},
        {"speculative_config": {"model": "[ngram]"}},
        {"load_format": "safetensors", "model_loader_extra_config": {"a": ["x"], "b": 1}},
    ],
    ids=str,
)
def test_what_lies_in_the_model_is_opened(
    load: Callable[..., ModuleType], site: Site, changes: dict[str, Any]
) -> None:
    """Values that name no path, and paths that the signature covers."""
    given = {
        name: value.format(model=site.model) if isinstance(value, str) else value
        for name, value in ({"model": "{model}"} | changes).items()
    }
    arguments = load().EngineArgs(**given)
    arguments.create_engine_config()
    assert arguments.reads


def test_code_of_the_model_is_run_where_the_hub_is_not_asked(
    load: Callable[..., ModuleType], site: Site
) -> None:
    """Signed code may run; config.json may name other repositories, which must be out of reach."""
    arguments = load().EngineArgs(model=str(site.model), trust_remote_code=True)
    assert arguments.create_engine_config()


def test_a_model_that_names_another_one_in_its_config_is_stopped_there(
    load: Callable[..., ModuleType], site: Site
) -> None:
    """A signed draft may say whom it drafts for; that model is not opened unless it is verified."""
    arguments = load().EngineArgs(model=str(site.model), verifier_in_its_config="org/verifier")
    with pytest.raises(Refused, match="--model 'org/verifier' is not an absolute path"):
        arguments.create_engine_config()
    assert arguments.reads == [f"{site.model}/config.json"]


def test_a_draft_model_of_the_policy_is_verified_with_the_other(
    load: Callable[..., ModuleType], policy: dict[str, Any], site: Site, tmp_path: Path
) -> None:
    """All models of a policy must hold, whichever of them is opened."""
    draft = write(tmp_path / "draft", FILES)
    (draft / "model.sig").write_bytes(site.signer.bundle(statement()))
    policy["spec"]["models"] = [policy["spec"].pop("model"), {"path": str(draft)}]
    vllm = load()
    given = {"model": str(site.model), "speculative_config": {"model": str(draft)}}
    assert vllm.EngineArgs(**given).create_engine_config()
    (draft / "config.json").write_bytes(b"[]")
    with pytest.raises(ModelError, match=r"'config\.json'"):
        load().EngineArgs(**given | {"tokenizer": str(draft)}).create_engine_config()


def test_a_servers_own_files_are_looked_at_before_the_engine_is_made(
    load: Callable[..., ModuleType], site: Site
) -> None:
    """Adapters and the chat template are options of the server, not of its engine."""
    make = load().AsyncEngineArgs.from_cli_args
    outside = SimpleNamespace(name="a", path="/elsewhere")
    inside = SimpleNamespace(name="a", path=f"{site.model}/weights")
    for refused in (
        {"lora_modules": [inside, outside]},
        {"chat_template": "/elsewhere/chat.jinja"},
        {"chat_template": "{{ messages }}"},
    ):
        with pytest.raises(Refused, match=r"--(lora-modules|chat-template) '"):
            make(Namespace(model=str(site.model), **refused))
    given = {"lora_modules": [inside], "chat_template": f"{site.model}/config.json"}
    assert make(Namespace(model=str(site.model), enable_log_requests=True, **given))
    assert make(Namespace(model=str(site.model), lora_modules=None, chat_template=None))


def test_requests_may_not_name_files(load: Callable[..., ModuleType], site: Site) -> None:
    """A processor opens what its settings name, and a request's settings are nobody's choice."""
    make = load().AsyncEngineArgs.from_cli_args
    assert make(Namespace(model=str(site.model), trust_request_mm_kwargs=False))
    with pytest.raises(Refused, match="--trust-request-mm-kwargs lets requests say which files"):
        make(Namespace(model=str(site.model), trust_request_mm_kwargs=True))


@pytest.mark.parametrize(
    "changes", [{"distributed_executor_backend": "ray"}, {"data_parallel_backend": "ray"}], ids=str
)
def test_workers_on_other_machines_are_refused(
    load: Callable[..., ModuleType], site: Site, changes: dict[str, Any]
) -> None:
    """Ray starts workers that no process of ours has verified for."""
    arguments = load().EngineArgs(model=str(site.model), **changes)
    with pytest.raises(Refused, match="Ray starts workers"):
        arguments.create_engine_config()


@pytest.mark.parametrize("name", ["VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_MODEL_REDIRECT_PATH"])
def test_a_variable_that_lets_other_models_in_is_refused_at_once_and_later(
    load: Callable[..., ModuleType], site: Site, environment: dict[str, str], name: str
) -> None:
    """When the plugin is loaded, and when it was set after that."""
    environment[name] = "1"
    with pytest.raises(Refused, match=f"{name} lets vLLM load what no signature covers"):
        load()
    environment[name] = "0"
    vllm = load()
    environment[name] = "True"
    with pytest.raises(Refused, match=name):
        vllm.EngineArgs(model=str(site.model)).create_engine_config()


def test_the_policy_may_be_a_file(
    load: Callable[..., ModuleType], policy: dict[str, Any], site: Site, tmp_path: Path
) -> None:
    """People without a cluster have it as YAML; the variable then holds its absolute path."""
    file = tmp_path / "granite.yaml"
    file.write_text(json.dumps(policy))
    vllm = load(str(file))
    assert vllm.EngineArgs(model=str(site.model)).create_engine_config()
    with pytest.raises(Refused):
        vllm.EngineArgs(model="/elsewhere").create_engine_config()


def test_audit_reports_once_and_lets_pass(
    load: Callable[..., ModuleType],
    policy: dict[str, Any],
    site: Site,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Audit is for trying a policy out: the refusal is in the log, and vLLM starts."""
    policy["spec"]["mode"] = "Audit"
    (site.model / "config.json").write_bytes(b"[]")
    arguments = load().EngineArgs(model=str(site.model))
    assert arguments.create_engine_config()
    assert arguments.reads
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith("Verification failed: the model is not the signed one")
    assert told[1] == "ModelValidation granite is in Audit mode: let pass all the same"


def test_a_model_is_verified_once_for_a_process_and_its_children(
    load: Callable[..., ModuleType],
    site: Site,
    environment: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Reading config, tokenizer and draft asks four times; the files are hashed for the first."""
    caplog.set_level(logging.INFO)
    vllm = load()
    for _ in range(2):
        arguments = vllm.EngineArgs.from_cli_args(Namespace(model=str(site.model)))
        arguments.create_engine_config()
    [record] = caplog.records
    assert record.getMessage().startswith(f"Verification succeeded: {site.model}, 3 files, ")
    assert json.loads(environment[inherited_verdicts.VARIABLE])["paths"] == [str(site.model)]


def test_a_verdict_is_told_before_vllm_has_set_up_its_log(
    policy: dict[str, Any],
    site: Site,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program that uses vLLM as a library sets up nothing before its first engine."""
    silent = logging.getLogger("nobody has given it a handler")
    monkeypatch.setattr(silent, "propagate", False)
    guard = Guard(json.dumps(policy), environment={"HF_HUB_OFFLINE": "1"}, log=silent)
    guard.ask(lambda judge: judge.path("the model", str(site.model)))
    assert capsys.readouterr().err.startswith(f"Verification succeeded: {site.model}, 3 files, ")


def test_something_more_is_verified_for(
    load: Callable[..., ModuleType], site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """A verdict stands for the paths that it was asked for: one more, and all is read again."""
    caplog.set_level(logging.INFO)
    vllm = load()
    vllm.EngineArgs(model=str(site.model)).create_engine_config()
    (site.model / "config.json").write_bytes(b"[]")
    arguments = vllm.EngineArgs(model=str(site.model), tokenizer=f"{site.model}/weights")
    with pytest.raises(ModelError):
        arguments.create_engine_config()


@pytest.mark.parametrize("name", ["model", "create_speculative_config", "from_cli_args"])
def test_another_vllm_than_the_known_one_is_refused(
    load: Callable[..., ModuleType], name: str
) -> None:
    """A release that renames a checked field would be unchecked."""
    replaced: dict[str, Any] = {name: None}
    if name == "model":  # a field, not an attribute
        fields = {field: value for field, value in _fields().items() if field != name}
        replaced = {"__dataclass_fields__": fields, name: None}
    with pytest.raises(Undecided, match=f"its EngineArgs has no {name};"):
        load(**replaced).EngineArgs(tokenizer="/elsewhere").create_engine_config()


def _fields() -> dict[str, Any]:
    fields: dict[str, Any] = fake_vllm.module().EngineArgs.__dataclass_fields__
    return fields


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_a_hub_that_is_asked_is_refused(
    load: Callable[..., ModuleType], environment: dict[str, str], value: str
) -> None:
    """Whatever a configuration names would be fetched; so offline is demanded always."""
    environment["HF_HUB_OFFLINE"] = value
    with pytest.raises(Refused, match="set HF_HUB_OFFLINE to 1"):
        load()
