from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.metadata import version

import pytest

from validator.arguments import DISTRIBUTION
from webhook.cluster.arguments import port


@pytest.mark.parametrize("program", ["webhook", "certs"])
def test_each_program_says_its_version(program: str) -> None:
    """It is the distribution's."""
    command = [sys.executable, "-m", program, "--version"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == f"{version(DISTRIBUTION)}\n"


@pytest.mark.parametrize("text", ["", "-1", "65536", "80.0", "http", "9" * 5000, "²"])
def test_what_is_no_port_is_one_sentence(text: str) -> None:
    """Also what Python's own conversion would stumble over."""
    with pytest.raises(argparse.ArgumentTypeError, match="is not a port: 0 to 65535"):
        port(text)


def test_a_port_is_a_number() -> None:
    """0 is for tests; the highest one is valid too."""
    assert [port("0"), port("8443"), port("65535")] == [0, 8443, 65535]
