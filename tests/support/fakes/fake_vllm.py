"""vLLM as the plugin meets it: the classes that read what they are given, and its plugins.

The fields, their defaults and the order of the reads are those of vLLM 0.32; `tests/e2e/stack` has
the real one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self


def package(**replaced: Any) -> dict[str, ModuleType]:
    """Return a fresh vLLM, by its modules' names; `replaced` are attributes of its `EngineArgs`."""
    parts = {
        "vllm.engine.arg_utils": module(**replaced),
        "vllm.plugins": _plugins(),
        "vllm.config.model": _model_configuration(),
        "vllm.model_executor.model_loader.base_loader": _loaders(),
        "vllm.lora.peft_helper": _adapters(),
        "vllm.snapshot.controller": _snapshots(),
        "model_hosting_container_standards.common.custom_code_ref_resolver.file_loader": _scripts(),
    }
    for name in list(parts):
        above = name
        while above := above.rpartition(".")[0]:
            parts.setdefault(above, ModuleType(above))
    parts["vllm"].__dict__.update(__version__="0.32.0")
    return parts


def _plugins() -> ModuleType:
    """Return its loader of plugins, which marks them as loaded before it calls one."""
    made = ModuleType("vllm.plugins")
    functions: list[Callable[[], None]] = []
    loaded = False

    def load_general_plugins() -> None:
        nonlocal loaded
        if loaded:
            return
        loaded = True
        for function in functions:
            function()

    made.__dict__.update(load_general_plugins=load_general_plugins, functions=functions)
    return made


def _model_configuration() -> ModuleType:
    @dataclass
    class ModelConfig:
        model: str = "Qwen/Qwen3-0.6B"
        model_weights: str = ""
        tokenizer: str | None = None
        hf_overrides: Any = field(default_factory=dict)
        trust_remote_code: bool = False

        def __post_init__(self) -> None:
            self.reads = [f"{self.model}/config.json"]

    made = ModuleType("vllm.config.model")
    made.__dict__.update(ModelConfig=ModelConfig)
    return made


def _loaders() -> ModuleType:
    class BaseModelLoader:
        def __init__(self, load_config: Any = None) -> None:
            self.load_config = load_config or SimpleNamespace(load_format="auto")
            self.reads: list[str] = []

        def load_weights(self, model: Any, model_config: Any) -> None:
            raise NotImplementedError

        def load_model(self, vllm_config: Any, model_config: Any, prefix: str = "") -> None:
            del vllm_config, prefix
            self.load_weights(None, model_config)

    class DefaultModelLoader(BaseModelLoader):
        def load_weights(self, model: Any, model_config: Any) -> None:
            del model
            self._prepare_weights(model_config.model, None)

        def _prepare_weights(self, model_name_or_path: str, subfolder: str | None) -> None:
            del subfolder
            self.reads.append(f"{model_name_or_path}/model.safetensors")

    made = ModuleType("vllm.model_executor.model_loader.base_loader")
    made.__dict__.update(BaseModelLoader=BaseModelLoader, DefaultModelLoader=DefaultModelLoader)
    return made


def _adapters() -> ModuleType:
    class PEFTHelper:
        @classmethod
        def from_local_dir(cls, lora_path: str, max_position_embeddings: int | None) -> str:
            del max_position_embeddings
            return f"{cls.__name__} of {lora_path}"

    made = ModuleType("vllm.lora.peft_helper")
    made.__dict__.update(PEFTHelper=PEFTHelper)
    return made


def _snapshots() -> ModuleType:
    def restore_snapshot(args: Namespace) -> str:
        return f"restored {args}"

    made = ModuleType("vllm.snapshot.controller")
    made.__dict__.update(restore_snapshot=restore_snapshot)
    return made


def _scripts() -> ModuleType:
    class FileLoader:
        def _load_regular_module(self, file_path: Path) -> str:
            return f"ran {file_path}"

    made = ModuleType("file_loader")
    made.__dict__.update(FileLoader=FileLoader)
    return made


def module(**replaced: Any) -> ModuleType:
    """Return a fresh `vllm.engine.arg_utils`; `replaced` are attributes of its `EngineArgs`."""

    @dataclass
    class EngineArgs:
        model: str = "Qwen/Qwen3-0.6B"
        model_weights: str = ""
        tokenizer: str | None = None
        hf_config_path: str | None = None
        generation_config: str = "auto"
        mm_encoder_fp8_scale_path: str | None = None
        code_revision: str | None = None
        load_format: str = "auto"
        model_loader_extra_config: dict[str, Any] = field(default_factory=dict)
        default_mm_loras: dict[str, str] | None = None
        hf_overrides: Any = field(default_factory=dict)
        mm_processor_kwargs: dict[str, Any] | None = None
        speculative_config: dict[str, Any] | None = None
        spec_model: str | None = None
        weight_transfer_config: Any = None
        trust_remote_code: bool = False
        distributed_executor_backend: Any = None
        data_parallel_backend: str = "mp"
        verifier_in_its_config: str | None = None
        """The model that config.json names to be served in place of this one."""
        reads: list[str] = field(default_factory=list)
        """The files that were read, in order; no field of vLLM's."""

        @classmethod
        def from_cli_args(cls, args: Namespace) -> Self:
            names = [each.name for each in dataclasses.fields(cls)]
            return cls(**{name: value for name, value in vars(args).items() if name in names})

        def create_engine_config(self, usage_context: Any = None, headless: bool = False) -> Any:  # noqa: FBT001, FBT002 — as in vLLM
            del usage_context, headless
            self.reads.append(f"{self.model}/config.json")
            if self.verifier_in_its_config:
                self.speculative_config = {"model": self.model}
                self.model = self.tokenizer = self.verifier_in_its_config
            self.create_model_config()
            self.tokenizer = self.tokenizer or self.model
            self.create_speculative_config()
            ray = self.distributed_executor_backend == "ray"
            parallel = SimpleNamespace(
                use_ray=ray, data_parallel_backend=self.data_parallel_backend
            )
            return SimpleNamespace(parallel_config=parallel)

        def create_model_config(self) -> Any:
            self.reads.append(f"{self.model}/tokenizer.json")
            return SimpleNamespace(model=self.model)

        def create_speculative_config(self) -> Any:
            draft = self.speculative_config or {}
            if "model" in draft:
                self.reads.append(f"{draft['model']}/config.json")
            return draft

    @dataclass
    class AsyncEngineArgs(EngineArgs):
        enable_log_requests: bool = False

    for name, value in replaced.items():
        if value is None:
            delattr(EngineArgs, name)
        else:
            setattr(EngineArgs, name, value)
    made = ModuleType("vllm.engine.arg_utils")
    made.__dict__.update(EngineArgs=EngineArgs, AsyncEngineArgs=AsyncEngineArgs)
    return made
