"""The kinds of vLLM's options: what each of them opens, which no parser says.

Read option by option in the source of the releases in `releases`. Belongs here: options, keys of
JSON options, and values that open nothing. A test fails for an option of a release that has no
kind here, and for a name that no release has.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The kind of thing that an option opens."""

    SAFE = "safe"
    """Opens nothing that decides what is served."""
    PEER = "peer"
    """Takes part in a group of machines, which send it objects."""
    MODEL = "model"
    """The model: a path or a hub id."""
    TOKENIZER = "tokenizer"
    """As MODEL, and vLLM reads it beside the model."""
    CONFIG = "config"
    """As MODEL: settings that vLLM reads beside the weights."""
    ADAPTER = "adapter"
    """NAME=PATH, or JSON with paths."""
    DRAFT = "draft"
    """As MODEL: the draft of speculative decoding, or a model inside the model."""
    TEMPLATE = "template"
    """A chat template: a file, or its text."""
    REVISION = "revision"
    """The revision of a hub id."""
    CACHE = "cache"
    """Where hub ids are looked up."""
    ARGUMENTS = "arguments"
    """A file with more arguments."""
    CODE = "code"
    """Python code, by file or by name."""
    WATCHED = "watched"
    """A logging configuration or a cache, which may bring code."""
    PATHS = "paths"
    """Settings whose paths are opened."""
    OPAQUE = "opaque"
    """Settings of which only paths can be told."""
    REMOTE = "remote"
    """Loads what no signature covers."""
    REQUESTS = "requests"
    """Lets a request say what is opened, loaded, run or answered; `OF_REQUESTS` says which."""


OF_REQUESTS: Final[dict[str, str]] = {
    "allowed_local_media_path": "lets requests read files of the container",
    "enable_mm_embeds": "loads tensors of requests",
    "enable_prompt_embeds": "loads tensors of requests",
    "enable_trace_replay": "lets requests say what is answered",
    "tool_server": "lets requests have other servers run tools",
    "trust_request_chat_template": "lets requests bring chat templates, which are programs",
    "trust_request_mm_kwargs": "lets requests say what a processor opens",
}
"""Options by which a request decides something, and what that is. `--allowed-media-domains` is not
one: requests may name any address without it, and fewer with it."""


def _of(kind: Kind, names: str) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), kind)


KINDS: Final[dict[str, Kind]] = {
    **_of(
        Kind.MODEL,
        """
        model model_tag
        """,
    ),
    "tokenizer": Kind.TOKENIZER,
    **_of(
        Kind.CONFIG,
        """
        generation_config hf_config_path mm_encoder_fp8_scale_path
        """,
    ),
    **_of(
        Kind.ADAPTER,
        """
        default_mm_loras lora_modules
        """,
    ),
    "spec_model": Kind.DRAFT,
    **_of(
        Kind.PATHS,
        """
        hf_overrides mm_processor_kwargs model_loader_extra_config speculative_config
        """,
    ),
    "chat_template": Kind.TEMPLATE,
    **_of(
        Kind.REVISION,
        """
        revision tokenizer_revision
        """,
    ),
    **_of(
        Kind.REMOTE,
        """
        code_revision load_format weight_transfer_config
        """,
    ),
    "download_dir": Kind.CACHE,
    "config": Kind.ARGUMENTS,
    **_of(
        Kind.CODE,
        """
        distributed_executor_backend io_processor_plugin logits_processors middleware
        model_class_overrides reasoning_parser_plugin scheduler_cls tool_parser_plugin worker_cls
        worker_extension_cls
        """,
    ),
    "log_config_file": Kind.WATCHED,
    **_of(
        Kind.OPAQUE,
        """
        additional_config compilation_config ec_manager_config ec_transfer_config
        kv_transfer_config logging_config profiler_config structured_outputs_config
        watchdog_config
        """,
    ),
    **_of(
        Kind.PEER,
        """
        data_parallel_address data_parallel_backend data_parallel_external_lb
        data_parallel_hybrid_lb data_parallel_multi_port_external_lb data_parallel_rank
        data_parallel_rpc_port data_parallel_start_rank headless kv_events_config master_addr
        master_port nnodes node_rank
        """,
    ),
    **dict.fromkeys(OF_REQUESTS, Kind.REQUESTS),
    **_of(
        Kind.SAFE,
        """
        aggregate_engine_logging all2all_backend allow_credentials allow_deprecated_quantization
        allowed_headers allowed_media_domains allowed_methods
        allowed_origins anthropic_disabled_thinking_effort api_key api_server_count
        async_scheduling attention_backend attention_config aux_output_config block_size
        chat_template_content_format cohere_format cohere_is_reasoning_model
        collect_detailed_traces config_format convert cp_kv_cache_interleave_size
        cpu_distributed_timeout_seconds cpu_offload_gb cpu_offload_params cudagraph_capture_sizes
        cudagraph_metrics custom_histogram_buckets data_parallel_size data_parallel_size_local
        data_parallel_supervisor_port dbo_decode_token_threshold dbo_prefill_token_threshold
        dcp_comm_backend dcp_kv_cache_interleave_size dcp_q_replicate decode_context_parallel_size
        default_chat_template_kwargs device_ids diffusion_config disable_access_log_for_endpoints
        disable_cascade_attn disable_chunked_mm_input disable_custom_all_reduce
        disable_fastapi_docs disable_hybrid_kv_cache_manager disable_log_stats
        disable_nccl_for_dp_synchronization disable_sliding_window disable_uvicorn_access_log
        distributed_timeout_seconds dp_supervisor_probe_failure_threshold
        dp_supervisor_probe_interval_s dp_supervisor_probe_timeout_s dp_sync_interval dtype
        elastic_ep_max_dp_size enable_auto_tool_choice enable_batch_sharded_sampling
        enable_chunked_prefill enable_cumem_allocator enable_dbo enable_elastic_ep
        enable_ep_weight_filter enable_eplb enable_expert_parallel enable_fault_tolerance
        enable_flash_late_interaction enable_flashinfer_autotune enable_force_include_usage
        enable_hc_sp enable_layerwise_nvtx_tracing enable_log_deltas enable_log_outputs
        enable_log_requests enable_logging_iteration_details enable_lora
        enable_mamba_cache_stochastic_rounding enable_mamba_fine_grained_prefix_cache
        enable_mamba_shared_prefix_checkpoint enable_mfu_metrics enable_mixed_moe_lora_format
        enable_moe_shared_loras enable_nccl_comm_suspend enable_offline_docs
        enable_per_request_metrics enable_prefix_caching
        enable_prompt_tokens_details enable_request_id_headers enable_return_routed_experts
        enable_scale_out enable_server_load_tracking enable_shm_tensor_arena enable_sleep_mode
        enable_ssl_refresh enable_tokenizer_info_endpoint enable_tower_connector_lora
        enforce_eager engram_config eplb_config
        exclude_tools_when_tool_choice_none expert_placement_strategy fail_on_environ_validation
        fault_tolerance_config fingerprint_mode fingerprint_value fully_sharded_loras
        gdn_prefill_backend gpu_memory_utilization grpc grpc_port h11_max_header_count
        h11_max_incomplete_event_size help hf_token host ignore_patterns interleave_mm_strings
        ir_op_priority jit_monitor_mode jit_monitor_verbose kda_decode_backend kda_prefill_backend
        kernel_config kv_cache_dtype kv_cache_dtype_skip_layers kv_cache_memory_bytes
        kv_cache_metrics kv_cache_metrics_sample kv_offloading_backend kv_offloading_size
        kv_sharing_fast_prefill language_model_only limit_mm_per_prompt linear_backend
        log_error_stack log_level logprobs_mode long_prefill_token_threshold
        long_prefill_token_threshold_adaptive lora_dtype lora_target_modules mamba_backend
        mamba_block_size mamba_cache_dtype mamba_cache_mode mamba_cache_philox_rounds
        mamba_ssm_cache_dtype mamba_ssu_algorithm max_cpu_loras max_cudagraph_capture_size
        max_log_len max_logprobs max_lora_cls_labels max_lora_rank max_loras max_model_len
        max_num_active_seqs max_num_batched_tokens max_num_queued_reqs max_num_queued_tokens
        max_num_scheduled_tokens max_num_seqs max_parallel_loading_workers media_io_kwargs
        mm_device_do_normalize mm_encoder_attn_backend mm_encoder_attn_dtype
        mm_encoder_fp8_scale_save_margin mm_encoder_fp8_scale_save_path mm_encoder_only
        mm_encoder_tp_mode mm_hasher_algorithm mm_ipc_gpu_memory_gb mm_processor_cache_gb
        mm_processor_cache_type mm_processor_device mm_shm_cache_max_object_size_mb mm_tensor_ipc
        model_impl moe_backend monokernel num_gpu_blocks_override numa_bind numa_bind_cpus
        numa_bind_nodes offload_backend offload_group_size offload_num_in_group offload_params
        offload_prefetch_step optimization_level otlp_traces_endpoint override_generation_config
        per_request_spec_decode_metrics performance_mode pipeline_parallel_size pooler_config port
        prefill_context_parallel_size prefill_schedule_interval prefix_cache_retention_interval
        prefix_caching_hash_algo prefix_match_unit pt_load_map_location quantization
        quantization_config ray_workers_use_nsight reasoning_config reasoning_effort_map
        reasoning_parser renderer_num_workers replayssm_buffer_len response_role
        return_sampling_mask return_tokens_as_token_ids root_path runner safetensors_load_strategy
        safetensors_prefetch_block_size safetensors_prefetch_num_threads
        scheduler_reserve_full_isl scheduling_policy seed served_model_name
        show_hidden_metrics_for_version shutdown_timeout skip_mm_profiling skip_tokenizer_init
        sleep_mode_backend sleep_mode_offload_cudagraph sleep_preserve_parameter_names
        sparse_indexer_topk_backend spec_method spec_tokens specialize_active_lora
        sse_keep_alive_interval ssl_ca_certs ssl_cert_reqs ssl_certfile ssl_ciphers ssl_keyfile
        stream_interval swa_bounded_replay tensor_parallel_size tokenizer_mode tokens_only
        tool_call_parser tool_strict_level trust_remote_code
        ubatch_size uds use_fp64_gumbel use_replayssm use_tqdm_on_load
        uvicorn_log_level video_pruning_method video_pruning_rate watermark watermark_config
        """,
    ),
}
"""The kind of each option, by argparse's name for it."""

LOAD_FORMATS: Final = (
    *("auto", "bitsandbytes", "fastsafetensors", "gguf", "hf", "instanttensor", "mistral"),
    *("npcache", "pt", "runai_streamer", "runai_streamer_sharded", "safetensors"),
    "sharded_state",
)
"""Ways to load weights that read the model's own files."""

_KV_CODE: Final = _of(
    Kind.CODE,
    """
    backpressure_cls cache_policy_module_path kv_connector_module_path module_path policy
    policy_cls spec_module_path
    """,
)
"""The modules that `kv_transfer_config` imports: connectors, and in `kv_connector_extra_config`
offloading specs, tiers, cache policies and backpressure (`vllm/v1/kv_offload`)."""

KEYS: Final[dict[str, dict[str, Kind]]] = {
    "speculative_config": {
        "model": Kind.DRAFT,
        "tokenizer": Kind.TOKENIZER,
        "revision": Kind.REVISION,
        "code_revision": Kind.REMOTE,
        "load_format": Kind.REMOTE,  # of draft_load_config
    },
    "hf_overrides": {
        "auto_map": Kind.CODE,
        "audio_model_id": Kind.DRAFT,
        "text_model_id": Kind.DRAFT,
        "_name_or_path": Kind.CONFIG,  # where Phi-4-multimodal and others read files beside it
        "name_or_path": Kind.CONFIG,
        "quantization_config_file": Kind.CONFIG,  # relative to the working directory
    },
    "mm_processor_kwargs": {"code_revision": Kind.REMOTE},
    "logging_config": {"pylogging_config_file": Kind.WATCHED},
    "compilation_config": {
        "cache_dir": Kind.WATCHED,
        "backend": Kind.CODE,
        "inductor_passes": Kind.CODE,
        "inductor_compile_config": Kind.CODE,  # names compilers and passes
    },
    "structured_outputs_config": {"reasoning_parser_plugin": Kind.CODE},
    "ec_manager_config": {"encoder_cache_manager_cls": Kind.CODE},
    "kv_transfer_config": _KV_CODE,
    "ec_transfer_config": {"ec_connector_module_path": Kind.CODE, **_KV_CODE},
}
"""Kinds of the keys of JSON options, at any depth."""

KNOWN: Final[dict[str, tuple[str, ...]]] = {
    "generation_config": ("auto", "vllm"),
    "hf_config_path": ("",),
    "mm_encoder_fp8_scale_path": ("",),
    "spec_model": ("ngram", "[ngram]"),
    "speculative_config.model": ("ngram", "[ngram]"),
    "speculative_config.load_format": LOAD_FORMATS,
    "load_format": LOAD_FORMATS,
    "worker_cls": ("auto",),
    "distributed_executor_backend": ("external_launcher", "mp", "ray", "uni"),
    "compilation_config.backend": ("", "eager", "inductor"),
    "compilation_config.cache_dir": ("",),
    "kv_transfer_config.policy": ("g3_fifo", "g3_lru", "lru"),
    "tool_parser_plugin": ("",),
    "reasoning_parser_plugin": ("",),
    "structured_outputs_config.reasoning_parser_plugin": ("",),
    "worker_extension_cls": ("",),
}
"""Values that open nothing but what the model's own files and vLLM bring."""
