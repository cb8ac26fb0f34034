"""The command line, `python -m certs run`; exit codes only here.

0: ended by a signal · 1: failed · 2: usage or setup.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from certs.issuing import AUTHORITY_LIFETIME, SERVING_LIFETIME
from certs.rotation import OVERLAP, SETTLING, Waits
from certs.settings import Settings, SetupError
from webhook.cluster.arguments import USAGE, ArgumentParser, add_cluster, add_probes, add_version
from webhook.cluster.errors import AccessError

if TYPE_CHECKING:
    from collections.abc import Sequence

DIED: Final = 1
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST: Final = dt.timedelta(days=36500)
"""A certificate's dates end with the year 9999."""

OVERLAPS: Final = 6
"""Overlaps that a serving certificate's lifetime must have: a renewal begins when a third of it is
left, and takes at most two."""

OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; return the exit code."""
    parser = ArgumentParser(
        prog="python -m certs",
        description="Issue and rotate the webhook's serving certificate.",
    )
    add_version(parser)
    subcommands = parser.add_subparsers(prog=parser.prog, required=True, metavar="SUBCOMMAND")
    _add_run(subcommands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except (SetupError, AccessError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return USAGE
    return code


def _add_run(subcommands: argparse._SubParsersAction[ArgumentParser]) -> None:
    parser = subcommands.add_parser(
        "run",
        help="issue, publish and rotate until a signal",
        description="Keep an authority and the webhook's serving certificate in two Secrets, and "
        "the authority's certificate in caBundle of the webhook configurations. Durations are a "
        "number and s, m, h or d.",
    )
    add_cluster(parser)
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        help="of the Secrets and the Service (default: the pod's own)",
    )
    parser.add_argument(
        "--service",
        metavar="NAME",
        default="model-validation-webhook",
        help="the webhook's Service, for whose names the certificate is (default: %(default)s)",
    )
    for option, default, text in (
        ("--serving-lifetime", SERVING_LIFETIME, "of a serving certificate"),
        ("--authority-lifetime", AUTHORITY_LIFETIME, "of an authority"),
    ):
        parser.add_argument(
            option,
            metavar="DURATION",
            type=_duration,
            default=default,
            help=f"{text}, renewed after two thirds of it (default: {default.days}d)",
        )
    parser.add_argument(
        "--overlap",
        metavar="DURATION",
        type=_duration,
        default=OVERLAP,
        help="how long all replicas may take to serve with a new certificate (default: "
        f"{OVERLAP.seconds // 60}m)",
    )
    add_probes(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Work until told to end; return 0, or 1 where a background task failed.

    Raises:
        SetupError: An option or the port cannot be used.
        AccessError: There is no access to the API server.
    """
    settings = _settings(options)
    # `--help` does without the client's half second of imports.
    import structlog

    from certs import server
    from webhook.cluster import logs

    logs.configure()
    try:
        asyncio.run(
            server.serve(
                settings,
                kubeconfig=options.kubeconfig,
                host=options.host,
                probe_port=options.probe_port,
            )
        )
    except OSError as error:
        raise SetupError(f"cannot listen: {error.strerror}") from error
    except ExceptionGroup as group:
        # The event says what happened; the traceback is for a bug report.
        structlog.get_logger().error("a background task failed", exc_info=group)
        return DIED
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    """Return what the options say.

    Raises:
        SetupError: They do not fit together, or there is no namespace.
    """
    overlap, serving = options.overlap, options.serving_lifetime
    if serving < OVERLAPS * overlap:
        raise SetupError(
            f"--serving-lifetime must be at least {OVERLAPS} times --overlap: a certificate is "
            "renewed in its last third"
        )
    if options.authority_lifetime < serving:
        raise SetupError("--authority-lifetime must not be shorter than --serving-lifetime")
    return Settings(
        namespace=options.namespace or _own_namespace(),
        service=options.service,
        serving_lifetime=serving,
        authority_lifetime=options.authority_lifetime,
        waits=Waits(settling=min(SETTLING, overlap), overlap=overlap),
    )


def _own_namespace() -> str:
    try:
        return OWN_NAMESPACE.read_text().strip()
    except OSError as error:
        raise SetupError("not in a pod: --namespace is needed") from error


def _duration(text: str) -> dt.timedelta:
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number and s, m, h or d, such as 90d")
    duration = dt.timedelta(seconds=int(found[1]) * UNITS[found[2]])
    if not dt.timedelta(0) < duration <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not between a second and 36500d")
    return duration
