"""`Check`: variables that make vLLM load something else."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from webhook.vllm.check import Judgement, check
from webhook.vllm.reading import Reading

MODEL = "/models/granite"


def judged(*env: dict[str, Any], **fields: Any) -> Judgement:
    """Return what is said of a container that serves the model with these variables."""
    container = {"name": "vllm", "command": ["vllm", "serve", MODEL], "env": list(env), **fields}
    return check(Reading(container=container), mounts_model=True, model_paths=(MODEL,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "1"),
        ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True"),
        ("VLLM_SERVER_DEV_MODE", "1"),
        ("VLLM_USE_MODELSCOPE", "true"),
        ("VLLM_LORA_RESOLVER_HF_REPO_LIST", "org/name"),
        ("VLLM_LORA_RESOLVER_CACHE_DIR", "/elsewhere"),
        ("VLLM_LORA_RESOLVER_CACHE_DIR", "adapters"),
        ("VLLM_MODEL_REDIRECT_PATH", "/elsewhere"),
        ("VLLM_MODEL_REDIRECT_PATH", f"{MODEL}/../redirects"),
        ("VLLM_TEST_FORCE_LOAD_FORMAT", "dummy"),
    ],
)
def test_what_loads_something_else_is_refused(name: str, value: str) -> None:
    """Literal, by reference and from a Secret alike."""
    assert name in judged({"name": name, "value": value}).refusals[0]
    reference = {"name": name, "value": "$(OTHER)"}
    assert judged({"name": "OTHER", "value": value}, reference).refusals
    assert judged({"name": name, "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}).refusals


@pytest.mark.parametrize("name", ["VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_USE_MODELSCOPE"])
@pytest.mark.parametrize("value", ["", "0", "false", "False"])
def test_what_is_switched_off_passes(name: str, value: str) -> None:
    """A variable that says no is no variable."""
    assert judged({"name": name, "value": value}) == Judgement(cover=(MODEL,), vllm=True)


def test_a_path_in_the_model_is_covered() -> None:
    """Adapters in the model are signed with it."""
    variable = {"name": "VLLM_LORA_RESOLVER_CACHE_DIR", "value": f"{MODEL}/adapters"}
    assert judged(variable) == Judgement(cover=(MODEL, f"{MODEL}/adapters"), vllm=True)


@pytest.mark.parametrize(
    "name",
    [
        *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONSAFEPATH", "LD_PRELOAD"),
        *("LD_LIBRARY_PATH", "LD_DEBUG_OUTPUT", "VLLM_CACHE_ROOT"),
        *("VLLM_CONFIG_ROOT", "VLLM_ALLOW_INSECURE_SERIALIZATION", "HF_MODULES_CACHE"),
    ],
)
def test_what_decides_about_code_is_a_warning(name: str) -> None:
    """The image's own code may need it; where it points into the model, the gate looks too."""
    judgement = judged({"name": name, "value": f"/opt/app:{MODEL}/code"})
    assert name in judgement.warnings[0]
    assert not judgement.refusals
    assert judgement.cover == (MODEL, f"{MODEL}/code")
    assert judged({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "x"}}}).warnings


@pytest.mark.parametrize(
    "value", ["", "lora_filesystem_resolver", "model-validation", "model_validation_2", "a, b"]
)
def test_plugins_without_the_check_inside_vllm_are_refused(value: str) -> None:
    """VLLM_PLUGINS is the list of those that are loaded: ours must be on it, exactly."""
    variable = {"name": "VLLM_PLUGINS", "value": value}
    [sentence] = judged(variable).refusals
    assert sentence == (
        "container 'vllm': VLLM_PLUGINS leaves out the check inside vLLM; add model_validation, "
        "or remove it"
    )


@pytest.mark.parametrize("value", ["model_validation", "other,model_validation", "$(OTHER)"])
def test_plugins_with_the_check_inside_vllm_are_a_warning(value: str) -> None:
    """Others on the list are code; a list that cannot be read may have ours on it."""
    judgement = judged({"name": "VLLM_PLUGINS", "value": value})
    assert "VLLM_PLUGINS decides which code runs" in judgement.warnings[0]
    assert not judgement.refusals


@pytest.mark.parametrize("name", ["HF_TOKEN", "VLLM_API_KEY", "MY_OWN", "HF_HUB_OFFLINE"])
def test_other_variables_pass_from_anywhere(name: str) -> None:
    """A token from a Secret says nothing of what is served."""
    reference = {"secretKeyRef": {"name": "x", "key": "y"}}
    assert judged({"name": name, "valueFrom": reference}) == Judgement(cover=(MODEL,), vllm=True)


def test_env_from_cannot_be_read() -> None:
    """Any variable may come from it: a warning."""
    judgement = judged(envFrom=[{"configMapRef": {"name": "x"}}])
    assert judgement.unread == judgement.warnings != ()


def test_the_last_of_a_name_counts_and_a_name_may_extend_itself() -> None:
    """As the kubelet does: in order, the earlier value within the later."""
    one = {"name": "W", "value": "/models"}
    container = {"command": ["vllm", "serve", "$(W)"]}
    again = [one, {"name": "W", "value": "$(W)/granite"}]
    judgement = check(
        Reading(container={**container, "env": again}), mounts_model=True, model_paths=(MODEL,)
    )
    assert judgement.cover == (MODEL,)
    hidden = [*again, {"name": "W", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]
    assert check(
        Reading(container={**container, "env": hidden}), mounts_model=True, model_paths=(MODEL,)
    ).refusals


@pytest.mark.parametrize(
    ("text", "path"),
    [("$$(W)", None), ("$(W", None), ("$(X)", None), ("$(W)2", None), ("$(W)", MODEL)],
)
def test_references_are_expanded_once_as_kubernetes_does(text: str, path: str | None) -> None:
    """`$$` stands for `$`; what is unknown stays, and is refused as a path."""
    container = {
        "command": ["vllm", "serve", text],
        "env": [{"name": "W", "value": MODEL}],
    }
    judgement = check(Reading(container=container), mounts_model=True, model_paths=(MODEL,))
    assert judgement.cover == (() if path is None else (path,))
    assert bool(judgement.refusals) is (path is None)


@pytest.mark.parametrize("name", ["PYTHONPATH", "HF_HUB_CACHE", "MY_OWN"])
def test_a_search_path_of_millions_of_parts_costs_next_to_nothing(name: str) -> None:
    """A kilobyte of a pod grows to a megabyte; only a search path is taken apart, a short one."""
    parts = ":".join([MODEL, *("/a" for _ in range(1000))])
    env = [{"name": "A", "value": f"{parts}:"}, {"name": name, "value": "$(A)" * 600}]
    began = time.process_time()
    judgement = judged(*env)
    assert time.process_time() - began < 0.5
    assert judgement.cover == (MODEL,)
    assert ("more than 64 places" in "".join(judgement.refusals)) is (name == "PYTHONPATH")


def test_variables_that_grow_without_end_are_refused() -> None:
    """Twenty doublings of a kilobyte: a sentence, not a gigabyte."""
    env = [{"name": "V0", "value": "x" * 1024}]
    env += [{"name": f"V{n}", "value": f"$(V{n - 1})$(V{n - 1})"} for n in range(1, 21)]
    assert "longer" in judged(*env).refusals[0]
    many = ["$(V0)", "$(" * 300_000] * 4000
    container = {"command": ["vllm", "serve"], "args": many, "env": env[:1]}
    assert check(Reading(container=container), mounts_model=True, model_paths=(MODEL,)).refusals


@pytest.mark.parametrize(
    "fields",
    [
        {"env": "x"},
        {"env": ["x"]},
        {"env": [{"name": 1}]},
        {"env": [{"name": "A", "value": 1}]},
        {"command": "vllm serve"},
        {"args": [1]},
        {"envFrom": {}, "args": {"a": 1}},
    ],
    ids=repr,
)
def test_what_kubernetes_does_not_define_is_refused(fields: dict[str, Any]) -> None:
    """A sentence that names the field."""
    container = {"name": "vllm", "command": ["vllm", "serve", MODEL], **fields}
    assert check(Reading(container=container), mounts_model=True, model_paths=(MODEL,)).refusals


@pytest.mark.parametrize(
    "name",
    [
        *("SAGEMAKER_MODEL_PATH", "CUSTOM_SCRIPT_FILENAME", "CUSTOM_FASTAPI_PING_HANDLER"),
        *("NIXL_PLUGIN_DIR", "FLASHINFER_WORKSPACE_BASE", "NVTX_INJECTION64_PATH"),
        *("GCONV_PATH", "NCCL_NET_PLUGIN", "NCCL_TUNER_PLUGIN", "LMCACHE_CONFIG_FILE"),
        *("OPENSSL_CONF", "TRITON_PTXAS_PATH", "SAGEMAKER_BRAND_NEW"),
    ],
)
def test_variables_by_which_the_image_runs_code_are_warned_of(name: str) -> None:
    """They name scripts, libraries or plugins, and may name those of a volume."""
    judgement = judged({"name": name, "value": "/evil"})
    assert judgement.refusals == ()
    assert judgement.warnings == (
        f"container 'vllm': {name} decides which code runs; see that it is the image's own",
    )


@pytest.mark.parametrize(
    ("home", "kind", "warned"),
    [
        ("/data", "persistentVolumeClaim", True),
        ("/data/x", "hostPath", True),
        ("/data", "emptyDir", False),
        ("/root", "persistentVolumeClaim", False),
        ("data", "persistentVolumeClaim", False),
    ],
)
def test_a_home_on_a_volume_is_warned_of(home: str, kind: str, *, warned: bool) -> None:
    """Python and vLLM load code from below it, which whoever writes the volume could place."""
    mounts = [{"name": "m", "mountPath": MODEL}, {"name": "v", "mountPath": "/data"}]
    for name in ("HOME", "XDG_CACHE_HOME"):
        assert _warned_of(mounts, kind, env=[{"name": name, "value": home}]) is warned


@pytest.mark.parametrize(
    ("path", "warned"),
    [
        ("/usr/local/lib/python3.12/dist-packages/x", True),
        ("/opt/venv/lib/python3.12/site-packages", True),
        ("/usr/local/lib/python3.12", True),
        ("/usr/local/bin/vllm", True),
        ("/opt/venv", True),
        ("/etc/ld.so.preload", True),
        ("/root", True),
        ("/root/.local/lib", True),
        ("/root/.cache/huggingface", False),
        ("/usr/share/zoneinfo", False),
        ("/etc/ssl/certs", False),
        ("/opt/ml/model", True),
        ("/opt/ml", True),
        ("/opt/ml/model/model.py", True),
        ("/opt/ml/model/other", False),
        ("/data", False),
    ],
)
def test_a_mount_where_the_image_runs_code_is_warned_of(path: str, *, warned: bool) -> None:
    """Programs, libraries, packages of Python, and the script of vLLM's hook for SageMaker."""
    mounts = [{"name": "m", "mountPath": MODEL}, {"name": "v", "mountPath": path}]
    assert _warned_of(mounts, "persistentVolumeClaim") is warned


@pytest.mark.parametrize(
    ("path", "warned"),
    [
        ("/root/.cache", True),
        ("/root/.cache/vllm", True),
        ("/home/vllm/.cache/vllm/torch_compile_cache", True),
        ("/.cache/flashinfer", True),
        ("/root/.triton/cache", True),
        ("/root/.cache/huggingface", False),
        ("/root/.cache/vllm2", False),
        ("/root/.cached", False),
    ],
)
def test_a_volume_with_compiled_code_is_warned_of(path: str, *, warned: bool) -> None:
    """Not an emptyDir, which holds what the pod has compiled itself."""
    mounts = [{"name": "m", "mountPath": MODEL}, {"name": "v", "mountPath": path}]
    assert _warned_of(mounts, "persistentVolumeClaim") is warned
    assert not _warned_of(mounts, "emptyDir")


API_SERVER = ["-m", "vllm.entrypoints.openai.api_server", "--model", MODEL]


@pytest.mark.parametrize(
    ("command", "start", "warned"),
    [
        (["/data/bin/vllm", "serve", MODEL], None, True),
        (["./vllm", "serve", MODEL], "/data", True),
        (["/data/bin/python3", *API_SERVER], None, True),
        (["python3", *API_SERVER], "/data/x", True),  # where Python looks for modules first
        (["python3", *API_SERVER], "/app", False),
        (["vllm", "serve", MODEL], "/data", False),
        (["/usr/local/bin/vllm", "serve", MODEL], None, False),
        (["python3", "-cimport os", *API_SERVER], None, True),
        (["python3", "-Ximporttime", *API_SERVER], None, False),
    ],
)
def test_a_program_of_a_volume_is_warned_of(
    command: list[str], start: str | None, *, warned: bool
) -> None:
    """It may be any program, by vLLM's name."""
    mounts = [{"name": "m", "mountPath": MODEL}, {"name": "v", "mountPath": "/data"}]
    found = _warned_of(mounts, "persistentVolumeClaim", command=command, workingDir=start)
    assert found is warned


@pytest.mark.parametrize(
    ("model", "mounted", "warned"),
    [
        ("/opt/ml/model/tiny", "/opt/ml/model", True),  # model.py would lie beside it, unsigned
        ("/opt/ml/model/tiny", "/opt/ml/model/tiny", False),
        ("/opt/ml/model", "/opt/ml/model", False),  # model.py would be signed, or refused
    ],
)
def test_a_script_beside_a_signed_model_is_warned_of(
    model: str, mounted: str, *, warned: bool
) -> None:
    """Where SageMaker's images keep their models."""
    container = {"command": ["vllm", "serve", model]}
    mounts = [{"name": "m", "mountPath": mounted}]
    judgement = check(
        Reading(container={**container, "volumeMounts": mounts}),
        mounts_model=True,
        model_paths=(model,),
    )
    assert bool(judgement.warnings) is warned


def _warned_of(mounts: list[dict[str, str]], kind: str, **fields: Any) -> bool:
    """Tell whether a vLLM is admitted with a warning; the second mount's volume is of `kind`."""
    container = {"command": ["vllm", "serve", MODEL], "volumeMounts": mounts, **fields}
    judgement = check(
        Reading(container=container),
        mounts_model=True,
        model_paths=(MODEL,),
        volumes={"v": SimpleNamespace(kind=kind)},
    )
    assert judgement.refusals == ()
    return bool(judgement.warnings)
