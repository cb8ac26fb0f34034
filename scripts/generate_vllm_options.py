"""Write validator/vllm/options.json: what vLLM's own parser takes, and what each option opens.

    python scripts/generate_vllm_options.py [FILE]

Runs in an environment that has vLLM, and dumps its parser: spellings, how many
values, whether a value is JSON. What an option *opens* no parser says: the
tables below do, and were read option by option. An option or a text variable
that they do not name, and a name that vLLM no longer has, end the run: an update
of vLLM is a review of these tables.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parent.parent / "validator" / "vllm" / "options.json"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


KINDS: Final[dict[str, dict[str, str]]] = {
    "options": {
        "safe": "opens nothing that decides what is served",
        "peer": "takes part in a group of machines, which send it objects",
        "model": "the model: a path or a hub id",
        "tokenizer": "as model, and vLLM reads it beside the model",
        "config": "as model: settings that vLLM reads beside the weights",
        "adapter": "NAME=PATH, or JSON with paths",
        "draft": "as model: the draft of speculative decoding",
        "template": "a chat template: a file, or its text",
        "revision": "which revision of a hub id",
        "cache": "where hub ids are looked up",
        "arguments": "a file with more arguments",
        "code": "Python code, by file or by name",
        "watched": "a logging configuration or a cache, which may bring code",
        "paths": "settings whose paths are opened",
        "opaque": "settings of which only paths can be told",
        "remote": "loads what no signature covers",
    },
    "environment": {
        "safe": "decides nothing of what is served",
        "code": "code, libraries or compiled artefacts that are loaded",
        "path": "a file or directory that decides what is served",
        "remote": "switches on what no signature covers",
        "cache": "where hub ids are looked up",
    },
}

OPTIONS: Final = {
    "model_tag": "model",
    "model": "model",
    "tokenizer": "tokenizer",
    "hf_config_path": "config",
    "generation_config": "config",
    "mm_encoder_fp8_scale_path": "config",
    "lora_modules": "adapter",
    "default_mm_loras": "adapter",
    "spec_model": "draft",
    "speculative_config": "opaque",
    "chat_template": "template",
    "revision": "revision",
    "tokenizer_revision": "revision",
    "code_revision": "remote",
    "download_dir": "cache",
    "config": "arguments",
    "hf_overrides": "paths",
    "mm_processor_kwargs": "paths",
    "model_loader_extra_config": "paths",
    "load_format": "remote",
    "weight_transfer_config": "remote",
    "tool_parser_plugin": "code",
    "reasoning_parser_plugin": "code",
    "io_processor_plugin": "code",
    "logits_processors": "code",
    "middleware": "code",
    "model_class_overrides": "code",
    "scheduler_cls": "code",
    "worker_cls": "code",
    "worker_extension_cls": "code",
    "distributed_executor_backend": "code",
    "log_config_file": "watched",
    "logging_config": "opaque",
    "compilation_config": "opaque",
    "structured_outputs_config": "opaque",
    "additional_config": "opaque",
    "ec_manager_config": "opaque",
    "kv_transfer_config": "opaque",
    "ec_transfer_config": "opaque",
    "kv_events_config": "peer",
    "data_parallel_address": "peer",
    "data_parallel_backend": "peer",
    "data_parallel_external_lb": "peer",
    "data_parallel_hybrid_lb": "peer",
    "data_parallel_multi_port_external_lb": "peer",
    "data_parallel_rank": "peer",
    "data_parallel_rpc_port": "peer",
    "data_parallel_start_rank": "peer",
    "headless": "peer",
    "master_addr": "peer",
    "master_port": "peer",
    "nnodes": "peer",
    "node_rank": "peer",
    "tool_server": "peer",
}
"""Kinds of the options that are not in SAFE, by argparse's name for them."""

KEYS: Final = {
    "speculative_config": {
        "model": "draft",
        "tokenizer": "tokenizer",
        "revision": "revision",
        "code_revision": "remote",
    },
    "hf_overrides": {"auto_map": "code", "audio_model_id": "draft", "text_model_id": "draft"},
    "logging_config": {"pylogging_config_file": "watched"},
    "compilation_config": {"cache_dir": "watched", "backend": "code", "inductor_passes": "code"},
    "structured_outputs_config": {"reasoning_parser_plugin": "code"},
    "ec_manager_config": {"encoder_cache_manager_cls": "code"},
    "kv_transfer_config": {"kv_connector_module_path": "code"},
    "ec_transfer_config": {"ec_connector_module_path": "code"},
}
"""Kinds of the keys of JSON options, at any depth."""

KNOWN: Final = {
    "generation_config": ("auto", "vllm"),
    "hf_config_path": ("",),
    "mm_encoder_fp8_scale_path": ("",),
    "spec_model": ("ngram", "[ngram]"),
    "speculative_config.model": ("ngram", "[ngram]"),
    "load_format": (
        *("auto", "bitsandbytes", "fastsafetensors", "gguf", "hf", "instanttensor", "mistral"),
        *("npcache", "pt", "runai_streamer", "runai_streamer_sharded", "safetensors"),
        "sharded_state",
    ),
    "worker_cls": ("auto",),
    "distributed_executor_backend": ("external_launcher", "mp", "ray", "uni"),
    "compilation_config.backend": ("", "eager", "inductor"),
    "compilation_config.cache_dir": ("",),
    "tool_parser_plugin": ("",),
    "reasoning_parser_plugin": ("",),
    "structured_outputs_config.reasoning_parser_plugin": ("",),
    "worker_extension_cls": ("",),
}
"""Values that open nothing but what the model's own files and vLLM bring."""

SAFE: Final = _names(
    """
    aggregate_engine_logging all2all_backend allow_credentials allow_deprecated_quantization
    allowed_headers allowed_local_media_path allowed_media_domains allowed_methods allowed_origins
    anthropic_disabled_thinking_effort api_key api_server_count async_scheduling attention_backend
    attention_config aux_output_config block_size chat_template_content_format cohere_format
    cohere_is_reasoning_model collect_detailed_traces config_format convert
    cp_kv_cache_interleave_size cpu_distributed_timeout_seconds cpu_offload_gb cpu_offload_params
    cudagraph_capture_sizes cudagraph_metrics custom_histogram_buckets data_parallel_size
    data_parallel_size_local data_parallel_supervisor_port dbo_decode_token_threshold
    dbo_prefill_token_threshold dcp_comm_backend dcp_kv_cache_interleave_size dcp_q_replicate
    decode_context_parallel_size default_chat_template_kwargs device_ids diffusion_config
    disable_access_log_for_endpoints disable_cascade_attn disable_chunked_mm_input
    disable_custom_all_reduce disable_fastapi_docs disable_hybrid_kv_cache_manager
    disable_log_stats disable_nccl_for_dp_synchronization disable_sliding_window
    disable_uvicorn_access_log distributed_timeout_seconds dp_supervisor_probe_failure_threshold
    dp_supervisor_probe_interval_s dp_supervisor_probe_timeout_s dp_sync_interval dtype
    elastic_ep_max_dp_size enable_auto_tool_choice enable_batch_sharded_sampling
    enable_chunked_prefill enable_cumem_allocator enable_dbo enable_elastic_ep
    enable_ep_weight_filter enable_eplb enable_expert_parallel enable_fault_tolerance
    enable_flash_late_interaction enable_flashinfer_autotune enable_force_include_usage
    enable_hc_sp enable_layerwise_nvtx_tracing enable_log_deltas enable_log_outputs
    enable_log_requests enable_logging_iteration_details enable_lora
    enable_mamba_cache_stochastic_rounding enable_mamba_shared_prefix_checkpoint
    enable_mfu_metrics enable_mixed_moe_lora_format enable_mm_embeds enable_moe_shared_loras
    enable_nccl_comm_suspend enable_offline_docs enable_per_request_metrics enable_prefix_caching
    enable_prompt_embeds enable_prompt_tokens_details enable_request_id_headers
    enable_return_routed_experts enable_scale_out enable_server_load_tracking
    enable_shm_tensor_arena enable_sleep_mode enable_ssl_refresh enable_tokenizer_info_endpoint
    enable_tower_connector_lora enable_trace_replay enforce_eager engram_config eplb_config
    exclude_tools_when_tool_choice_none expert_placement_strategy fail_on_environ_validation
    fault_tolerance_config fingerprint_mode fingerprint_value fully_sharded_loras
    gdn_prefill_backend gpu_memory_utilization grpc grpc_port h11_max_header_count
    h11_max_incomplete_event_size help hf_token host ignore_patterns interleave_mm_strings
    ir_op_priority jit_monitor_mode jit_monitor_verbose kda_decode_backend kda_prefill_backend
    kernel_config kv_cache_dtype kv_cache_dtype_skip_layers kv_cache_memory_bytes kv_cache_metrics
    kv_cache_metrics_sample kv_offloading_backend kv_offloading_size kv_sharing_fast_prefill
    language_model_only limit_mm_per_prompt linear_backend log_error_stack log_level logprobs_mode
    long_prefill_token_threshold long_prefill_token_threshold_adaptive lora_dtype
    lora_target_modules mamba_backend mamba_block_size mamba_cache_dtype mamba_cache_mode
    mamba_cache_philox_rounds mamba_ssm_cache_dtype mamba_ssu_algorithm max_cpu_loras
    max_cudagraph_capture_size max_log_len max_logprobs max_lora_cls_labels max_lora_rank
    max_loras max_model_len max_num_active_seqs max_num_batched_tokens max_num_queued_reqs
    max_num_queued_tokens max_num_scheduled_tokens max_num_seqs max_parallel_loading_workers
    media_io_kwargs mm_device_do_normalize mm_encoder_attn_backend mm_encoder_attn_dtype
    mm_encoder_fp8_scale_save_margin mm_encoder_fp8_scale_save_path mm_encoder_only
    mm_encoder_tp_mode mm_hasher_algorithm mm_ipc_gpu_memory_gb mm_processor_cache_gb
    mm_processor_cache_type mm_processor_device
    mm_shm_cache_max_object_size_mb mm_tensor_ipc model_impl moe_backend num_gpu_blocks_override
    numa_bind numa_bind_cpus numa_bind_nodes offload_backend offload_group_size
    offload_num_in_group offload_params offload_prefetch_step optimization_level
    otlp_traces_endpoint override_generation_config per_request_spec_decode_metrics
    performance_mode pipeline_parallel_size pooler_config port prefill_context_parallel_size
    prefill_schedule_interval prefix_cache_retention_interval prefix_caching_hash_algo
    prefix_match_unit profiler_config pt_load_map_location quantization quantization_config
    ray_workers_use_nsight reasoning_config reasoning_parser renderer_num_workers
    replayssm_buffer_len response_role return_sampling_mask return_tokens_as_token_ids root_path
    runner safetensors_load_strategy safetensors_prefetch_block_size
    safetensors_prefetch_num_threads scheduler_reserve_full_isl scheduling_policy seed
    served_model_name show_hidden_metrics_for_version shutdown_timeout skip_mm_profiling
    skip_tokenizer_init sleep_mode_offload_cudagraph sleep_preserve_parameter_names
    sparse_indexer_topk_backend spec_method spec_tokens specialize_active_lora
    sse_keep_alive_interval ssl_ca_certs ssl_cert_reqs ssl_certfile ssl_ciphers ssl_keyfile
    stream_interval swa_bounded_replay tensor_parallel_size tokenizer_mode tokens_only
    tool_call_parser tool_strict_level trust_remote_code trust_request_chat_template
    trust_request_mm_kwargs ubatch_size uds use_fp64_gumbel use_replayssm use_tqdm_on_load
    uvicorn_log_level video_pruning_method video_pruning_rate watermark watermark_config
    """
)
"""Options that open nothing which decides what is served."""

ENVIRONMENT: Final = {
    "HF_HOME": "cache",
    "HF_HUB_CACHE": "cache",
    "HUGGINGFACE_HUB_CACHE": "cache",
    "TRANSFORMERS_CACHE": "cache",
    "XDG_CACHE_HOME": "cache",
    "VLLM_LORA_RESOLVER_CACHE_DIR": "path",
    "VLLM_MODEL_REDIRECT_PATH": "path",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "remote",
    "VLLM_LORA_RESOLVER_HF_REPO_LIST": "remote",
    "VLLM_SERVER_DEV_MODE": "remote",
    "VLLM_TEST_FORCE_LOAD_FORMAT": "remote",
    "VLLM_USE_MODELSCOPE": "remote",
    "BASH_ENV": "code",
    "CC": "code",
    "CUDA_HOME": "code",
    "CUDA_INJECTION64_PATH": "code",
    "CUDA_PATH": "code",
    "CUSTOM_SCRIPT_FILENAME": "code",
    "CXX": "code",
    "ENV": "code",
    "FLYDSL_RUNTIME_CACHE_DIR": "code",
    "GCONV_PATH": "code",
    "GIO_EXTRA_MODULES": "code",
    "HF_MODULES_CACHE": "code",
    "HSA_TOOLS_LIB": "code",
    "LD_AUDIT": "code",
    "LD_LIBRARY_PATH": "code",
    "LD_PRELOAD": "code",
    "LMCACHE_CONFIG_FILE": "code",
    "LOCPATH": "code",
    "NCCL_NET_PLUGIN": "code",
    "NCCL_PROFILER_PLUGIN": "code",
    "NCCL_TUNER_PLUGIN": "code",
    "NUMBA_CACHE_DIR": "code",
    "OPENSSL_CONF": "code",
    "OPENSSL_ENGINES": "code",
    "OPENSSL_MODULES": "code",
    "PATH": "code",
    "PYTHONHOME": "code",
    "PYTHONPATH": "code",
    "PYTHONPLATLIBDIR": "code",
    "PYTHONPYCACHEPREFIX": "code",
    "PYTHONSTARTUP": "code",
    "PYTHONUSERBASE": "code",
    "PYTHONWARNINGS": "code",
    "ROCM_PATH": "code",
    "SAGEMAKER_MODEL_PATH": "code",
    "TORCHINDUCTOR_CACHE_DIR": "code",
    "TORCH_EXTENSIONS_DIR": "code",
    "TRITON_CACHE_DIR": "code",
    "TRITON_LIBCUDA_PATH": "code",
    "TRITON_PTXAS_PATH": "code",
    "TVM_LIBRARY_PATH": "code",
    "UCX_MODULE_DIR": "code",
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "code",
    "VLLM_CACHE_ROOT": "code",
    "VLLM_CONFIG_ROOT": "code",
    "VLLM_CUDART_SO_PATH": "code",
    "VLLM_CUDA_COMPATIBILITY_PATH": "code",
    "VLLM_FLASHINFER_AUTOTUNE_CACHE_DIR": "code",
    "VLLM_FORCE_AOT_LOAD": "code",
    "VLLM_LOGGING_CONFIG_PATH": "code",
    "VLLM_NCCL_INCLUDE_PATH": "code",
    "VLLM_NCCL_SO_PATH": "code",
    "VLLM_PLUGINS": "code",
    "VLLM_RPC_BASE_PATH": "code",
    "VLLM_RUST_FRONTEND_PATH": "code",
    "VLLM_TUNED_CONFIG_FOLDER": "code",
    "VLLM_USE_RUST_BENCH": "code",
    "VLLM_XLA_CACHE_PATH": "code",
    "XDG_CONFIG_HOME": "code",
}
"""Variables that decide what is served, of vLLM and of what it runs on."""

SAFE_ENVIRONMENT: Final = _names(
    """
    CUDA_VISIBLE_DEVICES HF_HUB_DISABLE_PROGRESS_BARS HF_HUB_DISABLE_TELEMETRY HF_HUB_OFFLINE
    HF_TOKEN HUGGING_FACE_HUB_TOKEN NVIDIA_DRIVER_CAPABILITIES NVIDIA_VISIBLE_DEVICES
    OMP_NUM_THREADS OPENBLAS_NUM_THREADS OTEL_SERVICE_NAME PYTHONDONTWRITEBYTECODE
    PYTHONFAULTHANDLER PYTHONHASHSEED PYTHONNOUSERSITE PYTHONUNBUFFERED PYTHONUTF8
    PYTORCH_ALLOC_CONF PYTORCH_CUDA_ALLOC_CONF TOKENIZERS_PARALLELISM TRANSFORMERS_OFFLINE TZ

    MOONCAKE_PREFERRED_SEGMENT MOONCAKE_REQUESTER_LOCAL_HOSTNAME VLLM_API_KEY VLLM_ASSETS_CACHE
    VLLM_CPU_OMP_THREADS_BIND VLLM_DEBUG_DUMP_PATH VLLM_DISABLED_KERNELS
    VLLM_FLASHINFER_AUTOTUNE_SKIP_OPS VLLM_GC_DEBUG VLLM_GPT_OSS_SYSTEM_TOOL_MCP_LABELS
    VLLM_GPU_NIC_PCIE_MAPPING VLLM_HOST_IP VLLM_LOGGING_COLOR VLLM_LOGGING_LEVEL
    VLLM_LOGGING_PREFIX VLLM_LOGGING_STREAM VLLM_LOOPBACK_IP VLLM_MEDIA_CACHE VLLM_MEDIA_CONNECTOR
    VLLM_NIC_SELECTION_VARS VLLM_OBJECT_STORAGE_SHM_BUFFER_NAME VLLM_PATTERN_MATCH_DEBUG
    VLLM_PP_LAYER_PARTITION VLLM_PROCESS_NAME_PREFIX VLLM_RAY_BUNDLE_INDICES
    VLLM_SKIP_VERSION_SUFFIX VLLM_SYSTEM_START_DATE VLLM_TARGET_DEVICE VLLM_USAGE_SOURCE
    VLLM_USAGE_STATS_SERVER VLLM_USE_SIMPLE_KV_OFFLOAD VLLM_USE_SPINLOOP_EXT
    VLLM_VIDEO_LOADER_BACKEND
    """
)
"""Text variables that decide nothing of what is served."""

IGNORED_ENVIRONMENT: Final = _names(
    """
    MAX_JOBS NVCC_THREADS S3_ACCESS_KEY_ID S3_ENDPOINT_URL S3_SECRET_ACCESS_KEY VERBOSE
    VLLM_BUILD_COMMIT VLLM_BUILD_PIPELINE VLLM_BUILD_URL VLLM_DP_MASTER_IP VLLM_DP_MASTER_PORT
    VLLM_EC_SIDE_CHANNEL_HOST VLLM_HUMMING_INPUT_QUANT_CONFIG VLLM_HUMMING_ONLINE_QUANT_CONFIG
    VLLM_IMAGE_TAG VLLM_MAIN_CUDA_VERSION VLLM_MOE_ROUTING_SIMULATION_STRATEGY
    VLLM_NIXL_SIDE_CHANNEL_HOST VLLM_P2P_SIDE_CHANNEL_HOST VLLM_RAY_DP_PLACEMENT_NODE_IPS
    VLLM_RAY_EXTRA_ENV_VARS_TO_COPY VLLM_RAY_EXTRA_ENV_VAR_PREFIXES_TO_COPY
    """
)
"""Variables of vLLM's of which `Check` says nothing, and which `Strict` does not allow."""


def main(argv: list[str]) -> None:
    """Write the file, or the one that is named."""
    target = Path(argv[1]) if len(argv) > 1 else FILE
    target.write_text(rendered(document()), encoding="utf-8")


def document() -> dict[str, Any]:
    """Return what is written.

    Raises:
        SystemExit: vLLM and the tables do not agree; the message says where.
    """
    options = [_option(action) for action in _parser()._actions]  # noqa: SLF001 — argparse has no other list
    return {
        "vllm": metadata.version("vllm-cpu" if _third_party() else "vllm"),
        "kinds": KINDS,
        "options": _agreeing(options),
        "environment": _environment(),
    }


def rendered(document: dict[str, Any]) -> str:
    """Return the document as text, an option a line, so that a change reads well."""
    options = ",\n".join(f"  {json.dumps(option)}" for option in document["options"])
    rest = json.dumps({key: value for key, value in document.items() if key != "options"}, indent=1)
    return f'{rest[:-2]},\n "options": [\n{options}\n ]\n}}\n'


def _third_party() -> bool:
    try:
        metadata.version("vllm")
    except metadata.PackageNotFoundError:
        return True
    return False


def _parser() -> argparse.ArgumentParser:
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: PLC0415 — heavy

    try:
        from vllm.entrypoints.launchers.cli_args import make_arg_parser  # noqa: PLC0415 — as above
    except ImportError:  # before 0.30 or so
        from vllm.entrypoints.openai.cli_args import make_arg_parser  # noqa: PLC0415 — as above
    parser: argparse.ArgumentParser = make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    return parser


def _option(action: argparse.Action) -> dict[str, Any]:
    dest = action.dest
    option: dict[str, Any] = {
        "dest": dest,
        "flags": list(action.option_strings),
        "arity": action.nargs,
        "kind": OPTIONS.get(dest) or ("safe" if dest in SAFE else "unclassified"),
    }
    if _is_json(action):
        option["json"] = True
    if dest in KNOWN:
        option["known"] = list(KNOWN[dest])
    if dest in KEYS:
        option["keys"] = {
            key: {"kind": kind, "known": list(KNOWN.get(f"{dest}.{key}", ()))}
            for key, kind in KEYS[dest].items()
        }
    return option


def _is_json(action: argparse.Action) -> bool:
    """Tell whether a value is read as JSON, by trying."""
    if action.nargs == 0 or not callable(action.type):
        return False
    try:
        value = action.type("{}")
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        return False
    return not isinstance(value, str | list)


def _agreeing(options: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = {option["dest"] for option in options}
    unclassified = [option["dest"] for option in options if option["kind"] == "unclassified"]
    gone = (OPTIONS.keys() | SAFE) - found
    twice = OPTIONS.keys() & SAFE
    _raise_for({"unclassified": unclassified, "gone": gone, "in both tables": twice}, "options")
    return options


def _environment() -> dict[str, str]:
    from vllm import envs  # noqa: PLC0415 — as above

    tree = ast.parse(Path(envs.__file__).read_text(encoding="utf-8"))
    types = {
        node.target.id: ast.unparse(node.annotation)
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    tables = ENVIRONMENT.keys() | SAFE_ENVIRONMENT | IGNORED_ENVIRONMENT
    of_vllm = set(envs.environment_variables)
    scalars = {name for name in of_vllm if _is_scalar(types.get(name, "str"))}
    gone = {name for name in tables if name.startswith("VLLM_")} - of_vllm
    _raise_for({"unclassified": of_vllm - scalars - tables, "gone": gone}, "variables")
    safe = (SAFE_ENVIRONMENT | scalars) - ENVIRONMENT.keys() - IGNORED_ENVIRONMENT
    return dict(sorted({**dict.fromkeys(safe, "safe"), **ENVIRONMENT}.items()))


def _is_scalar(annotation: str) -> bool:
    """Tell whether a variable is a number, a switch or one of a closed list of words."""
    parts = annotation.split(" | ") if not annotation.startswith("Literal") else [annotation]
    return all(part in ("bool", "int", "float", "None") or "Literal[" in part for part in parts)


def _raise_for(found: dict[str, Any], what: str) -> None:
    named = [f"{fault}: {', '.join(sorted(names))}" for fault, names in found.items() if names]
    if named:
        sys.exit(f"the tables do not agree with vLLM's {what}; {'; '.join(named)}")


if __name__ == "__main__":
    main(sys.argv)
