"""Ways to an engine, to weights and to code beside the model, tried in a real vLLM."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.stack.engines import SERVER
from tests.e2e.stack.programs.test_vllm_plugin import LANE, SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.stack.engines import Installation

    Policies = Callable[..., dict[str, str]]

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(LANE not in os.environ, reason="needs a real vLLM: run `make e2e-vllm`"),
]

PRELUDE: Final = """
import sys

def tell(what, function):
    try:
        print(what, "DONE", function())
    except BaseException as error:
        print(what, type(error).__name__, error)
"""


def _told(output: str, what: str) -> list[str]:
    """Return what a program has told under a name."""
    return [
        line.removeprefix(f"{what} ") for line in output.splitlines() if line.startswith(f"{what} ")
    ]


@pytest.mark.parametrize("variables", [{}, {"VLLM_TARGET_DEVICE": "cpu"}], ids=str)
def test_a_plugin_that_comes_first_and_a_second_thread_meet_the_guard(
    vllm: Installation, model: Path, policy: Policies, tmp_path: Path, variables: dict[str, str]
) -> None:
    """Another plugin makes engines, in threads too, raises, and so keeps ours from being called.

    Where the device is set, vLLM asks for no platform, and the guard comes with the import of the
    plugins.
    """
    other = tmp_path / "other"
    (other / "first-1.dist-info").mkdir(parents=True)
    (other / "first-1.dist-info/METADATA").write_text("Name: first\nVersion: 1\n")
    (other / "first-1.dist-info/entry_points.txt").write_text(
        "[vllm.general_plugins]\nfirst = first:register\n"
    )
    (other / "first.py").write_text(
        f"{PRELUDE}\n"
        "def engine():\n"
        "    from vllm.engine.arg_utils import EngineArgs\n"
        "    return EngineArgs(model=sys.argv[1]).create_engine_config()\n"
        "def register():\n"
        "    import threading\n"
        "    thread = threading.Thread(target=tell, args=('THREAD', engine))\n"
        "    thread.start()\n    thread.join()\n"
        "    tell('PLUGIN', engine)\n"
        "    raise LookupError\n"
    )
    program = tmp_path / "program.py"
    program.write_text(
        f"{PRELUDE}\nfrom vllm import LLM\n"
        "for _ in range(2):\n"
        "    tell('MAIN', lambda: LLM(model=sys.argv[1], enforce_eager=True))\n"
    )
    (model / "config.json").write_text("{}")
    code, output = vllm.ended(
        *(str(program), str(model)),
        environment=policy(model, PYTHONPATH=f"{other}:{vllm.site}", **variables),
        log=tmp_path / "log",
    )
    assert code == 0
    kinds = [
        line.partition(" ")[0]
        for name in ("THREAD", "PLUGIN", "MAIN")
        for line in _told(output, name)
    ]
    assert kinds == ["ModelError", "ModelError", "LookupError", "ModelError"]


def test_without_engine_arguments_nothing_else_is_loaded(
    vllm: Installation, signed: Path, model: Path, policy: Policies, tmp_path: Path
) -> None:
    """A configuration by itself, one that was changed after its making, a reload, an adapter."""
    program = tmp_path / "program.py"
    program.write_text(
        f"{PRELUDE}\n"
        "from vllm import LLM, EngineArgs, LLMEngine, SamplingParams\n"
        "from vllm.config import ModelConfig\n"
        "from vllm.lora.request import LoRARequest\n"
        "def main(model, other):\n"
        "    tell('CONFIG', lambda: ModelConfig(model=other))\n"
        "    config = EngineArgs(model=model, enforce_eager=True).create_engine_config()\n"
        "    config.model_config.model = other\n"
        "    tell('CHANGED', lambda: LLMEngine.from_vllm_config(config))\n"
        "    llm = LLM(model=model, enforce_eager=True, enable_lora=True)\n"
        "    reload = {'weights_path': other}\n"
        "    tell('SAME', lambda: llm.collective_rpc('reload_weights'))\n"
        "    tell('RELOAD', lambda: llm.collective_rpc('reload_weights', kwargs=reload))\n"
        "    adapter = LoRARequest('a', 1, other)\n"
        "    once = SamplingParams(max_tokens=1)\n"
        "    tell('ADAPTER', lambda: llm.generate('a', once, lora_request=adapter))\n"
        "if __name__ == '__main__':\n"
        "    main(*sys.argv[1:])\n"
    )
    code, output = vllm.ended(
        *(str(program), str(model), str(signed)),
        environment=policy(model),
        log=tmp_path / "log",
    )
    assert code == 0, output
    refused = f"'{signed}' lies in no model that the policy verifies; name one under {model}"
    assert _told(output, "CONFIG") == [f"Refused --model {refused}"]
    assert f"validator.errors.Refused: --model {refused}" in output  # in the worker, for CHANGED
    assert _told(output, "CHANGED")[0].startswith("RuntimeError Engine core initialization failed")
    assert _told(output, "SAME") == ["DONE [None]"]
    assert f"Worker failed with error '--model {refused}" in _told(output, "RELOAD")[0]
    assert f"validator.errors.Refused: the adapter {refused}" in output
    assert _told(output, "ADAPTER")[0].startswith("EngineDeadError")
    assert output.count("Loading weights took") == 1
    assert output.count(SUCCEEDED) == 1


def test_scripts_and_snapshots_are_refused_where_they_would_run(
    vllm: Installation, model: Path, policy: Policies, tmp_path: Path
) -> None:
    """The control: without a policy, vLLM's hook for SageMaker runs the script."""
    script = model.parent / "model.py"
    script.write_text("print('SCRIPT RAN')\n")
    program = tmp_path / "program.py"
    program.write_text(
        f"{PRELUDE}\n"
        "from vllm.plugins import load_general_plugins\n"
        "load_general_plugins()\n"
        "from model_hosting_container_standards.sagemaker.sagemaker_loader import "
        "SageMakerFunctionLoader\n"
        "tell('HOOK', SageMakerFunctionLoader.get_function_loader)\n"
        "from vllm.snapshot.controller import restore_snapshot\n"
        "tell('SNAPSHOT', lambda: restore_snapshot(None))\n"
    )
    here = {"SAGEMAKER_MODEL_PATH": str(model.parent)}
    log = tmp_path / "log"
    _, output = vllm.ended(str(program), environment=here, log=log)
    assert _told(output, "SCRIPT") == ["RAN"]
    assert _told(output, "SNAPSHOT")[0].startswith("AttributeError")  # it has begun
    _, output = vllm.ended(str(program), environment=policy(model, **here), log=log)
    assert not _told(output, "SCRIPT")
    [told] = _told(output, "HOOK")
    assert told == (
        f"Refused the script of vLLM's hook for SageMaker '{script}' lies in no model that the "
        f"policy verifies; name one under {model}"
    )
    assert _told(output, "SNAPSHOT")[0].startswith("Refused a snapshot brings weights")
    code, output = vllm.ended(
        *(*SERVER, "--model", str(model)), environment=policy(model, **here), log=log
    )
    assert code != 0
    assert not _told(output, "SCRIPT")
    assert output.splitlines()[-1] == (
        f"validator.errors.Refused: the script of vLLM's hook for SageMaker '{script}' lies in no "
        "model that the policy verifies; remove it, or sign it with the model"
    )


def test_a_missing_library_ends_vllm_with_one_sentence(
    vllm: Installation, model: Path, policy: Policies, tmp_path: Path
) -> None:
    """Without its dependencies, the check lets no engine start, and shows no traceback."""
    missing = tmp_path / "without/re2.py"
    missing.parent.mkdir()
    missing.write_text("raise ModuleNotFoundError(\"No module named 're2'\", name='re2')\n")
    code, output = vllm.ended(
        *(*SERVER, "--model", str(model)),
        environment=policy(model, PYTHONPATH=f"{missing.parent}:{vllm.site}"),
        log=tmp_path / "log",
    )
    assert code != 0
    assert "Traceback" not in output
    assert output.splitlines()[-1] == (
        "validator.errors.Undecided: the engine does not start: nothing can be verified without "
        "'re2'; run `pip install '.[vllm]'` in a checkout of this project, with the pip of vLLM"
    )
