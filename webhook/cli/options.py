"""Options that the subcommands share."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from validator import contract
from webhook.settings import GATE_COMMAND, GateSettings

if TYPE_CHECKING:
    import argparse


def add_gate(parser: argparse.ArgumentParser, *, image: str | None = None) -> None:
    """Add the options that describe the gate; `image` is the default, required without one."""
    group = parser.add_argument_group("the gate")
    group.add_argument(
        "--gate-image",
        metavar="IMAGE",
        default=image,
        required=image is None,
        help="image reference of the validator" + (" (default: %(default)s)" if image else ""),
    )
    group.add_argument(
        "--gate-command",
        metavar="COMMAND",
        type=_command,
        default=GATE_COMMAND,
        help=f"how the validator is started in its image (default: {shlex.join(GATE_COMMAND)})",
    )


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Add the option about the pods' label."""
    parser.add_argument(
        "--operator-compat",
        action="store_true",
        help=f"honour the label {contract.OPERATOR_LABEL} as {contract.LABEL}",
    )


def gate_settings(options: argparse.Namespace) -> GateSettings:
    """Return the gate that the options describe."""
    return GateSettings(image=options.gate_image, command=options.gate_command)


def _command(text: str) -> tuple[str, ...]:
    """Split a command as a shell does.

    Raises:
        ValueError: It is empty, not by absolute path, or quoted wrongly; argparse reports it.
    """
    words = tuple(shlex.split(text))
    if not words or not words[0].startswith("/"):
        raise ValueError
    return words


_command.__name__ = "command by absolute path"  # argparse names the type in its message
