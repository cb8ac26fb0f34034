"""`python -m webhook serve`: the admission server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from webhook.cli.options import add_gate, add_labels, gate_settings
from webhook.cli.running import exit_code
from webhook.cluster.arguments import add_probes, port
from webhook.errors import SetupError
from webhook.settings import ServerSettings

if TYPE_CHECKING:
    from validator.arguments import ArgumentParser

DRAIN_LIMIT: Final = 3600
"""Seconds; Kubernetes gives a pod 30 by default, and 45 in our manifests."""


def add_options(parser: ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Answer AdmissionReviews on /mutate and /validate over TLS, probes and "
        "metrics on a plain second port. Policies come from the cluster, or from a directory."
    )
    source = parser.add_argument_group("policies (default: the cluster that the pod runs in)")
    either = source.add_mutually_exclusive_group()
    either.add_argument(
        "--policies", metavar="DIR", type=Path, help="directory of YAML files, re-read on change"
    )
    either.add_argument(
        "--kubeconfig",
        metavar="FILE",
        type=Path,
        help="of the cluster, for a webhook that runs outside of it",
    )
    add_gate(parser)
    parser.add_argument(
        "--gate-namespace",
        metavar="NAME",
        help="namespace of the cluster whose annotations name images that /validate accepts as "
        "well: other replicas' during an upgrade",
    )
    add_labels(parser)
    listening = parser.add_argument_group("listening")
    listening.add_argument(
        "--tls-cert",
        metavar="FILE",
        type=Path,
        required=True,
        help="PEM; waited for where it is not there yet, and read again when it changes",
    )
    listening.add_argument(
        "--tls-key", metavar="FILE", type=Path, required=True, help="PEM, of the certificate"
    )
    listening.add_argument(
        "--port", type=port, default=8443, help="of the reviews (default: %(default)s)"
    )
    add_probes(listening, listeners="reviews and probes")
    listening.add_argument(
        "--drain-seconds",
        metavar="SECONDS",
        type=_seconds,
        default=10,
        help="from SIGTERM until the listeners close (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until told to end; return 0, or 1 where a background task failed.

    Raises:
        SetupError: An option, a file, a port or the API server is not what it should be.
    """
    if options.policies is not None and options.gate_namespace is not None:
        raise SetupError("--gate-namespace is of a cluster: leave it out beside --policies")
    settings = ServerSettings(
        certificate=options.tls_cert,
        key=options.tls_key,
        host=options.host,
        port=options.port,
        probe_port=options.probe_port,
        policies=options.policies,
        kubeconfig=options.kubeconfig,
        gate_namespace=options.gate_namespace,
        operator_compat=options.operator_compat,
        drain_seconds=options.drain_seconds,
    )
    gate = gate_settings(options)
    # `--help` and `mutate` do without the server's half second of imports.
    from webhook.serving import process

    return exit_code(process.serve(settings, gate=gate))


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= DRAIN_LIMIT:  # also where it is no number
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {DRAIN_LIMIT} seconds")
    return seconds
