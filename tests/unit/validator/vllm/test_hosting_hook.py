"""Scripts that vLLM's hook for SageMaker would run, as the check inside vLLM finds them."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

import pytest

from validator.errors import Refused
from validator.vllm.facts import HOOK_HANDLERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from tests.support.signed_model import Site


@pytest.fixture
def serve(
    load: Callable[..., ModuleType], environment: dict[str, str], site: Site, tmp_path: Path
) -> Callable[..., Any]:
    """Return a function that starts a server, under some variables."""
    environment["SAGEMAKER_MODEL_PATH"] = str(tmp_path / "none")

    def served(**variables: str) -> Any:
        environment.update(variables)
        command_line = Namespace(model=str(site.model), middleware=[])
        return load().EngineArgs.from_cli_args(command_line)

    return served


def test_a_script_beside_the_model_is_not_run(serve: Callable[..., Any], site: Site) -> None:
    """A model at /opt/ml/model/tiny has /opt/ml/model/model.py beside it, unsigned."""
    assert serve()
    (site.model.parent / "model.py").write_text("raise SystemExit")
    with pytest.raises(Refused) as refusal:
        serve(SAGEMAKER_MODEL_PATH=f"{site.model.parent}/")
    assert str(refusal.value) == (
        f"the script of vLLM's hook for SageMaker '{site.model.parent}/model.py' lies in no model "
        "that the policy verifies; remove it, or sign it with the model"
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"CUSTOM_SCRIPT_FILENAME": "serve.py"},
        {"CUSTOM_SCRIPT_FILENAME": "../folder/serve.py"},
        *({name: "serve.py:Handler.run"} for name in HOOK_HANDLERS),
        {"CUSTOM_PRE_PROCESS": " /elsewhere/a.py:f "},
    ],
    ids=str,
)
def test_whatever_names_a_script_is_looked_at(
    serve: Callable[..., Any], tmp_path: Path, variables: dict[str, str]
) -> None:
    """The script's own name, and handlers by file."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/serve.py").write_text("")
    with pytest.raises(Refused, match=r"'/.*\.py' lies in no model that the policy verifies"):
        serve(SAGEMAKER_MODEL_PATH=str(tmp_path / "folder"), **variables)


def test_a_signed_script_is_part_of_the_model(serve: Callable[..., Any], site: Site) -> None:
    """Who signs a model may sign code with it."""
    site.sign_with("model.py", b"")
    assert serve(SAGEMAKER_MODEL_PATH=str(site.model), CUSTOM_PRE_PROCESS="model.py:f")


def test_an_empty_directory_is_where_vllm_was_started(
    serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hook takes the variable as it is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text("")
    with pytest.raises(Refused, match=f"'{tmp_path}/model.py' lies in no model"):
        serve(SAGEMAKER_MODEL_PATH="")


def test_routes_and_modules_by_name_are_no_files(serve: Callable[..., Any]) -> None:
    """A module is found where the environment has it, and whoever made that is trusted."""
    assert serve(CUSTOM_FASTAPI_PING_HANDLER="/health", CUSTOM_POST_PROCESS="package:function")


def test_a_command_that_serves_nothing_runs_no_script(
    load: Callable[..., ModuleType], environment: dict[str, str], site: Site
) -> None:
    """`vllm bench` and `vllm run-batch` do not call the hook."""
    environment["CUSTOM_PRE_PROCESS"] = "/elsewhere/a.py:f"
    assert load().EngineArgs.from_cli_args(Namespace(model=str(site.model)))
