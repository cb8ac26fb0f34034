"""The webhook configurations: ours, whom they trust, and those of others that are asked later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.text import quoted
from webhook.doctor.finding import error, warning
from webhook.doctor.objects import (
    ADMISSION,
    APPLY_AGAIN,
    CONFIGURATION,
    NAMESPACE,
    SERVICE,
    all_of,
    found,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from webhook.doctor.finding import Finding
    from webhook.doctor.objects import Api, Object

MUTATING, VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
PLURALS: Final = {kind: f"{kind.lower()}s" for kind in (MUTATING, VALIDATING)}
VERBS: Final = {MUTATING: "mutate", VALIDATING: "validate"}

FORMER_NAME: Final = "model-validation"
"""The name of both configurations before decision 0018."""

LABELS: Final = (contract.LABEL, contract.OPERATOR_LABEL)
CREATED_PODS: Final = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["pods"],
    "operations": ["CREATE"],
    "scope": "Namespaced",
}
DEBUGGED_PODS: Final = CREATED_PODS | {
    "resources": ["pods/ephemeralcontainers"],
    "operations": ["UPDATE"],
}


def path(kind: str, name: str = CONFIGURATION) -> str:
    """Return where a configuration is."""
    return f"{ADMISSION}/{PLURALS[kind]}/{name}"


def entry_name(kind: str, label: str) -> str:
    """Return the name of the entry for the pods with a label."""
    return f"{VERBS[kind]}.{label.partition('/')[0]}"


def expected(kind: str, label: str) -> Object:
    """Return an entry as the manifests have it; tests compare the two."""
    common: Object = {
        "name": entry_name(kind, label),
        "admissionReviewVersions": ["v1"],
        "rules": [CREATED_PODS] if kind == MUTATING else [CREATED_PODS, DEBUGGED_PODS],
        "objectSelector": {"matchExpressions": [{"key": label, "operator": "Exists"}]},
        "namespaceSelector": {
            "matchExpressions": [
                {
                    "key": "kubernetes.io/metadata.name",
                    "operator": "NotIn",
                    "values": ["kube-system", NAMESPACE],
                }
            ]
        },
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": 5,
    }
    return common | ({"reinvocationPolicy": "IfNeeded"} if kind == MUTATING else {})


async def ours(api: Api) -> AsyncGenerator[Finding]:
    """Find configurations of ours that are missing or changed."""
    for kind in PLURALS:
        subject = f"{kind} {CONFIGURATION}"
        configuration = await found(api, path(kind))
        if configuration is None:
            yield error(
                "configuration-missing",
                subject,
                f"it is not there, so that the webhook is not asked: {APPLY_AGAIN}",
            )
            continue
        entries = {each["name"]: each for each in configuration.get("webhooks", ())}
        for label in LABELS:
            entry = entries.get(entry_name(kind, label))
            if entry is not None:
                for finding in _changed(entry, kind=kind, label=label):
                    yield finding
            elif label == contract.LABEL:
                yield error(
                    "configuration-differs",
                    subject,
                    f"it has no entry {entry_name(kind, label)}, so that pods with the label "
                    f"{label} are not sent: {APPLY_AGAIN}",
                )


def _changed(entry: Object, *, kind: str, label: str) -> Iterator[Finding]:
    """Yield the fields of an entry in which somebody weakened it or broke it."""
    subject = f"{kind} {CONFIGURATION}"
    wanted = expected(kind, label)
    service = {"name": SERVICE, "namespace": NAMESPACE, "path": f"/{VERBS[kind]}", "port": 443}
    client: dict[str, Any] = entry.get("clientConfig", {})
    checked = {field: (entry.get(field), value) for field, value in wanted.items()}
    checked["matchConditions"] = (entry.get("matchConditions"), None)
    checked["clientConfig.service"] = ({"port": 443} | client.get("service", {}), service)
    for field, (value, wants) in checked.items():
        if value != wants:
            yield error(
                "configuration-differs",
                subject,
                f"{field} of its entry {wanted['name']} is {quoted(value)[1:-1]} and not "
                f"{quoted(wants)[1:-1]}: {APPLY_AGAIN}",
            )


async def former(api: Api) -> AsyncGenerator[Finding]:
    """Find configurations under the name that ours had in an earlier release."""
    for kind in PLURALS:
        if await found(api, path(kind, FORMER_NAME)) is not None:
            yield warning(
                "configuration-former",
                f"{kind} {FORMER_NAME}",
                "it is an earlier release's, and asks the webhook a second time: delete it "
                "(docs/upgrading.md)",
            )


async def of_others(api: Api) -> AsyncGenerator[Finding]:
    """Find mutating webhooks that change pods after ours, and are asked again."""
    for configuration in await all_of(api, f"{ADMISSION}/{PLURALS[MUTATING]}"):
        name = name_of(configuration)
        if name <= CONFIGURATION:
            continue
        insisting = [
            quoted(entry["name"])
            for entry in configuration.get("webhooks", ())
            if entry.get("reinvocationPolicy") == "IfNeeded"
            and any(_is_of_new_pods(rule) for rule in entry.get("rules", ()))
        ]
        if insisting:
            yield warning(
                "another-webhook-is-last",
                f"{MUTATING} {quoted(name)[1:-1]}",
                f"its webhook {', '.join(insisting)} is asked after ours and again "
                "(reinvocationPolicy: IfNeeded), and labelled pods are refused where it changes "
                "the gate: give it a name that sorts before zz-model-validation, or have it leave "
                f"out pods with the label {contract.LABEL} by an objectSelector",
            )


def _is_of_new_pods(rule: Object) -> bool:
    """Tell whether a rule covers the creation of pods."""
    return (
        bool({"", "*"} & set(rule.get("apiGroups", ())))
        and bool({"pods", "*", "*/*"} & set(rule.get("resources", ())))
        and bool({"CREATE", "*"} & set(rule.get("operations", ())))
    )
