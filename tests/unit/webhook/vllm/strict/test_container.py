"""The container that has the model under `Strict`: literal arguments of a list, nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from validator.vllm.option_kinds import OF_REQUESTS
from validator.vllm.options import OPTIONS
from webhook.vllm.reading import Reading
from webhook.vllm.strict import container as strict

MODEL = "/models/granite"
IMAGE = f"quay.io/example/vllm@sha256:{'a' * 64}"
MOUNT = {"name": "models", "mountPath": MODEL}
NO_USER_SITE = {"name": "PYTHONNOUSERSITE", "value": "1"}
SECRET = {"secretKeyRef": {"name": "hub", "key": "token"}}


def serving(*arguments: str, **fields: Any) -> dict[str, Any]:
    """Return a container that `Strict` has nothing against, but for the arguments."""
    return {
        "name": "vllm",
        "image": IMAGE,
        "command": ["vllm", "serve"],
        "args": [MODEL, *arguments],
        "volumeMounts": [MOUNT],
        **fields,
    }


def refused(container: dict[str, Any], **settings: Any) -> tuple[str, ...]:
    """Return why a container that has the model is refused."""
    return strict.refusals(Reading(container=container), model_paths=(MODEL,), **settings)


@pytest.mark.parametrize(
    "container",
    [
        serving(),
        serving("--port", "8000", "--tensor-parallel-size=2", "--enforce-eager"),
        serving("-tp", "2", "--served-model-name", "a", "b", "--seed", "-1"),
        serving("--tokenizer", f"{MODEL}/t", "--lora-modules", f"a={MODEL}/a", f"b={MODEL}/b"),
        serving("--trust-remote-code", env=[{"name": "HF_HUB_OFFLINE", "value": "1"}]),
        serving(command=["vllm"], args=["serve", MODEL]),
        serving(command=None, args=["--model", MODEL]),
        serving(command=["python3", "-m", "vllm.entrypoints.openai.api_server"])
        | {"args": ["--model", MODEL]},
        serving(env=[{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}]),
        serving(env=[{"name": "HF_TOKEN", "valueFrom": SECRET}]),
        serving(env=[{"name": "MODEL_VALIDATION_POLICY", "value": "/etc/granite.yaml"}]),
        serving(env=[NO_USER_SITE, {"name": "HOME", "value": "/tmp"}]),  # noqa: S108 — empty at first
        serving(command=["vllm", "serve"], args=["--model", MODEL]),
    ],
    ids=repr,
)
def test_literal_known_options_pass(container: dict[str, Any]) -> None:
    """A plain deployment of vLLM needs these options."""
    assert refused(container) == ()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--enforce_eager"],
        ["--enforce-eag"],
        ["--tensor-parallel-siz", "2"],
        ["--speculative-config", "{}"],
        ["--speculative-config.model", MODEL],
        ["--mm-processor-kwargs", "{}"],
        ["--config", f"{MODEL}/serve.yaml"],
        ["--download-dir", MODEL],
        ["--revision", "a" * 40],
        ["--middleware", "package.Class"],
        ["--master-addr", "192.0.2.1"],
        ["--headless"],
        ["--data-parallel-size", "2"],
        ["--data-parallel-size-local=1"],
        ["--enable-elastic-ep"],
        ["--uds", "/run/vllm.sock"],
        ["--trust-request-mm-kwargs"],
        ["--enable-prompt-embeds"],
        ["--chat-template", "chat.jinja"],
        ["--load-format", "auto"],
        ["--brand-new"],
        ["--port", "1", "--port", "1"],
        ["--port=1", "--port", "1"],
        ["--enable-lora", "--no-enable-lora"],
        ["--model", MODEL],
        ["--port", "$(PORT)"],
        ["--port=$(PORT)"],
        ["--served-model-name", "$$(X)"],
        ["--port"],
        ["--lora-modules", '{"name": "a", "path": "/models/granite/a"}'],
        ["--lora-modules"],
        ["--trust-remote-code"],
        ["-O3"],
        ["--"],
        ["--help"],
        ["extra"],
        ["--port 8000"],
        ["$(MORE)"],
        [""],
    ],
    ids=repr,
)
def test_anything_else_is_refused(arguments: list[str]) -> None:
    """Each with a sentence that names the container."""
    sentences = refused(serving(*arguments))
    assert sentences
    assert all(sentence.startswith("container 'vllm': ") for sentence in sentences)


@pytest.mark.parametrize("dest", OF_REQUESTS)
def test_no_option_lets_requests_decide(dest: str) -> None:
    """With the reason that Check gives in its warning."""
    option = OPTIONS[dest]
    words = [option.flags[0], *([] if option.arity == 0 else ["/a"])]
    assert any(f"it {OF_REQUESTS[dest]}; remove it" in each for each in refused(serving(*words)))


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ["sh", "-c", f"vllm serve {MODEL}"], "args": []},
        {"command": ["/tmp/vllm", "serve"]},  # noqa: S108 — another program of that name
        {"command": ["tini", "vllm", "serve"]},
        {"command": ["python3", "-u", "-m", "vllm.entrypoints.openai.api_server"]},
        {"command": ["python3", "-m", "vllm.entrypoints.grpc_server"]},
        {"command": ["vllm", "bench"]},
        {"command": ["$(PROGRAM)"]},
        {"command": ["sleep"]},
        {"command": "vllm serve"},
        {"command": None, "args": None},
        {"env": [{"name": "MODEL_VALIDATION_POLICY", "valueFrom": SECRET}]},
        {"env": [{"name": "PYTHONPATH", "value": MODEL}]},
        {"env": [{"name": "HOME", "value": MODEL}]},  # where caches and packages would lie
        {"env": [{"name": "HOME", "value": "/tmp"}]},  # noqa: S108 — Python's packages of a user
        {"env": [NO_USER_SITE, {"name": "HOME", "value": "/root"}]},
        {"env": [NO_USER_SITE, {"name": "HOME", "valueFrom": SECRET}]},
        {"env": [{"name": "VLLM_MEDIA_CACHE", "value": "/tmp/x"}]},  # noqa: S108 — a value
        {"env": [{"name": "VLLM_NIC_SELECTION_VARS", "value": "LD_PRELOAD:/tmp/x.so"}]},
        {"env": [{"name": "VLLM_LOOPBACK_IP", "value": "203.0.113.7"}]},
        {"env": [{"name": "VLLM_HOST_IP", "value": "203.0.113.7"}]},
        {"env": [{"name": "VLLM_PORT", "value": "29500"}]},
        {"env": [{"name": "VLLM_LOGGING_STREAM", "value": "ext://antigravity.x"}]},
        {"env": [{"name": "VLLM_ASSETS_CACHE", "value": "/tmp"}]},  # noqa: S108 — a value
        {"env": [{"name": "VLLM_DEBUG_DUMP_PATH", "value": "/tmp"}]},  # noqa: S108 — a value
        {"env": [{"name": "SAGEMAKER_MODEL_PATH", "value": MODEL}]},
        {"env": [{"name": "GCONV_PATH", "value": MODEL}]},
        {"env": [{"name": "VLLM_ROCM_USE_AITER", "value": "1"}]},
        {"env": [{"name": "MY_OWN", "value": "x"}]},
        {"env": [{"name": "VLLM_LOGGING_LEVEL", "valueFrom": SECRET}]},
        {"env": [{"name": "VLLM_LOGGING_LEVEL", "value": "$(X)"}]},
        {"env": [{"name": "HF_HUB_OFFLINE", "value": v} for v in "01"]},
        {"volumeMounts": [MOUNT, {"name": "x", "mountPath": "/usr/lib/python3"}]},
        {"volumeMounts": [MOUNT, {"name": "x", "mountPath": "/tmp"}]},  # noqa: S108 — a mount
        {"volumeMounts": [MOUNT, {"name": "own", "mountPath": "/root"}]},
    ],
    ids=repr,
)
def test_no_way_round_the_arguments(fields: dict[str, Any]) -> None:
    """Image, program, variables, hooks and mounts each decide what runs."""
    assert refused(serving(**fields), fresh={"own"})


@pytest.mark.parametrize(
    ("devices", "passes"),
    [("all", True), ("0,GPU-1b2c,MIG-1", True), ("x.com/y=z", False), ("/var/run/x", False)],
)
def test_gpus_are_named_and_no_other_devices(devices: str, *, passes: bool) -> None:
    """A device of the Container Device Interface may bring files and programs of the node."""
    env = [{"name": "NVIDIA_VISIBLE_DEVICES", "value": devices}]
    assert (refused(serving(env=env)) == ()) is passes


@pytest.mark.parametrize(
    ("template", "passes"),
    [
        (f"{MODEL}/chat.jinja", True),
        ("/vllm-workspace/examples/chat.jinja", True),
        ("/var/run/secrets/kubernetes.io/serviceaccount/chat.jinja", False),
        ("/run/secrets/kubernetes.io/serviceaccount/chat.jinja", False),
        ("/proc/self/environ", False),
        ("//proc/self/cmdline", False),
        ("/etc/hosts", False),
        ("/tmp/chat.jinja", False),  # noqa: S108 — an argument
    ],
)
def test_a_chat_template_that_the_pod_writes_is_refused(template: str, *, passes: bool) -> None:
    """It is the model's, or the image's."""
    assert (refused(serving("--chat-template", template)) == ()) is passes


def test_an_empty_volume_of_its_own_is_scratch() -> None:
    """With a read-only image vLLM needs /tmp, and shared memory."""
    mounts = [
        MOUNT,
        {"name": "own", "mountPath": "/tmp"},  # noqa: S108 — a mount
        {"name": "own", "mountPath": "/dev/shm"},  # noqa: S108 — a mount
        {"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
    ]
    container = serving(volumeMounts=mounts)
    assert refused(container, fresh={"own"}) == ()
    assert refused(container)


def test_a_vllm_without_the_model_is_refused() -> None:
    """It would serve something else."""
    assert any("without the verified model" in each for each in refused(serving(volumeMounts=[])))


def test_a_model_beside_the_script_that_vllm_runs_is_refused() -> None:
    """VLLM runs /opt/ml/model/model.py, which nobody signed where only its neighbour is signed."""
    beside, model = "/opt/ml/model/tiny", "/opt/ml/model"
    mounts = [{"name": "models", "mountPath": "/opt/ml/model"}]
    reading = Reading(container=serving(volumeMounts=mounts) | {"args": [beside]})
    assert any("model.py" in each for each in strict.refusals(reading, model_paths=(beside,)))
    reading = Reading(container=serving(volumeMounts=mounts) | {"args": [model]})
    assert strict.refusals(reading, model_paths=(model,)) == ()


SNAPSHOT = "/root/.cache/huggingface/hub/models--a--b/snapshots/1"


@pytest.mark.parametrize(
    ("model", "at", "passes"),
    [
        ("/models/team/granite", "/models", True),
        ("/mnt/models", "/mnt", True),
        ("/opt/models/granite", "/opt/models/granite", True),
        ("/opt/models/granite", "/opt/models", False),
        ("/vllm-workspace/granite", "/vllm-workspace", False),  # vLLM's working directory
        ("/tmp/granite", "/tmp", False),  # noqa: S108 — where HOME may lie, with compiled code
        (SNAPSHOT, "/root", False),  # packages of the user root
        (SNAPSHOT, "/root/.cache", False),  # compiled code
        (SNAPSHOT, "/root/.cache/huggingface", False),  # code of models
        (SNAPSHOT, "/root/.cache/huggingface/hub", False),  # other models
        (SNAPSHOT, "/root/.cache/huggingface/hub/models--a--b", True),
        (SNAPSHOT, SNAPSHOT, True),
    ],
)
def test_what_lies_beside_a_model_hides_nothing_of_the_image(
    model: str, at: str, *, passes: bool
) -> None:
    """The pod's author chooses where the model's volume is mounted, and nobody signed the rest."""
    container = serving(args=[model], volumeMounts=[{"name": "models", "mountPath": at}])
    found = strict.refusals(Reading(container=container), model_paths=(model,))
    assert any("beside the model" in each for each in found) is not passes
    assert bool(found) is not passes


def test_a_home_in_memory_that_others_wrote_is_refused() -> None:
    """An init container can leave compiled code in the pod's shared memory."""
    home = [{"name": "HOME", "value": "/dev/shm"}, {"name": "PYTHONNOUSERSITE", "value": "1"}]  # noqa: S108 — a variable
    assert any("HOME '/dev/shm'" in each for each in refused(serving(env=home)))
    own = [MOUNT, {"name": "own", "mountPath": "/dev/shm"}]  # noqa: S108 — a mount
    assert refused(serving(env=home, volumeMounts=own), fresh={"own"}) == ()
