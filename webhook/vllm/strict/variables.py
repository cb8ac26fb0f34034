"""The variables that `Strict` allows in the container that serves.

Each was read where the library uses it, or vLLM in each release that is known, and is harmless
with any literal value: it names no file, module, host or other variable. A number or switch
that decides how vLLM computes or where it listens is not here, unless people need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator import contract
from validator.text import quoted
from validator.vllm.facts import OFFLINE
from webhook.vllm.command_line import is_known

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from webhook.vllm.reading import Reading

SECRETS: Final = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "VLLM_API_KEY"})
"""Variables whose value may come from a Secret: they open doors for clients, not for content."""

_LIMIT: Final = "a number: a limit or a time"
_LOG: Final = "decides what is written to the log"
_DEVICES: Final = "decides which devices and how many cores are used"
_QUIET: Final = "keeps a library from asking or telling other machines"
_PYTHON: Final = "decides how Python writes and hashes, and not what it loads"

HARMLESS: Final[dict[str, str]] = {
    **dict.fromkeys(SECRETS, "a password, for clients or for a hub that is not asked"),
    contract.POLICY_VARIABLE: "the policy of the check inside vLLM, which only refuses",
    **dict.fromkeys(
        (
            *(OFFLINE, "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "VLLM_DO_NOT_TRACK"),
            *("HF_HUB_DISABLE_PROGRESS_BARS", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"),
        ),
        _QUIET,
    ),
    **dict.fromkeys(
        (
            *("VLLM_CONFIGURE_LOGGING", "VLLM_DEBUG_LOG_API_SERVER_RESPONSE", "NO_COLOR"),
            *("VLLM_DISABLE_LOG_LOGO", "VLLM_LOGGING_COLOR", "VLLM_LOGGING_LEVEL"),
            *("VLLM_LOG_STATS_INTERVAL", "VLLM_RINGBUFFER_WARNING_INTERVAL", "OTEL_SERVICE_NAME"),
        ),
        _LOG,
    ),
    **dict.fromkeys(
        (
            *("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "VLLM_AUDIO_FETCH_TIMEOUT"),
            *("VLLM_ENGINE_READY_TIMEOUT_S", "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS"),
            *("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "VLLM_IMAGE_FETCH_TIMEOUT"),
            *("VLLM_MAX_AUDIO_CLIP_FILESIZE_MB", "VLLM_MEDIA_LOADING_THREAD_COUNT"),
            "VLLM_VIDEO_FETCH_TIMEOUT",
        ),
        _LIMIT,
    ),
    **dict.fromkeys(
        (
            *("CUDA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_VISIBLE_DEVICES"),
            *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TOKENIZERS_PARALLELISM"),
            *("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "VLLM_CPU_KVCACHE_SPACE"),
            *("VLLM_CPU_NUM_OF_RESERVED_CPU", "VLLM_CPU_OMP_THREADS_BIND"),
        ),
        _DEVICES,
    ),
    **dict.fromkeys(
        (
            *("PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTHONHASHSEED"),
            *("PYTHONNOUSERSITE", "PYTHONUNBUFFERED", "PYTHONUTF8"),
        ),
        _PYTHON,
    ),
}

_DEVICE_NAMES: Final = "NVIDIA_VISIBLE_DEVICES"
"""Of GPUs, or of any device of the Container Device Interface: `vendor.com/class=name`."""

NO_USER_SITE: Final = "PYTHONNOUSERSITE"


def refusals(reading: Reading, *, scratch: Collection[str]) -> Iterator[str]:
    """Yield which variables are not allowed, a sentence each.

    Args:
        reading: The container.
        scratch: Directories that are the container's own, where HOME may lie.

    Raises:
        MalformedError: `env` is not a list of named variables.
    """
    environment = reading.environment
    seen: set[str] = set()
    for variable in reading.container.get("env") or ():
        name = variable["name"]
        if name in seen:
            yield f"{quoted(name)} is set twice; keep one"
        seen.add(name)
    for name in sorted(environment.values.keys() | environment.unknown):
        value = environment.values.get(name)
        if name == "HOME":
            yield from _home(value, environment.values.get(NO_USER_SITE), scratch=scratch)
        elif name not in HARMLESS:
            yield f"{quoted(name)} is not on the list of variables that are safe; remove it"
        elif name in environment.unknown and name not in SECRETS:
            yield f"{name} takes its value from elsewhere; write it literally"
        elif name == _DEVICE_NAMES and set("=/") & set(value or ""):
            yield (
                f"{name} {quoted(value)} names devices of CDI, by which a node may add files and "
                "programs; name GPUs by number or id, or remove it"
            )
        elif value is not None and not is_known(value):
            yield f"{name} takes its value {quoted(value)} from elsewhere; write it literally"


def _home(
    value: str | None, no_user_site: str | None, *, scratch: Collection[str]
) -> Iterator[str]:
    if value not in scratch:
        yield f"HOME {quoted(value)} is not one of {', '.join(sorted(scratch))}; remove it"
    elif no_user_site != "1":
        yield (
            f"HOME {quoted(value)} is where Python looks for packages of its user; set "
            f'{NO_USER_SITE} to "1", or remove HOME'
        )
