"""The check inside a real vLLM, on the CPU: what it serves, and what it does not start on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.stack.engines import SERVER, Installation
from tests.unit.webhook.vllm import test_parser_beside_vllm
from validator import contract

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Policies = Callable[..., dict[str, str]]
    Sign = Callable[[Path], None]

ROOT: Final = Path(__file__).parents[4]
LANE: Final = "MODEL_VALIDATION_E2E_VLLM"
"""The environment variable that asks for these tests, which take minutes and GB."""

SUCCEEDED: Final = "Verification succeeded: "
FAILED: Final = "Verification failed: "

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        LANE not in os.environ,
        reason="needs a real vLLM: run `make e2e-vllm`, which makes its environment by "
        "`python -m tests.e2e.stack.environments vllm` (7 GB, once) and takes minutes",
    ),
]


def _refused(
    vllm: Installation, *arguments: str, environment: Mapping[str, str], folder: Path
) -> str:
    """Start a server that is to end by itself; return its last words."""
    command = (*SERVER, "--enforce-eager", *arguments)
    code, output = vllm.ended(*command, environment=environment, log=folder / "log")
    assert code != 0
    assert "Application startup complete" not in output
    assert "Loading safetensors" not in output
    assert SUCCEEDED not in output
    return output.splitlines()[-1]


def test_a_good_model_is_served_and_verified_once_for_all_processes(
    vllm: Installation, model: Path, policy: Policies, tmp_path: Path
) -> None:
    """Two API servers, an engine and a worker: one of them verifies, and a chat is answered."""
    arguments = ("--model", str(model), "--api-server-count", "2")
    with vllm.serving(*arguments, environment=policy(model), log=tmp_path / "log") as engine:
        answer = engine.chat("hello")
    assert answer["usage"]["completion_tokens"] == 8
    told = [line for line in engine.log.read_text().splitlines() if SUCCEEDED in line]
    assert len(told) == 1
    assert f"{SUCCEEDED}{model}, 6 files, " in told[0]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_one_changed_byte_and_vllm_does_not_start(
    vllm: Installation,
    model: Path,
    policy: Policies,
    tmp_path: Path,
    name: str,
) -> None:
    """It ends with our sentence; a config.json that is no JSON any more was not even read."""
    content = bytearray((model / name).read_bytes())
    content[0] ^= 1
    (model / name).write_bytes(content)
    last = _refused(vllm, "--model", str(model), environment=policy(model), folder=tmp_path)
    assert last == (
        "validator.errors.ModelError: the model is not the signed one: "
        f"'{name}' is not the signed file: its content differs"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--tokenizer", "{other}"),
        ("--hf-config-path", "{other}"),
        ("--chat-template", "{other}/chat_template.jinja"),
        ("--speculative-config", '{{"model": "{other}", "num_speculative_tokens": 1}}'),
        ("--enable-lora", "--lora-modules", "a={other}"),
        ("--hf-overrides", '{{"audio_model_id": "{other}"}}'),
        ("--mm-processor-kwargs", '{{"images_kwargs": {{"path": "{other}"}}}}'),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_the_policy_does_not_verify_is_not_opened(
    vllm: Installation,
    model: Path,
    policy: Policies,
    tmp_path: Path,
    arguments: tuple[str, ...],
) -> None:
    """As vLLM's own parser hands them on; the other directory is as good a model, but unsigned."""
    other = Path(shutil.copytree(model, tmp_path / "other"))
    given = (argument.format(other=other) for argument in arguments)
    last = _refused(vllm, "--model", str(model), *given, environment=policy(model), folder=tmp_path)
    assert last.startswith("validator.errors.Refused: --")
    assert last.endswith(f"lies in no model that the policy verifies; name one under {model}")


def test_a_signed_model_that_names_another_one_is_stopped_there(
    vllm: Installation,
    signed: Path,
    sign: Sign,
    policy: Policies,
    tmp_path: Path,
) -> None:
    """A draft's config.json says whom it drafts for, and vLLM would serve that: not unverified."""
    draft = Path(shutil.copytree(signed, tmp_path / "draft"))
    config = json.loads((draft / "config.json").read_text())
    config["speculators_model_type"] = "eagle3"
    config["speculators_config"] = {
        "algorithm": "eagle3",
        "verifier": {"name_or_path": str(signed), "architectures": ["LlamaForCausalLM"]},
        "proposal_methods": [{"proposal_type": "greedy", "speculative_tokens": 1}],
        "default_proposal_method": "greedy",
    }
    config["transformer_layer_config"] = {"num_hidden_layers": 1}
    (draft / "config.json").write_text(json.dumps(config))
    sign(draft)
    command = (*SERVER, "--enforce-eager", "--model", str(draft))
    code, output = vllm.ended(*command, environment=policy(draft), log=tmp_path / "log")
    assert code != 0
    assert f"{SUCCEEDED}{draft}" in output
    assert output.splitlines()[-1] == (
        f"validator.errors.Refused: --model '{signed}' lies in no model that the policy verifies; "
        f"name one under {draft}"
    )


LEADING: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "names code of another repository, 'org/base--m.Model'": (
        "config.json",
        {"auto_map": {"AutoModel": "org/base--m.Model"}},
    ),
    "config.json: audio_model_id 'org/whisper' is not an absolute path": (
        "config.json",
        {"audio_model_id": "org/whisper"},
    ),
    "processor_config.json: audio_tokenizer_name_or_path 'org/dac' is not an absolute path": (
        "processor_config.json",
        {"audio_tokenizer": {"audio_tokenizer_name_or_path": "org/dac"}},
    ),
    "modules.json: path '/elsewhere' lies in no model": (
        "modules.json",
        {"modules": [{"type": "sentence_transformers.models.Dense", "path": "/elsewhere"}]},
    ),
    "tokenizer_config.json: vocab_file '/elsewhere/vocab.json' lies in no model": (
        "tokenizer_config.json",
        {"vocab_file": "/elsewhere/vocab.json"},
    ),
}
"""The content of a file of a signed model, by the words with which it is refused."""


def test_signed_configurations_that_lead_elsewhere_are_refused(
    vllm: Installation, signed: Path, sign: Sign, policy: Policies, tmp_path: Path
) -> None:
    """They are verified, and read before vLLM follows them."""
    models: list[Path] = []
    for name, added in LEADING.values():
        model = Path(shutil.copytree(signed, tmp_path / str(len(models))))
        file = model / name
        document = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(document | added))
        sign(model)
        models.append(model)
    program = (
        "import sys\nfrom vllm import EngineArgs\n"
        "for model in sys.argv[1:]:\n"
        "    try:\n"
        "        EngineArgs(model=model, trust_remote_code=True).create_engine_config()\n"
        "        print('TOLD nothing')\n"
        "    except Exception as error:\n        print('TOLD', error)\n"
    )
    code, output = vllm.ended(
        *("-c", program, *map(str, models)), environment=policy(*models), log=tmp_path / "log"
    )
    assert code == 0
    told = [line for line in output.splitlines() if line.startswith("TOLD")]
    for line, words in zip(told, LEADING, strict=True):
        assert words in line


def test_a_hub_that_may_be_asked_ends_vllm(
    vllm: Installation, model: Path, policy: Policies, tmp_path: Path
) -> None:
    """Whatever a configuration names would be fetched."""
    environment = policy(model, HF_HUB_OFFLINE="0")
    last = _refused(vllm, "--model", str(model), environment=environment, folder=tmp_path)
    assert last.endswith("set HF_HUB_OFFLINE to 1")


def test_a_hub_id_is_judged_by_the_snapshot_that_vllm_finds(
    vllm: Installation, model: Path, policy: Policies, tmp_path: Path
) -> None:
    """Offline, vLLM looks it up in the cache; the policy names the directory that it finds."""
    revision = "a" * 40
    repository = tmp_path / "hub" / "models--org--tiny"
    snapshot = repository / "snapshots" / revision
    shutil.copytree(model, snapshot)
    (snapshot / "config.json").write_text("{}")
    cache = {"HF_HUB_CACHE": str(tmp_path / "hub")}
    last = _refused(
        *(vllm, "--model", "org/tiny", "--revision", revision),
        environment=policy(snapshot, **cache),
        folder=tmp_path,
    )
    assert "'config.json' is not the signed file" in last
    last = _refused(
        *(vllm, "--model", "org/tiny", "--revision", revision),
        environment=policy(model, **cache),
        folder=tmp_path,
    )
    assert last.startswith(f"validator.errors.Refused: --model '{snapshot}' lies in no model")


def test_a_program_that_catches_the_refusal_gets_it_again(
    vllm: Installation, model: Path, policy: Policies, tmp_path: Path
) -> None:
    """A plugin is called once in a process; engines that are made later stay guarded."""
    (model / "config.json").write_text("{}")
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nfrom vllm import LLM\n"
        "for _ in range(2):\n"
        "    try:\n        LLM(model=sys.argv[1], enforce_eager=True)\n"
        "    except Exception as error:\n        print('CAUGHT', type(error).__name__)\n"
    )
    code, output = vllm.ended(
        str(program), str(model), environment=policy(model), log=tmp_path / "log"
    )
    assert code == 0
    assert output.count("CAUGHT ModelError") == 2


def test_a_broken_policy_ends_even_the_help_unless_the_plugin_is_left_out(
    vllm: Installation, tmp_path: Path
) -> None:
    """VLLM_PLUGINS without our name leaves the check out, in silence: the webhook refuses that."""
    broken = {contract.POLICY_VARIABLE: "kind: Pod"}
    listed = broken | {"VLLM_PLUGINS": f"lora_filesystem_resolver,{contract.VLLM_PLUGIN}"}
    for environment in (broken, listed):
        code, output = vllm.ended(*SERVER, "--help", environment=environment, log=tmp_path / "log")
        assert code != 0
        assert output.splitlines()[-1].startswith(
            "validator.errors.PolicyError: $MODEL_VALIDATION_POLICY: "
        )
    without = broken | {"VLLM_PLUGINS": "lora_filesystem_resolver"}
    code, output = vllm.ended(*SERVER, "--help", environment=without, log=tmp_path / "log")
    assert code == 0
    # Not the project's bare name: it may be part of a folder's that vLLM mentions.
    for ours in ("model-validation checks", "validator.errors", contract.POLICY_VARIABLE):
        assert ours not in output


def test_without_a_policy_it_says_so(vllm: Installation, tmp_path: Path) -> None:
    """The warning is visible in vLLM's own log."""
    code, output = vllm.ended(*SERVER, "--help", environment={}, log=tmp_path / "log")
    assert code == 0
    assert output.count("model-validation checks NOTHING: set MODEL_VALIDATION_POLICY") == 1


def test_requests_may_not_say_what_a_processor_opens(
    vllm: Installation, model: Path, policy: Policies, tmp_path: Path
) -> None:
    """Whoever can ask the server could name files beside the model."""
    given = ("--model", str(model), "--trust-request-mm-kwargs")
    assert _refused(vllm, *given, environment=policy(model), folder=tmp_path) == (
        "validator.errors.Refused: --trust-request-mm-kwargs lets requests say which files a "
        "processor opens, and no signature covers them; leave it out"
    )


def test_adapters_at_run_time_and_a_policy_exclude_each_other(
    vllm: Installation, model: Path, policy: Policies, tmp_path: Path
) -> None:
    """Adapters that are loaded while vLLM serves would not be verified."""
    variables = policy(model, VLLM_ALLOW_RUNTIME_LORA_UPDATING="True")
    last = _refused(vllm, "--model", str(model), environment=variables, folder=tmp_path)
    assert last == (
        "validator.errors.Refused: VLLM_ALLOW_RUNTIME_LORA_UPDATING lets vLLM load what no "
        "signature covers; remove it"
    )


def test_our_packages_clash_with_none_of_vllms(vllm: Installation, tmp_path: Path) -> None:
    """No distribution in vLLM's environment brings a top-level name of ours."""
    program = (
        "import json; from importlib.metadata import packages_distributions; "
        "print('FOUND', json.dumps(packages_distributions()))"
    )
    code, output = vllm.ended("-c", program, environment={"PYTHONPATH": ""}, log=tmp_path / "log")
    assert code == 0
    found = json.loads(output.partition("FOUND")[2])
    assert "vllm" in found
    assert not {"validator", "webhook", "certs"} & found.keys()


def test_the_webhook_reads_command_lines_as_this_vllm_does(
    vllm: Installation, tmp_path: Path
) -> None:
    """The comparisons with vLLM's parser, which are skipped where there is none, run here."""
    code, output = vllm.ended(
        *("-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", "--rootdir", str(ROOT)),
        *("-o", "addopts=--import-mode=importlib"),  # the project's own need plugins of pytest
        test_parser_beside_vllm.__file__,
        environment={"PYTHONPATH": str(ROOT)},
        log=tmp_path / "log",
    )
    assert code == 0, output
    assert "skipped" not in output.splitlines()[-1]
