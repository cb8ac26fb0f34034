"""The doors beside `EngineArgs`: whichever way an engine was made, it loads what was verified."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes import fake_vllm
from validator.errors import ModelError, Refused, Undecided
from validator.vllm.plugin import register

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.support.signed_model import Site

LOADERS = "vllm.model_executor.model_loader.base_loader"
ADAPTERS = "vllm.lora.peft_helper"
SNAPSHOTS = "vllm.snapshot.controller"
SCRIPTS = "model_hosting_container_standards.common.custom_code_ref_resolver.file_loader"


@pytest.fixture(autouse=True)
def guarded(vllm: dict[str, ModuleType]) -> dict[str, ModuleType]:
    """Return a vLLM with the plugin in it."""
    register.register()
    return vllm


def test_a_configuration_without_engine_arguments_is_not_read(
    guarded: dict[str, ModuleType], site: Site
) -> None:
    """`VllmConfig` takes a `ModelConfig` that a program has made by itself."""
    made = guarded["vllm.config.model"].ModelConfig
    assert made(model=str(site.model)).reads
    for changes in (
        {"model": "/elsewhere"},
        {"model": "org/name"},
        {"model": str(site.model), "tokenizer": "/elsewhere"},
        {"model": str(site.model), "hf_overrides": {"audio_model_id": "org/whisper"}},
    ):
        with pytest.raises(Refused):
            made(**changes)
    # As vLLM gives it to a draft model's: a function.
    assert made(model=str(site.model), hf_overrides=lambda config: config).reads


def test_weights_are_loaded_only_from_what_is_verified(
    guarded: dict[str, ModuleType], site: Site
) -> None:
    """Also where the configuration came from another process, or was changed for a reload."""
    loader = guarded[LOADERS].DefaultModelLoader()
    config = SimpleNamespace(model=str(site.model), model_weights="", trust_remote_code=False)
    loader.load_model(None, config)
    assert loader.reads == [f"{site.model}/model.safetensors"]
    for changes in ({"model": "/elsewhere"}, {"model_weights": "s3://bucket/name"}):
        other = SimpleNamespace(**vars(config) | changes)
        with pytest.raises(Refused):
            loader.load_model(None, other)
        with pytest.raises(Refused):
            loader.load_weights(None, model_config=other)
    assert len(loader.reads) == 1


def test_weights_that_a_model_names_beside_its_own_are_not_loaded(
    guarded: dict[str, ModuleType], site: Site
) -> None:
    """Ultravox' text model comes as a source of its own, which only the loader sees."""
    loader = guarded[LOADERS].DefaultModelLoader()
    loader._prepare_weights(str(site.model), None)
    with pytest.raises(Refused, match="the weights' source '/elsewhere' lies in no model"):
        loader._prepare_weights(model_name_or_path="/elsewhere", subfolder=None)


def test_a_changed_model_is_not_loaded(guarded: dict[str, ModuleType], site: Site) -> None:
    """Where nothing was asked before, the loader's question has the files verified."""
    (site.model / "weights/a.bin").write_bytes(b"b")
    loader = guarded[LOADERS].DefaultModelLoader()
    with pytest.raises(ModelError):
        loader._prepare_weights(str(site.model), None)


def test_a_way_to_load_that_reads_no_signed_file_is_refused(
    guarded: dict[str, ModuleType], site: Site
) -> None:
    """An engine that was made without `EngineArgs` has its load format all the same."""
    loader = guarded[LOADERS].DefaultModelLoader(SimpleNamespace(load_format="dummy"))
    with pytest.raises(Refused, match="--load-format 'dummy'"):
        loader._prepare_weights(str(site.model), None)


def test_a_loader_that_comes_later_is_guarded_too(guarded: dict[str, ModuleType]) -> None:
    """Plugins bring loaders of their own, and vLLM imports most of its own later."""

    class Later(guarded[LOADERS].BaseModelLoader):  # type: ignore[misc]
        def download_model(self, model_config: Any) -> None:
            self.reads.append(model_config.model)

    loader = Later()
    with pytest.raises(Refused):
        loader.download_model(SimpleNamespace(model="/elsewhere"))
    assert not loader.reads


def test_an_adapter_is_read_only_from_what_is_verified(
    guarded: dict[str, ModuleType], site: Site
) -> None:
    """Programs hand adapters to `LLM.generate`, which no argument of the engine names."""
    read = guarded[ADAPTERS].PEFTHelper.from_local_dir
    assert read(str(site.model), 8) == f"PEFTHelper of {site.model}"
    with pytest.raises(Refused, match="the adapter '/elsewhere' lies in no model"):
        read("/elsewhere", 8)
    with pytest.raises(Refused, match="the adapter 'a' is not an absolute path"):
        read(lora_path="a", max_position_embeddings=None)


def test_a_snapshot_is_not_restored(guarded: dict[str, ModuleType]) -> None:
    """Its weights are in the image of a process, and in no file of the model."""
    with pytest.raises(Refused, match="a snapshot brings weights that no signature covers"):
        guarded[SNAPSHOTS].restore_snapshot("/snapshots/a")


def test_a_script_is_run_only_from_what_is_verified(
    guarded: dict[str, ModuleType], site: Site
) -> None:
    """Whichever name led vLLM's hook for SageMaker to it."""
    run = guarded[SCRIPTS].FileLoader()._load_regular_module
    script = site.model / "weights/a.bin"
    assert run(script) == f"ran {script}"
    with pytest.raises(Refused, match=r"SageMaker '.*/model\.py' lies in no model"):
        run(site.model.parent / "model.py")


def test_audit_lets_all_doors_open(
    load: Callable[..., ModuleType], vllm: dict[str, ModuleType], policy: dict[str, Any]
) -> None:
    """A policy that is only tried out stops nothing."""
    policy["spec"]["mode"] = "Audit"
    load()
    assert vllm[SNAPSHOTS].restore_snapshot("/snapshots/a")
    assert vllm["vllm.config.model"].ModelConfig(model="/elsewhere").reads


@pytest.mark.parametrize(
    ("module", "owner", "name"),
    [
        ("vllm.config.model", "ModelConfig", "__post_init__"),
        (ADAPTERS, "PEFTHelper", "from_local_dir"),
        (SCRIPTS, "FileLoader", "_load_regular_module"),
        (SNAPSHOTS, None, "restore_snapshot"),
    ],
)
def test_another_vllm_than_the_known_one_cannot_be_guarded(
    vllm: dict[str, ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    owner: str | None,
    name: str,
) -> None:
    """A release that has renamed a door would leave it open."""
    other = fake_vllm.package()
    holder = getattr(other[module], owner) if owner else other[module]
    delattr(holder, name)
    monkeypatch.setitem(vllm, module, other[module])
    monkeypatch.setitem(sys.modules, module, other[module])
    with pytest.raises(Undecided, match=f"this vLLM cannot be guarded: its .* has no {name}; use"):
        register.register()
