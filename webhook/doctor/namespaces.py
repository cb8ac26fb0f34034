"""The users' side: policies, the labels of namespaces, and pods that no policy admits again."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from validator import contract
from validator.errors import PolicyError
from validator.text import quoted
from webhook.cluster.paths import NAMESPACES, PODS, POLICIES
from webhook.doctor import cluster_rules, configurations
from webhook.doctor.finding import error, warning
from webhook.doctor.objects import all_of, found, installed
from webhook.errors import PodRefused
from webhook.policies import resolution, trust_roots
from webhook.policies.choice import BrokenPolicy
from webhook.policies.objects import namespace_options, read
from webhook.settings import NamespaceOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from webhook.doctor.finding import Finding
    from webhook.doctor.objects import Api, Object
    from webhook.policies.choice import Policy

REQUIRE_LABEL: Final = "validation.rhtas.redhat.com/require"
SWITCHES: Final = (REQUIRE_LABEL, contract.NAMESPACE_HOST_PATH_LABEL)
"""Labels of namespaces that mean something with the value "true" only."""

PREFIXES: Final = (f"{contract.LABEL.partition('/')[0]}/", f"{contract.NAMESPACE_CSI_LABEL}/")

UNFINISHED: Final = "status.phase!=Succeeded,status.phase!=Failed"


async def policies(api: Api) -> AsyncGenerator[Finding]:
    """Find policies that cannot be used, and those that still have the shipped signer."""
    for policy in await _policies(api):
        if isinstance(policy, BrokenPolicy):
            yield error(
                "policy-broken",
                f"{contract.KIND} {policy.namespace}/{policy.name}",
                f"it cannot be used, so that its pods are refused: {policy.reason}",
            )
        elif any(signer.is_placeholder for signer in policy.spec.config.signers):
            yield warning(
                "signer-placeholder",
                policy.reference,
                "it accepts the placeholder of the examples as signer, as whom nobody can sign: "
                "write your signer's identity and issuer into spec.config",
            )


async def labels(api: Api) -> AsyncGenerator[Finding]:
    """Find labels of ours on namespaces that do not do what they seem to say."""
    known: dict[str | None, set[str]] = defaultdict(set)
    for policy in await _policies(api):
        namespace, name = _key(policy)
        known[namespace].add(name)
    for options in await _namespaces(api):
        for label, value in options.labels.items():
            trouble = _trouble(label, value, policies=known[options.name])
            if trouble:
                yield warning(
                    "namespace-label",
                    f"Namespace {options.name}",
                    f"its label {quoted(label)} is {quoted(value)}: {trouble}",
                )


def _trouble(label: str, value: str, *, policies: set[str]) -> str | None:
    """Return what is wrong with a namespace's label, `None` where nothing is."""
    if not label.startswith(PREFIXES):
        return None
    if label == contract.NAMESPACE_POLICY_LABEL:
        missing = f"there is no such {contract.KIND} here: create it, or correct the label"
        return None if value in policies else missing
    if label in SWITCHES or label.startswith(PREFIXES[1]):
        return None if value == "true" else 'it has no effect: set it to "true", or take it off'
    if label == contract.LABEL:
        return f"it is a label of pods and has no effect here: {REQUIRE_LABEL} demands it of pods"
    return "no label of a namespace is called so: see docs/install.md, Labels of a namespace"


async def pods(api: Api) -> AsyncGenerator[Finding]:
    """Find running labelled pods that would be refused if they were created now."""
    known: dict[str | None, list[Policy]] = defaultdict(list)
    for policy in await _policies(api):
        known[_key(policy)[0]].append(policy)
    options = {each.name: each for each in await _namespaces(api)}
    compat = await _honours_operator(api)
    rules = await cluster_rules.known(api)
    groups = Counter(
        [
            (namespace, labels)
            for key in configurations.LABELS[: 1 + compat]
            async for namespace, labels in _labelled(api, key)
        ]
    )
    for (namespace, labels), number in groups.items():
        where = options.get(namespace) or NamespaceOptions(name=namespace)
        try:
            chosen = resolution.chosen(
                dict(labels), namespace=where, policies=known[namespace], operator_compat=compat
            )
            resolution.with_rules(chosen, rules, namespace=where)
        except PodRefused as refusal:
            yield warning(
                "pods-without-policy",
                f"Namespace {namespace}",
                f"{number} labelled {'pods' if number > 1 else 'pod'} would be refused if created "
                f"again: {refusal}",
            )


async def _labelled(api: Api, key: str) -> AsyncGenerator[tuple[str, tuple[tuple[str, str], ...]]]:
    """Yield the namespace of each pod that carries a label, and its labels of that meaning."""
    query = {"labelSelector": key, "fieldSelector": UNFINISHED}
    for pod in await all_of(api, PODS, query=query, metadata_only=True):
        carried = pod["metadata"]["labels"]
        ours = tuple((each, carried[each]) for each in configurations.LABELS if each in carried)
        if key == contract.LABEL or contract.LABEL not in carried:  # else it was seen before
            yield pod["metadata"]["namespace"], ours


async def _honours_operator(api: Api) -> bool:
    """Tell whether the installation treats the Go operator's label as ours."""
    kind = configurations.MUTATING
    configuration = await found(api, configurations.path(kind)) or {}
    name = configurations.entry_name(kind, contract.OPERATOR_LABEL)
    return any(entry["name"] == name for entry in configuration.get("webhooks", ()))


async def _policies(api: Api) -> list[Policy]:
    """Return all policies, broken where a root that they name cannot be used."""
    roots = await cluster_rules.known_roots(api)
    shared = {"apiVersion": contract.API_VERSION, "kind": contract.KIND}
    items = [shared | item for item in await installed(api, POLICIES)]
    return [trust_roots.resolved(policy, roots) for policy in _read(items)]


def _read(items: list[Object]) -> Iterator[Policy]:
    for item in items:
        try:
            yield read(item, source="as the API server has it")
        except PolicyError:
            continue  # without a name; the API server keeps no such object


async def _namespaces(api: Api) -> list[NamespaceOptions]:
    items = await all_of(api, NAMESPACES, metadata_only=True)
    return [namespace_options(item, source="the API server's list") for item in items]


def _key(policy: Policy) -> tuple[str | None, str]:
    """Return a policy's namespace and name."""
    named = policy if isinstance(policy, BrokenPolicy) else policy.metadata
    return named.namespace, named.name
