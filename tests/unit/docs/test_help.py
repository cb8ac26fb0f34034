"""What `--help` says of each option."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

import certs.cli
import validator.cli
import webhook.cli
from webhook.sources.documents import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAMS: Final[tuple[tuple[Callable[[Sequence[str]], int], str], ...]] = (
    *(
        (validator.cli.main, f"verify {name}")
        for name in ("sigstore", "key", "certificate", "policy")
    ),
    *((validator.cli.main, name) for name in ("inspect", "monitor")),
    *((webhook.cli.main, name) for name in ("serve", "observe", "mutate", "convert", "doctor")),
    (certs.cli.main, "run"),
)
OPTION: Final = re.compile(r"^  (-.*(?:\n {8,}.*)*)", re.MULTILINE)
"""An option, with the lines of what is said of it."""

SAID: Final = re.compile(r" {2,}[\w$./(].*", re.DOTALL)
"""What is said of an option, after two blanks or on a line of its own."""


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a width that does not depend on a terminal."""
    monkeypatch.setenv("COLUMNS", "100")


def shown(
    main: Callable[[Sequence[str]], int], command: str, capsys: pytest.CaptureFixture[str]
) -> str:
    """Return what a command's `--help` prints."""
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("main", "command"), PROGRAMS)
def test_each_option_is_explained(
    main: Callable[[Sequence[str]], int], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By more than its name, the form of its value and its default."""
    options = OPTION.findall(shown(main, command, capsys))
    assert options
    for option in options:
        said = SAID.search(option)
        assert said, option
        assert not said[0].lstrip().startswith("(default"), option


def test_mutate_names_all_kinds_that_it_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that decide about pods, beside the pods' own."""
    text = shown(webhook.cli.main, "mutate", capsys)
    assert {kind for _, kind in KINDS if f"{kind}s" not in text} == set()
