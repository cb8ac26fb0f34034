"""The cluster's rules, roots of trust and exemptions that do not do what they seem to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validator import contract
from validator.errors import PolicyError
from webhook.cluster.paths import NAMESPACES
from webhook.doctor.finding import error, warning
from webhook.doctor.objects import all_of, installed
from webhook.policies import cluster_rules, trust_roots
from webhook.policies.broken import Broken
from webhook.policies.cluster_rules import BrokenRule, may_hold, read
from webhook.policies.objects import namespace_options
from webhook.sources.cluster_objects import EXEMPTIONS, ROOTS, RULES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from validator.policy.trust_root import TrustRoot
    from webhook.doctor.finding import Finding
    from webhook.doctor.objects import Api
    from webhook.policies.cluster_rules import Rule


async def rules(api: Api) -> AsyncGenerator[Finding]:
    """Find rules that do not do what they seem to say."""
    found = await known(api)
    items = await all_of(api, NAMESPACES, metadata_only=True) if found else []
    namespaces = [namespace_options(item, source="the API server's list") for item in items]
    for rule in found:
        name = f"{contract.CLUSTER_KIND} {rule.metadata.name}"
        selected = sum(may_hold(rule, each) for each in namespaces)
        if isinstance(rule, BrokenRule):
            yield error(
                "rule-broken",
                name,
                f"it cannot be used, so that labelled pods of the {selected} namespaces in which "
                f"it holds are refused: {rule.reason}",
            )
        elif not selected:
            yield warning(
                "rule-selects-nothing",
                name,
                "its spec.namespaceSelector selects no namespace, so that it holds nobody back: "
                "compare it with `kubectl get namespaces --show-labels`",
            )
        if not isinstance(rule, BrokenRule) and any(
            signer.is_placeholder for signer in rule.spec.config.signers
        ):
            yield warning(
                "signer-placeholder",
                name,
                "it accepts the placeholder of the examples as signer, as whom nobody can sign: "
                "write your signer's identity and issuer into spec.config",
            )


async def roots(api: Api) -> AsyncGenerator[Finding]:
    """Find roots of trust that cannot be used, also where nothing names them yet."""
    for root in await known_roots(api):
        if isinstance(root, Broken):
            yield warning(
                "root-broken",
                f"{ROOTS.kind} {root.metadata.name}",
                f"it cannot be used, so that pods are refused whose policy or rule names it: "
                f"{root.reason}",
            )


async def exemptions(api: Api) -> AsyncGenerator[Finding]:
    """Find exemptions that cannot be read."""
    shared = {"apiVersion": contract.API_VERSION, "kind": EXEMPTIONS.kind}
    for item in await installed(api, EXEMPTIONS.path):
        try:
            found = EXEMPTIONS.read(shared | item)
        except PolicyError:
            continue  # without a name; the API server keeps no such object
        if isinstance(found, Broken):
            name = f"{EXEMPTIONS.kind} {found.metadata.name}"
            yield warning("exemption-broken", name, found.reason)


async def known(api: Api) -> list[Rule]:
    """Return all rules, with the texts of the roots that they name; broken, where that fails.

    None are returned where their definition is missing, which is a finding elsewhere.
    """
    all_roots = await known_roots(api)
    shared = {"apiVersion": contract.API_VERSION, "kind": RULES.kind}
    found: list[Rule] = []
    for item in await installed(api, RULES.path):
        try:
            found.append(cluster_rules.resolved(read(shared | item), all_roots))
        except PolicyError:
            continue  # without a name; the API server keeps no such object
    return found


async def known_roots(api: Api) -> tuple[TrustRoot | Broken, ...]:
    """Return all roots; none where their definition is missing."""
    shared = {"apiVersion": contract.API_VERSION, "kind": ROOTS.kind}
    found = []
    for item in await installed(api, ROOTS.path):
        try:
            found.append(trust_roots.read(shared | item))
        except PolicyError:
            continue  # without a name; the API server keeps no such object
    return tuple(found)
