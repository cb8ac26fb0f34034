"""The options and variables of a vLLM are read from its source, in a small one of its own."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from scripts import generate_vllm_release
from scripts.vllm_source.modules import NotVllmError

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "_version.py": "__version__ = version = '1.2.3'\n",
    "utils/argparse_utils.py": """
        import sys
        from argparse import ArgumentParser, BooleanOptionalAction
        import regex as re
        from vllm.logger import init_logger
        logger = init_logger(__name__)
        class Opposite(BooleanOptionalAction):
            def __init__(self, option_strings, dest, *args, **kwargs):
                super().__init__(option_strings, dest, *args, **kwargs)
                self.option_strings = [*self.option_strings, "--disable-lora"]
        class FlexibleArgumentParser(ArgumentParser):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.register("action", BooleanOptionalAction, Opposite)
    """,
    "config/__init__.py": """
        from vllm.config.model import ModelConfig, Words
        from vllm.config.utils import config
    """,
    "config/model.py": """
        from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union
        import torch
        from pydantic import Field
        from .utils import config
        from vllm.nowhere import Missing
        if TYPE_CHECKING:
            from vllm.elsewhere import Format
        else:
            Format = str
        Words = Literal["a", "b"]
        Overrides = dict[str, Any] | Missing
        class Counts(dict[str, int]):
            pass
        @config
        class Inner:
            a: int = 1
        class Plain:
            pass
        @config
        class Base:
            model: str = "name"
            inner: Optional[Inner] = None
        @config
        class ModelConfig(Base):
            words: Words = "a"
            format: "Format | None" = None
            enable_lora: bool = False
            token: bool | str | None = None
            overrides: Overrides = Field(default_factory=dict)
            counts: Counts = Field(default_factory=Counts)
            sizes: list[int] | None = None
            pair: tuple[int, int] = (1, 2)
            several: tuple[int, ...] = ()
            limits: Annotated[Union[int, dict[str, int]], Field(gt=1)] = 1
            traces: list[Words] | None = None
            plain: Plain | torch.dtype = None
            def method(self):
                return 1
    """,
    "config/utils.py": "def config(cls):\n    return cls\n",
    "engine/arg_utils.py": """
        import argparse
        import json
        import torch
        from dataclasses import dataclass
        from typing import get_args
        from vllm.config import ModelConfig, Words
        from vllm.platforms import current_platform
        from vllm.utils.argparse_utils import FlexibleArgumentParser
        HELP = "some"
        def get_kwargs(cls):
            raise AssertionError("reads the types of what is not installed")
        def optional_type(kind):
            return lambda text: kind(text)
        @dataclass
        class EngineArgs:
            model: str = ModelConfig.model
            @staticmethod
            def add_cli_args(parser):
                kwargs = get_kwargs(ModelConfig)
                group = parser.add_argument_group(title="x", description=ModelConfig.__doc__)
                kwargs["words"]["choices"].remove(torch.anything)
                kwargs["traces"]["choices"] += get_args(Words)
                kwargs["model"]["help"] += HELP * 2 if False else ""
                kwargs["limits"]["type"] = optional_type(json.loads)
                for name in kwargs:
                    flags = ["-w"] if name == "words" else []
                    group.add_argument("--" + name.replace("_", "-"), *flags, **kwargs[name])
                parser.add_argument("--quiet", action="store_true", help=HELP)
                parser.add_argument("--device", type=lambda text: [text])
                current_platform.update(parser)
                return parser
    """,
    "entrypoints/launchers/cli_args.py": """
        from vllm.config import config
        from vllm.engine.arg_utils import EngineArgs
        from vllm.utils.argparse_utils import FlexibleArgumentParser
        @config
        class FrontendArgs:
            host: str | None = None
            origins: list[str] = None
            @classmethod
            def add_cli_args(cls, parser):
                from vllm.engine.arg_utils import get_kwargs
                import json
                kwargs = get_kwargs(cls)
                kwargs["origins"]["type"] = json.loads
                del kwargs["origins"]["nargs"]
                for key, value in kwargs.items():
                    parser.add_argument(f"--{key}", **value)
                return parser
        def make_arg_parser(parser):
            parser.add_argument("model_tag", nargs="?")
            return EngineArgs.add_cli_args(FrontendArgs.add_cli_args(parser))
    """,
    "envs.py": """
        import os
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            VLLM_PORT: int | None = None
            VLLM_NAME: str = ""
        environment_variables: dict[str, object] = {
            "VLLM_PORT": lambda: os.getenv("VLLM_PORT"),
            "VLLM_NAME": lambda: os.getenv("VLLM_NAME", "").lower(),
            "CMAKE_BUILD_TYPE": lambda: os.getenv("CMAKE_BUILD_TYPE"),
        }
    """,
}


def written(folder: Path, **changes: str | None) -> Path:
    """Return a folder with a vLLM, in which some files are others, or missing."""
    for name, text in {**FILES, **changes}.items():
        if text is not None:
            path = folder / "vllm" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = text.splitlines()
            indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
            path.write_text("\n".join(line[indent:] for line in lines) + "\n", encoding="utf-8")
    return folder


def test_options_are_those_of_the_parser(tmp_path: Path) -> None:
    """Its field's type tells the number of values, and whether they are JSON."""
    release = generate_vllm_release.read(written(tmp_path))
    assert release["vllm"] == "1.2.3"
    found: dict[str, Any] = {
        option["dest"]: (option["flags"], option["arity"], option.get("json", False))
        for option in release["options"]
    }
    assert found == {
        "help": (["-h", "--help"], 0, False),
        "model_tag": ([], "?", False),
        "host": (["--host"], None, False),
        "origins": (["--origins"], None, True),
        "model": (["--model"], None, False),
        "inner": (["--inner"], None, True),
        "words": (["--words", "-w"], None, False),
        "format": (["--format"], None, False),
        "enable_lora": (["--enable-lora", "--no-enable-lora", "--disable-lora"], 0, False),
        "token": (["--token"], "?", False),
        "overrides": (["--overrides"], None, True),
        "counts": (["--counts"], None, True),
        "sizes": (["--sizes"], "+", False),
        "pair": (["--pair"], 2, False),
        "several": (["--several"], "+", False),
        "limits": (["--limits"], None, True),
        "traces": (["--traces"], "+", False),
        "plain": (["--plain"], None, False),
        "quiet": (["--quiet"], 0, False),
        "device": (["--device"], None, False),
    }


def test_variables_are_those_that_vllm_lists(tmp_path: Path) -> None:
    """With the type that it declares, and the expression that reads."""
    assert generate_vllm_release.read(written(tmp_path))["environment"] == {
        "CMAKE_BUILD_TYPE": {"type": "str", "reading": "lambda: os.getenv('CMAKE_BUILD_TYPE')"},
        "VLLM_NAME": {"type": "str", "reading": "lambda: os.getenv('VLLM_NAME', '').lower()"},
        "VLLM_PORT": {"type": "int | None", "reading": "lambda: os.getenv('VLLM_PORT')"},
    }


def test_a_wheel_is_read_as_a_folder_is(tmp_path: Path) -> None:
    """As pip downloads it."""
    folder, wheel = written(tmp_path / "folder"), tmp_path / "vllm.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in sorted(folder.rglob("*.py")):
            archive.write(file, file.relative_to(folder))
    assert generate_vllm_release.read(wheel) == generate_vllm_release.read(folder)


def test_what_has_no_kind_is_named(tmp_path: Path) -> None:
    """Somebody has to read what it opens."""
    release = generate_vllm_release.read(written(tmp_path))
    sentences = list(generate_vllm_release.unclassified(release))
    assert "the option words has no kind in validator/vllm/option_kinds.py" in sentences
    assert "the variable VLLM_NAME has no kind in validator/vllm/variable_kinds.py" in sentences
    assert not any("VLLM_PORT" in sentence or "option model " in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"_version.py": None}, "vllm/_version.py, which says the release, is missing"),
        ({"_version.py": "x = 1"}, "vllm/_version.py, which says the release, is missing"),
        ({"entrypoints/launchers/cli_args.py": None}, "it has none of the modules"),
        ({"utils/argparse_utils.py": None}, "it has no module vllm.utils.argparse_utils"),
        ({"config/model.py": "x = 1"}, "the fields of its ModelConfig cannot be found"),
        ({"envs.py": "x = 1"}, "vllm/envs.py has no list environment_variables"),
        ({"envs.py": "environment_variables: dict = {**x}"}, "the names cannot be read"),
    ],
    ids=str,
)
def test_another_source_is_refused(
    tmp_path: Path, changes: dict[str, str | None], said: str
) -> None:
    """A release that makes its parser otherwise is seen, and not read in part."""
    with pytest.raises(NotVllmError, match=said):
        generate_vllm_release.read(written(tmp_path, **changes))


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one sentence."""
    assert generate_vllm_release.main([]) == 2
    assert generate_vllm_release.main([str(tmp_path)]) == 1
    assert "is no vLLM that can be read: its vllm/_version.py" in capsys.readouterr().err


def test_it_is_written_an_option_a_line(tmp_path: Path) -> None:
    """So that a change of vLLM reads well in a diff."""
    release = generate_vllm_release.read(written(tmp_path))
    text = generate_vllm_release.rendered(release)
    assert json.loads(text) == release
    assert '\n  {"dest": "quiet", "flags": ["--quiet"], "arity": 0},\n' in text
