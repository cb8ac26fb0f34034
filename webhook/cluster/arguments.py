"""Command lines of the programs that talk to an API server: the shared parser, and ports."""

from __future__ import annotations

import argparse
from typing import Final

from validator.arguments import USAGE, ArgumentParser, add_version

__all__ = ["PORTS", "USAGE", "ArgumentParser", "add_version", "port"]

PORTS: Final = range(65536)


def port(text: str) -> int:
    """Return the TCP port that an option names; 0 stands for a free one.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not text.isdecimal() or len(text) > len(str(max(PORTS))) or int(text) not in PORTS:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to {max(PORTS)}")
    return int(text)
