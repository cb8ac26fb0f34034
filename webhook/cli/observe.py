"""`python -m webhook observe`: what became of the pods, written into the policies' status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli.options import add_labels
from webhook.cli.running import exit_code
from webhook.cluster.arguments import add_cluster, add_probes, port

if TYPE_CHECKING:
    import argparse

    from validator.arguments import ArgumentParser


def add_options(parser: ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Read the reports that gates leave in labelled pods, and write what they say "
        "into the status of each ModelValidation; show the same as events, as metrics and on a "
        "page. It decides nothing."
    )
    parser.add_argument(
        "--gate-image",
        metavar="IMAGE",
        action="append",
        required=True,
        help="image of the gates whose verdict counts; may be repeated, for an earlier release's",
    )
    parser.add_argument(
        "--reports",
        action="store_true",
        help="write a report of OpenReports (openreports.io/v1alpha1) for each policy, too",
    )
    add_labels(parser)
    add_cluster(parser)
    add_probes(parser)
    parser.add_argument(
        "--page-port",
        metavar="PORT",
        type=port,
        default=8081,
        help="of the page, on loopback, for `kubectl port-forward` (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Work until told to end; return 0, or 1 where a background task failed.

    Raises:
        SetupError: A port or the API server is not what it should be.
    """
    # `--help` does without the client's half second of imports.
    from webhook.observe.process import observe
    from webhook.observe.settings import ObserveSettings

    settings = ObserveSettings(
        images=tuple(options.gate_image),
        reports=options.reports,
        operator_compat=options.operator_compat,
        kubeconfig=options.kubeconfig,
        host=options.host,
        probe_port=options.probe_port,
        page_port=options.page_port,
    )
    return exit_code(observe(settings))
