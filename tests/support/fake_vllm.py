"""vLLM as the plugin meets it: its arguments' class, which reads what it is given.

The fields, their defaults and the order of the reads are those of vLLM 0.32; `tests/e2e/stack` has
the
real one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Self


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
