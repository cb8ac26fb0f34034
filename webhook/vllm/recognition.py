"""Recognition of vLLM: by the command, the image's name, or options that only vLLM has.

Belongs here: telling vLLM from other servers and helpers. A container without a
command leaves to its image what is started, and its arguments alone say little:
`--model` and `--port` are llama.cpp's too, and `-r /a /b` may be rsync's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from validator.vllm.options import TABLE
from webhook.vllm.command_line import Form, MalformedError
from webhook.vllm.parser import UnreadableError

if TYPE_CHECKING:
    from webhook.vllm.reading import Reading

_TAGGED: Final = re.compile(r"/vllm-openai[a-z-]*:v(\d+\.\d+)(?:[.@-]|$)", re.ASCII)
"""The images that vLLM publishes, and their mirrors."""

_WORDS: Final = re.compile(r"[^a-z0-9]+")

_BESIDE_VLLM: Final = frozenset(
    {"adapter", "bench", "benchmark", "client", "exporter", "gateway", "metrics", "operator"}
    | {"proxy", "router", "sim", "simulator", "sidecar", "ui"}
)
"""Words of an image's name that make it a helper of vLLM's: `vllm-router`, `vllm-exporter`."""

_OTHER_SERVERS: Final = re.compile(
    r"(?<![a-z0-9])(?:huggingfaceserver|llama[-_.]?cpp|lmdeploy|localai|mlserver|nvcr\.io/nim|ollama"
    r"|ovms|openvino|sglang|tensorrt|text-embeddings|text-generation|tei|tgi|torchserve"
    r"|triton(?:server)?)(?![a-z0-9])"
)
"""Images of other servers, some of which take vLLM's options as well."""

_SHARED: Final = (
    *("--allow-credentials", "--allowed-headers", "--allowed-methods", "--allowed-origins"),
    *("--api-key", "--attention-backend", "--block-size", "--chat-template", "--config"),
    *("--data-parallel-size", "--device-ids", "--dtype", "--enable-lora", "--grpc", "--headless"),
    *("--help", "--host", "--ignore-patterns", "--kv-cache-dtype", "--load-format"),
    *("--log-config-file", "--log-level", "--max-lora-rank", "--max-loras", "--max-model-len"),
    *("--middleware", "--model", "--nnodes", "--node-rank", "--performance-mode"),
    *("--pipeline-parallel-size", "--port", "--quantization", "--reasoning-parser", "--revision"),
    *("--root-path", "--runner", "--scheduling-policy", "--seed", "--served-model-name"),
    *("--ssl-ca-certs", "--ssl-cert-reqs", "--ssl-certfile", "--ssl-ciphers", "--ssl-keyfile"),
    *("--stream-interval", "--tensor-parallel-size", "--tokenizer", "--tokenizer-mode"),
    *("--tool-call-parser", "--trust-remote-code", "--uds", "--watermark"),
)
"""vLLM's options that other servers or helpers have too, by their documentation."""

_FLAGS: Final = frozenset(flag for option in TABLE.options for flag in option.flags)
_SHORT: Final = re.compile(r"-[A-Za-z]")
_OWN: Final = frozenset(flag for flag in _FLAGS if flag.startswith("--")).difference(_SHARED)
"""Options that only vLLM has."""


def is_vllm(reading: Reading) -> bool:
    """Tell whether a container is seen to start vLLM.

    Raises:
        MalformedError: Its command line or environment is not what Kubernetes defines.
    """
    line = reading.line
    if line.form is None or not line.entrypoint:
        return line.form is not None
    image = str(reading.container.get("image") or "").lower()
    repository = image.partition("@")[0]
    name, _, _ = repository.rpartition("/")[2].partition(":")
    words = {word for word in _WORDS.split(name) if word}
    if "vllm" in words and not words & _BESIDE_VLLM:
        return True
    return not _OTHER_SERVERS.search(
        repository.rpartition(":")[0] or repository
    ) and _reads_as_vllm(reading)


def tagged_release(image: object) -> str | None:
    """Return the release of vLLM that an image's tag names: `0.33` of `vllm/vllm-openai:v0.33.0`.

    None for images of other names, whose tags are the versions of something else.
    """
    found = _TAGGED.search(str(image))
    return found[1] if found else None


def recognised(reading: Reading) -> bool:
    """Tell whether a container is seen to start vLLM; one that cannot be read is not."""
    try:
        return reading.is_vllm
    except MalformedError:
        return False


def _reads_as_vllm(reading: Reading) -> bool:
    """Tell whether arguments can be vLLM's alone: all are its options, and one of them is telling.

    An absolute path after `serve` or `--model` is telling as well: whoever serves it must serve
    a verified one.
    """
    try:
        parsed = reading.parsed
    except UnreadableError:
        return False
    written = {argument.partition("=")[0].replace("_", "-") for argument in reading.line.arguments}
    short = {word for word in written if _SHORT.match(word) and not word.startswith("-O")}
    if parsed.unknown or short - _FLAGS:  # argparse takes `-c` for `-cc`, and `-ngl` for `-n gl`
        return False
    return bool(written & _OWN) or any(
        given.values and given.values[0].startswith("/")
        for given in parsed.given
        if (given.flag == "--model" and "--model" in written)
        or (not given.flag and reading.line.form is Form.SERVE)
    )
