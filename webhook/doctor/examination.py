"""All checks, one after the other, and what they found."""

from __future__ import annotations

from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from webhook.cluster.errors import ApiError
from webhook.doctor import (
    admission_policies,
    certificate,
    cluster_rules,
    configurations,
    namespaces,
    reach,
    server,
    workloads,
)
from webhook.doctor.finding import Level, bounded, error
from webhook.errors import SetupError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncGenerator

    from webhook.doctor.finding import Finding
    from webhook.doctor.objects import Api

CAUSES: Final = (
    "configuration-",
    "certificate-",
    "admission-",
    "deployment-",
    "replicas-not-ready",
    "no-endpoints",
    "not-readable",
)
"""Starts of codes that explain why the webhook is not reached, which then is no finding."""


async def examine(api: Api, *, probe_namespace: str, now: dt.datetime) -> list[Finding]:
    """Return what is wrong with the installation, errors first.

    Args:
        api: The client.
        probe_namespace: In which a labelled pod is created as a dry run.
        now: The time, with its zone.

    Raises:
        SetupError: The API server does not answer us at all.
    """
    checks = (
        server.version(api),
        server.resource_definitions(api),
        configurations.ours(api),
        configurations.former(api),
        configurations.of_others(api),
        admission_policies.admission_policies(api),
        certificate.serving(api, now=now),
        workloads.deployments(api),
        workloads.endpoints(api),
        cluster_rules.rules(api),
        cluster_rules.roots(api),
        cluster_rules.exemptions(api),
        namespaces.policies(api),
        namespaces.labels(api),
        namespaces.pods(api),
    )
    findings = [finding for check in checks for finding in await _ended(check)]
    if not any(_explains(each) for each in findings):
        findings += await _ended(reach.reach(api, namespace=probe_namespace))
    seen = dict.fromkeys(findings)  # one right may be missing to several checks
    return sorted(bounded(seen), key=lambda each: each.level is not Level.ERROR)


def _explains(finding: Finding) -> bool:
    """Tell whether a finding has as its consequence that the webhook is not reached."""
    return finding.level is Level.ERROR and finding.code.startswith(CAUSES)


async def _ended(check: AsyncGenerator[Finding]) -> list[Finding]:
    """Return what a check found, and that it could not go on, where it could not.

    Raises:
        SetupError: The API server does not answer, or does not know our credentials.
    """
    findings: list[Finding] = []
    try:
        async with aclosing(check) as found:
            async for finding in found:
                findings += [finding]  # those before a failure are kept
    except ApiError as refusal:
        if refusal.status is None or refusal.status == HTTPStatus.UNAUTHORIZED:
            raise SetupError(f"the API server cannot be examined: {refusal}") from refusal
        findings.append(_not_readable(refusal))
    return findings


def _not_readable(refusal: ApiError) -> Finding:
    remedy = (
        "give the account that runs this command that right (docs/operations.md lists all)"
        if refusal.status == HTTPStatus.FORBIDDEN
        else "try again, and look into the API server's log"
    )
    return error("not-readable", "API server", f"{refusal}: {remedy}")
