"""`Check`: what vLLM's command line opens is verified, or the pod is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from validator.vllm.option_kinds import OF_REQUESTS
from validator.vllm.options import OPTIONS, TABLE
from webhook.vllm.check import Judgement, check
from webhook.vllm.reading import Reading

MODEL = "/models/granite"
VLLM_IMAGE = "docker.io/vllm/vllm-openai:v0.32.0"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def serving(*arguments: str, **fields: Any) -> dict[str, Any]:
    """Return a container that serves by `vllm serve`."""
    return {"name": "vllm", "command": ["vllm", "serve"], "args": list(arguments), **fields}


def judged(container: dict[str, Any], *, mounts_model: bool = True) -> Judgement:
    """Return what is said of a container."""
    return check(Reading(container=container), mounts_model=mounts_model, model_paths=(MODEL,))


def variables(**values: str) -> list[dict[str, str]]:
    """Return `env`."""
    return [{"name": name, "value": value} for name, value in values.items()]


@pytest.mark.parametrize(
    "container",
    [
        serving(MODEL),
        serving("--model", MODEL),
        serving(f"--model={MODEL}/"),
        serving("--port", "8000", "--mode", MODEL) | {"args": ["--port=8000", "--model", MODEL]},
        {"command": ["vllm"], "args": ["serve", MODEL]},
        {"command": ["/usr/local/bin/vllm", "serve", MODEL]},
        {"command": ["python3", "-m", "vllm.entrypoints.openai.api_server", "--model", MODEL]},
        {"command": ["python", "-um", "vllm.entrypoints.openai.api_server"]}
        | {"args": ["--model", MODEL]},
        {"command": ["python3.12", "-X", "dev", "-m", "vllm.entrypoints.cli.main"]}
        | {"args": ["serve", MODEL]},
        {"args": [MODEL], "image": VLLM_IMAGE},
        {"args": ["serve", MODEL]},
        {"args": ["--model", MODEL, "--tensor_parallel_size", "2", "-O3", "-tp=2"]},
        serving(MODEL, "--tokenizer", MODEL, "--generation-config", "vllm"),
        serving("$(WHERE)", env=variables(WHERE=MODEL)),
        serving("$(ROOT)/granite", env=variables(TOP="models", ROOT="/$(TOP)")),
        serving("granite", workingDir="/models"),
        serving(MODEL, volumeMounts=[{"name": "models", "mountPath": "/models/"}]),
        serving(MODEL, "--served-model-name", "$(NAME)x", "--port", "$(PORT)"),
        serving(MODEL, "--speculative-config", '{"method": "ngram", "model": "ngram"}'),
    ],
    ids=repr,
)
def test_the_verified_model_is_served(container: dict[str, Any]) -> None:
    """Every usual way to start vLLM on the model passes, and the gate is told the path."""
    judgement = judged(container)
    assert judgement == Judgement(cover=(MODEL,), vllm=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["/elsewhere"],
        ["--model", "/elsewhere"],
        ["--model=/elsewhere"],
        ["--model="],
        ["--model", ""],
        ["--model"],
        [],
        [MODEL, "/elsewhere", "--mod"],
        [MODEL, "--model", "/elsewhere"],
        ["--model", MODEL, "--model", "/elsewhere"],
        ["--model", MODEL, "--model=/elsewhere"],
        ["--model", "/elsewhere", "--model", MODEL],
        [MODEL, "--mod", "/elsewhere"],
        [MODEL, "--mode=/elsewhere"],
        ["--", "/elsewhere"],
        ["org/name"],
        ["gpt2"],
        ["granite"],
        ["./granite"],
        [f"{MODEL}/../other"],
        [f"{MODEL}/link/../other"],
        [f"{MODEL}2"],
        ["~/granite"],
        ["s3://bucket/granite"],
        ["hf://org/name"],
        ["gs://bucket/granite", "--load-format", "runai_streamer"],
        ["org/name", "--revision", "main"],
        ["org/name", "--revision", COMMIT],
        [MODEL, "--tokenizer", "/elsewhere"],
        [MODEL, "--tokenize", "/elsewhere", "--tokenizer-m=auto"],
        [MODEL, "--hf-config-path", "/elsewhere"],
        [MODEL, "--hf_config_path=/elsewhere"],
        [MODEL, "--hf-conf", "/elsewhere"],
        [MODEL, "--generation-config", "/elsewhere"],
        [MODEL, "--speculative-config", '{"model": "/elsewhere"}'],
        [MODEL, "--speculative_config", '{"model": "/elsewhere"}'],
        [MODEL, "-sc", '{"model": "/elsewhere"}'],
        [MODEL, "-sc.model", "/elsewhere"],
        [MODEL, "--speculative-config.model", "/elsewhere"],
        [MODEL, "--speculative-config.model=/elsewhere"],
        [MODEL, "--speculative_conf.model=/elsewhere"],
        [MODEL, "--speculative-config.model+", "/elsewhere"],
        [MODEL, "--speculative-config.model.x", "/elsewhere"],
        [MODEL, "--speculative-config", "{model: /elsewhere}"],
        [MODEL, "--speculative-config", '{"code-revision": "main"}'],
        [MODEL, "--speculative-config", '{"n": 80k, "model": "/elsewhere"}'],
        [MODEL, "--speculative-config", '{"n": 80x}'],
        [MODEL, "--ec-transfer-config", '{"a": {"b": "/elsewhere", "b": 1}}'],
        [MODEL, "--ec-transfer-config", '{"a": {"b": 80k, "b": 1}}'],
        [MODEL, "--speculative-config", '{"method": "custom_class", "model": "package.Class"}'],
        [MODEL, "--speculative-config.draft_load_config.load_format", "dummy"],
        [MODEL, "--speculative-config.draft_load_config.download_dir", "/elsewhere"],
        [MODEL, "--hf-overrides", '{"_name_or_path": "org/name"}'],
        [MODEL, "--hf-overrides.name_or_path", "org/name"],
        [MODEL, "--hf-overrides.quantization_config_file", "config.json"],
        [MODEL, "--mm-processor-kwargs", '{"subfolder": "a/../../other"}'],
        [MODEL, "--mm-processor-kwargs", '{"code_revision": "main"}'],
        [MODEL, "--speculative-config", "[" * 20000],
        [MODEL, "--spec-model", "/elsewhere"],
        [MODEL, "--lora-modules", "a=/elsewhere"],
        [MODEL, "--lora-modules", f"a={MODEL}/a", "b=/elsewhere"],
        [MODEL, "--lora_modules", '{"name": "a", "path": "/elsewhere"}'],
        [MODEL, "--lora-modules", '{"name": "a"}'],
        [MODEL, "--lora-modules", "a=org/adapter"],
        [MODEL, "--default-mm-loras", '{"audio": "/elsewhere"}'],
        [MODEL, "--chat-template", "{{ messages }}"],
        [MODEL, "--chat-template", "../template_chatml.jinja"],
        [MODEL, "--chat-template", "https://registry.example/template.jinja"],
        [MODEL, "--config", "/elsewhere.yaml"],
        ["--config", "/elsewhere.yaml"],
        [MODEL, "--config=/elsewhere.yaml"],
        [MODEL, "--download-dir", "/elsewhere"],
        [MODEL, "--code-revision", COMMIT],
        [MODEL, "--hf-overrides", '{"auto_map": {"AutoModel": "org/name--modelling.Model"}}'],
        [MODEL, "--model-loader-extra-config", '{"tensorizer_uri": "s3://bucket/x"}'],
        [MODEL, "--load-format", "tensorizer"],
        [MODEL, "--weight-transfer-config", '{"backend": "nccl"}'],
        [MODEL, "--tool-parser-plugin", "/elsewhere.py"],
        [MODEL, "--reasoning-parser-plugin=/elsewhere.py"],
        [MODEL, "--kv-transfer-config", '{"kv_connector_module_path": "/elsewhere/x.py"}'],
        [MODEL, "--m", "x"],
        [MODEL, "--served-model-name", "a", "$(MORE)"],
        ["--model", "$(WHERE)"],
        [MODEL, "$(MORE)"],
        [MODEL, "--$(MORE)"],
        [MODEL, "--tokenizer=$(WHERE)"],
        ["x"] * 600,
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
@pytest.mark.parametrize("form", ["serve", "module", "entrypoint"])
def test_what_is_not_verified_is_refused(arguments: list[str], form: str) -> None:
    """Each way to serve something else ends in a sentence that names the container."""
    commands: dict[str, dict[str, Any]] = {
        "serve": {"command": ["vllm", "serve"]},
        "module": {"command": ["python3", "-m", "vllm.entrypoints.openai.api_server"]},
        "entrypoint": {"image": VLLM_IMAGE},
    }
    if form == "module" and arguments[:1] == [MODEL]:
        arguments = ["--model", *arguments]
    judgement = judged({"name": "vllm", "args": arguments, **commands[form]})
    if form == "entrypoint" and not arguments:  # nothing says that it is vLLM
        assert judgement.unread
        return
    assert judgement.refusals
    assert all(sentence.startswith("container 'vllm': ") for sentence in judgement.refusals)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["--tokenizer", f"{MODEL}/tokenizer"], "tokenizer"),
        (["--lora-modules", f"a={MODEL}/a"], "a"),
        (["--lora-modules", json.dumps({"name": "a", "path": f"{MODEL}/a"})], "a"),
        (["--speculative-config.model", f"{MODEL}/draft"], "draft"),
        (["--speculative-config.model", "/elsewhere", "-sc.model", f"{MODEL}/draft"], None),
        (["--chat-template", f"{MODEL}/chat.jinja"], "chat.jinja"),
        (["--tool-parser-plugin", f"{MODEL}/tools.py"], "tools.py"),
        (["--download-dir", f"{MODEL}/cache"], "cache"),
        (["--mm-encoder-fp8-scale-path", f"{MODEL}/scales.json"], "scales.json"),
    ],
    ids=repr,
)
def test_what_lies_in_the_model_is_covered(arguments: list[str], path: str | None) -> None:
    """Files beside the weights are handed to the gate, which finds them signed or refuses."""
    judgement = judged(serving(MODEL, *arguments))
    if path is None:  # one JSON value under two names: vLLM takes one of them
        assert judgement.refusals
    else:
        assert judgement.cover == (MODEL, f"{MODEL}/{path}")
        assert not judgement.refusals


def test_a_template_as_text_is_no_path_below_the_working_directory() -> None:
    """The text is the template where no file is called so, and no signature covers it."""
    template = serving(MODEL, "--chat-template", "{{ messages }}", workingDir=MODEL)
    assert "as text" in judged(template).refusals[0]


def test_a_file_of_arguments_is_covered_and_reported() -> None:
    """Its content is the signer's; that it was not read is said."""
    judgement = judged(serving("--config", f"{MODEL}/serve.yaml"))
    assert judgement.cover == (f"{MODEL}/serve.yaml",)
    assert judgement.unread == judgement.warnings != ()
    assert not judgement.refusals


@pytest.mark.parametrize(
    "container",
    [
        {"command": ["sh", "-c", "vllm serve /elsewhere"]},
        {"command": ["/bin/bash", "-lc"], "args": ["vllm serve /elsewhere"]},
        {"args": ["bash", "-c", "vllm serve /elsewhere"]},
        {"command": ["/start.sh"]},
        {"command": ["python3", "serve.py"]},
        {"command": ["python3", "-c", "import vllm"]},
        {"command": ["vllm", "bench", "serve"]},
        {},
    ],
    ids=repr,
)
def test_what_hides_the_command_line_is_a_warning(container: dict[str, Any]) -> None:
    """A shell or another program cannot be read: said, not refused, on what mounts a model."""
    judgement = judged(container)
    assert judgement.warnings == judgement.unread != ()
    assert not judgement.refusals
    assert judged(container, mounts_model=False) == Judgement()


def test_a_wrapper_is_read_past_and_reported() -> None:
    """A wrapper may change anything, so it is reported; the arguments after it are judged too."""
    judgement = judged({"command": ["tini", "--", "vllm", "serve", "/elsewhere"]})
    assert judgement.unread
    assert judgement.refusals


@pytest.mark.parametrize(
    "arguments",
    [
        ["--brand-new=/elsewhere"],
        ["--brand-new", "/elsewhere"],
        ["/elsewhere"],
        ["--", "/elsewhere"],
        ["--hf-token", "$(TOKEN)"],
        ["--additional-config", '{"dir": "/elsewhere"}'],
        ["--logging-config", '{"pylogging_config_file": "/elsewhere"}'],
    ],
    ids=repr,
)
def test_what_may_open_something_is_a_warning(arguments: list[str]) -> None:
    """Options of a newer vLLM, arguments that vLLM ends over, settings of plugins."""
    judgement = judged(serving(MODEL, *arguments))
    assert judgement.warnings
    assert not judgement.refusals


def test_without_the_model_even_a_module_without_arguments_is_refused() -> None:
    """The positional argument is nothing to the module: it would fetch a model by itself."""
    module = ["python3", "-m", "vllm.entrypoints.openai.api_server"]
    assert "without a model" in judged({"command": module, "args": [MODEL]}).refusals[0]


def test_vllm_without_the_mount_reads_another_place() -> None:
    """The verified path in a container that does not mount it is a directory of its image."""
    assert judged(serving(MODEL), mounts_model=False).refusals
    other = serving(MODEL, volumeMounts=[{"name": "x", "mountPath": "/data"}])
    assert judged(other).refusals


@pytest.mark.parametrize(
    "env",
    [
        {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": "/models/granite/hub"},
        {"HF_HUB_OFFLINE": "true", "HF_HOME": "/models/granite"},
    ],
)
def test_a_pinned_hub_id_is_its_snapshot(env: dict[str, str]) -> None:
    """With a commit, offline, the cache's snapshot is what must be covered."""
    judgement = judged(serving("org/name", "--revision", COMMIT, env=variables(**env)))
    snapshot = f"{MODEL}/hub/models--org--name/snapshots/{COMMIT}"
    assert judgement == Judgement(cover=(snapshot,), vllm=True)


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (["--revision", COMMIT], {"HF_HUB_CACHE": MODEL}),
        (["--revision", COMMIT], {"HF_HUB_OFFLINE": "1"}),
        (["--revision", COMMIT], {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": "/elsewhere"}),
        (["--revision", COMMIT], {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": "$HOME/x"}),
        (["--revision", COMMIT], {"HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": MODEL}),
        (["--revision", "main"], {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": MODEL}),
        (["--revision", COMMIT[:39]], {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": MODEL}),
        ([], {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": MODEL}),
        (
            ["--revision", COMMIT, "--revision", "main"],
            {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": MODEL},
        ),
        (
            ["--revision", COMMIT, "--download-dir", "/elsewhere"],
            {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": MODEL},
        ),
        (
            ["--revision", COMMIT],
            {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": MODEL, "TRANSFORMERS_CACHE": "/elsewhere"},
        ),
    ],
    ids=repr,
)
def test_a_hub_id_that_is_not_pinned_is_refused(arguments: list[str], env: dict[str, str]) -> None:
    """A branch, the network, another cache: each leads to unverified files."""
    assert judged(serving("org/name", *arguments, env=variables(**env))).refusals


def test_code_of_the_model_needs_no_network() -> None:
    """Code in the model is signed; code of another repository is what the warning is about."""
    assert judged(serving(MODEL, "--trust-remote-code")).warnings
    offline = serving(MODEL, "--trust-remote-code", env=variables(HF_HUB_OFFLINE="1"))
    assert judged(offline) == Judgement(cover=(MODEL,), vllm=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--middleware", "package.Class"],
        ["--worker-cls=package.Worker"],
        ["--logits-processors", "package:Processor"],
        ["--compilation-config.backend", "package.backend"],
        ["--kv-transfer-config", '{"kv_connector_module_path": "package.module"}'],
        ["--kv-transfer-config.kv_connector_extra_config.spec_module_path", "package.module"],
        *(
            ["--kv-transfer-config", f'{{"kv_connector_extra_config": {{"tiers": [{tier}]}}}}']
            for tier in (
                '{"module_path": "package.module"}',
                '{"backpressure": {"backpressure_cls": "package.Class"}}',
                '{"backpressure": {"policy_cls": "package.Class"}}',
                '{"policy": "package.Class"}',
                '{"cache_policy_module_path": "package.module"}',
            )
        ),
        ["--ec-transfer-config.ec_connector_module_path", "package.module"],
        ["--ec-manager-config.encoder_cache_manager_cls", "package.Class"],
        ["--compilation-config", '{"inductor_passes": {"post_grad_custom_pre_pass": "a.b"}}'],
        ["--compilation-config", '{"inductor_compile_config": {"cpp.cxx": "compiler"}}'],
        ["--structured-outputs-config.reasoning_parser_plugin", "plugin.py"],
        ["--io-processor-plugin", "name"],
        ["--scheduler-cls", "package.Class"],
        ["--worker-extension-cls", "package.Class"],
        ["--model-class-overrides", '{"GraniteForCausalLM": "package:Class"}'],
    ],
    ids=repr,
)
def test_code_by_name_is_the_images_own_and_reported(arguments: list[str]) -> None:
    """It is imported from the image, unless a variable says otherwise."""
    judgement = judged(serving(MODEL, *arguments))
    assert any("may bring code" in warning for warning in judgement.warnings)
    assert not judgement.refusals


@pytest.mark.parametrize(
    "arguments",
    [
        ["--profiler-config.torch_profiler_dir", "/traces"],
        ["--watchdog-config.dump_dir", "/dumps"],
        ["--compilation-config.debug_dump_path", "/dumps"],
        ["--additional-config", '{"a": ["/elsewhere"]}'],
        ["--kv-transfer-config.kv_connector_extra_config.shared_storage_path", "/cache"],
    ],
    ids=repr,
)
def test_a_path_in_settings_that_are_not_known_is_reported(arguments: list[str]) -> None:
    """It is written to, or read by code that is not vLLM's own."""
    (warning,) = judged(serving(MODEL, *arguments)).warnings
    assert "and what it opens cannot be read" in warning


def test_arguments_in_one_word_are_named() -> None:
    """As a shell's line in `args`, which vLLM takes for the model's name."""
    (said,) = judged(serving(f"--model {MODEL} --port 8000")).refusals
    assert said.endswith("is one word, with spaces; write each word as an entry of its own")


@pytest.mark.parametrize("dest", OF_REQUESTS)
def test_what_requests_may_decide_is_said(dest: str) -> None:
    """By each spelling that switches it on, in a word or two; those that switch it off say no."""
    option = OPTIONS[dest]
    for flag in option.flags:
        found = judged(serving(MODEL, flag, *([] if option.arity == 0 else ["/a"])))
        said = f"container 'vllm': {flag} {OF_REQUESTS[dest]}; leave it out, unless you trust all"
        off = flag.startswith(("--no-", "--disable-"))
        assert [each for each in found.warnings if each.startswith(said)] == (
            [] if off else list(found.warnings)
        )
        assert bool(found.warnings) != off
        assert (found.refusals, found.cover) == ((), (MODEL,))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kv-transfer-config", '{"kv_connector_extra_config": {"policy": "g3_lru"}}'],
        ["--compilation-config", '{"inductor_compile_config": {"max_autotune": true}}'],
        ["--profiler-config.profiler", "torch"],
        ["--speculative-config", '{"draft_load_config": {"load_format": "safetensors"}}'],
        ["--reasoning-effort-map", '{"low": "high"}'],
        ["--kv-transfer-config", '{"kv_connector_extra_config": {"cpu_bytes_to_use": 1.5G}}'],
    ],
    ids=repr,
)
def test_settings_that_open_nothing_are_let_pass(arguments: list[str]) -> None:
    """Names of vLLM's own parts, numbers and switches."""
    assert judged(serving(MODEL, *arguments)) == Judgement(cover=(MODEL,), vllm=True)


@pytest.mark.parametrize(
    ("template", "kind", "said"),
    [
        ("/vllm-workspace/examples/tool_chat_template_llama3.1_json.jinja", "", "the image"),
        ("examples/tool_chat_template_hermes.jinja", "", "the image"),
        ("/templates/chat.jinja", "configMap", "a ConfigMap"),
    ],
)
def test_a_chat_template_from_image_or_config_map_is_a_warning(
    template: str, kind: str, said: str
) -> None:
    """It is not signed and belongs to the deployment's author: a warning is enough."""
    mounts = [{"name": "models", "mountPath": MODEL}, {"name": "t", "mountPath": "/templates"}]
    container = serving(MODEL, "--chat-template", template, volumeMounts=mounts)
    judgement = check(
        Reading(container=container),
        mounts_model=True,
        model_paths=(MODEL,),
        volumes={"t": _Volume(kind)},
    )
    assert judgement.refusals == ()
    (warning,) = judgement.warnings
    assert f"comes from {said}" in warning


@pytest.mark.parametrize("kind", ["persistentVolumeClaim", "emptyDir", "secret", ""])
def test_a_chat_template_on_another_volume_is_refused(kind: str) -> None:
    """It can be written by others, and is not signed."""
    mounts = [{"name": "models", "mountPath": MODEL}, {"name": "t", "mountPath": "/templates"}]
    container = serving(MODEL, "--chat-template", "/templates/x", volumeMounts=mounts)
    judgement = check(
        Reading(container=container),
        mounts_model=True,
        model_paths=(MODEL,),
        volumes={"t": _Volume(kind)},
    )
    assert "lies outside" in judgement.refusals[0]


class _Volume:
    """A volume as the pod's reader hands it over."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def test_another_of_vllms_modules_is_read_with_a_warning() -> None:
    """It may read its arguments in its own way."""
    command = ["python3", "-m", "vllm.entrypoints.api_server", "--model", MODEL]
    judgement = judged({"name": "vllm", "command": command})
    assert not judgement.refusals
    assert judgement.cover == (MODEL,)
    (warning,) = judgement.warnings
    assert "'vllm.entrypoints.api_server' is read as if it were vLLM's server" in warning


@pytest.mark.parametrize(
    ("image", "warned"),
    [
        ("vllm/vllm-openai:v0.8.5", True),
        ("docker.io/vllm/vllm-openai:v0.8.5@sha256:ab", True),
        ("registry.example:5000/mirror/vllm-openai-cpu:v0.8.5", True),
        (VLLM_IMAGE, False),
        ("vllm/vllm-openai:latest", False),
        ("registry.example/rhaiis/vllm-cuda-rhel9:3.2.0", False),
        (None, False),
    ],
)
def test_a_release_whose_options_are_not_known_is_a_warning(
    image: str | None, *, warned: bool
) -> None:
    """Its tag names it; whatever else an image is called, its tags are something else's."""
    judgement = judged(serving(MODEL, image=image))
    assert judgement.refusals == ()
    said = [sentence for sentence in judgement.warnings if "its image is of vLLM 0.8" in sentence]
    assert bool(said) is warned
    assert all(f"are read as {TABLE.reading} would read them" in each for each in said)
