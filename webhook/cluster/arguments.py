"""Command lines of the programs that talk to an API server: the shared parser and options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from validator.arguments import USAGE, ArgumentParser, add_version

if TYPE_CHECKING:
    from argparse import _ActionsContainer

__all__ = ["PORTS", "USAGE", "ArgumentParser", "add_cluster", "add_probes", "add_version", "port"]

PORTS: Final = range(65536)


def add_cluster(parser: _ActionsContainer) -> None:
    """Add the option that names the cluster."""
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        type=Path,
        help="of the cluster (default: the one that the pod runs in)",
    )


def add_probes(parser: _ActionsContainer, *, listeners: str = "the probes") -> None:
    """Add the options about the listener of `webhook.cluster.probes`.

    Args:
        parser: Or a group of one.
        listeners: All that listen at the address.
    """
    parser.add_argument("--host", metavar="ADDRESS", help=f"address of {listeners} (default: all)")
    parser.add_argument(
        "--probe-port",
        metavar="PORT",
        type=port,
        default=8080,
        help="of /healthz, /readyz and /metrics (default: %(default)s)",
    )


def port(text: str) -> int:
    """Return the TCP port that an option names; 0 stands for a free one.

    Raises:
        ArgumentTypeError: It is not a port.
    """
    if not text.isdecimal() or len(text) > len(str(max(PORTS))) or int(text) not in PORTS:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to {max(PORTS)}")
    return int(text)
