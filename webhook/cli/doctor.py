"""`python -m webhook doctor`: whether the installation in a cluster is whole and right."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from webhook.errors import SetupError

if TYPE_CHECKING:
    import argparse

    from validator.arguments import ArgumentParser
    from webhook.doctor.finding import Finding

SOUND: Final = 0
UNSOUND: Final = 1

NAME: Final = "model-validation-doctor"
"""Of the client, in the API server's audit log."""


def add_options(parser: ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Compare the installation in a cluster with this release, and say in one "
        "sentence each what is missing, changed or not working, and what to do. Nothing in the "
        "cluster is changed. Exit code 0: no error was found; 1: an error was found, or something "
        "could not be looked at; 2: usage, or no access."
    )
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        type=Path,
        help="the cluster's (default: the cluster that the pod runs in)",
    )
    parser.add_argument(
        "--probe-namespace",
        metavar="NAME",
        default="default",
        help="where a labelled pod is created as a dry run, to see whether the API server reaches "
        "the webhook (default: %(default)s)",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="form of the findings"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Examine the installation and print the findings.

    Raises:
        SetupError: There is no access to the API server.
    """
    findings = asyncio.run(_examined(options))
    # A second of imports, after the options were found right.
    from webhook.doctor.finding import Level

    errors = sum(finding.level is Level.ERROR for finding in findings)
    if options.format == "json":
        print(json.dumps(_document(findings, errors=errors), ensure_ascii=False, indent=2))
    else:
        for finding in findings:
            print(f"{finding.level}: {finding.subject}: {finding.sentence} [{finding.code}]")
        print(f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}.")
    return UNSOUND if errors else SOUND


async def _examined(options: argparse.Namespace) -> list[Finding]:
    from webhook.cluster.api import ClusterApi
    from webhook.cluster.errors import AccessError
    from webhook.doctor.examination import examine

    try:
        api = await ClusterApi.connect(options.kubeconfig, name=NAME)
    except AccessError as error:
        raise SetupError(str(error)) from error
    try:
        return await examine(
            api, probe_namespace=options.probe_namespace, now=dt.datetime.now(dt.UTC)
        )
    finally:
        await api.close()


def _document(findings: list[Finding], *, errors: int) -> dict[str, object]:
    """Return what docs/doctor.schema.json describes."""
    return {
        "errors": errors,
        "warnings": len(findings) - errors,
        "findings": [finding.as_document() for finding in findings],
    }


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
