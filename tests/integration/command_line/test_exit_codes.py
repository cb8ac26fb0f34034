"""One rule of exit codes for every subcommand, as docs/codes.md has it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import validator.cli
import webhook.cli
from validator.arguments import Subcommand
from validator.contract import POLICY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from validator.arguments import ArgumentParser

ABSENT: dict[str, tuple[str, str, int]] = {
    "verify sigstore": (
        "validator",
        "{here} --identity=a --identity-provider=b --trusted-root={absent}",
        2,
    ),
    "verify key": ("validator", "{here} --public-key={absent}", 2),
    "verify certificate": ("validator", "{here} --certificate-chain={absent}", 2),
    "verify policy": ("validator", "{absent}", 2),
    "monitor": ("validator", "--state={absent}", 2),
    "inspect": ("validator", "{absent}", 1),
    "serve": (
        "webhook",
        "--gate-image=a/b:1 --tls-cert={absent} --tls-key={absent} --policies={absent}",
        2,
    ),
    "mutate": ("webhook", "{absent}", 2),
    "convert": ("webhook", "{absent}", 2),
    "doctor": ("webhook", "--kubeconfig={absent}", 2),
    "observe": ("webhook", "--gate-image=a/b:1 --kubeconfig={absent}", 2),
    "run": ("certs", "--namespace=ours --kubeconfig={absent}", 2),
}
"""Each subcommand with what it is asked about, or asked with, missing: the exit code."""


@pytest.mark.parametrize("command", ABSENT)
def test_what_is_missing_ends_with_one_sentence(command: str, tmp_path: Path) -> None:
    """1 where it is what is judged, else 2; nothing is printed as a result."""
    program, options, code = ABSENT[command]
    absent = tmp_path / "absent"
    given = options.format(here=tmp_path, absent=absent).split()
    ended = subprocess.run(
        [sys.executable, "-m", program, *command.split(), *given],
        env={name: value for name, value in os.environ.items() if name != POLICY_VARIABLE},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    sentence = ended.stderr.splitlines()[-1]
    assert (ended.returncode, ended.stdout) == (code, ""), sentence
    assert sentence.startswith(("model-validator: ", "python -m "))
    assert str(absent) in sentence or command == "monitor"


def test_every_subcommand_is_among_them() -> None:
    """A new one is not left out."""
    ours = {*_commands(validator.cli.parser()), *_commands(webhook.cli.parser())}
    assert {*ours, "run"} == ABSENT.keys()


def _commands(parser: ArgumentParser, name: str = "") -> Iterator[str]:
    """Yield a parser's subcommands that have none of their own."""
    below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not below:
        yield name
    for action in below:
        for word, each in action.choices.items():
            assert isinstance(each, Subcommand)
            each.make()
            yield from _commands(each, f"{name} {word}".strip())
