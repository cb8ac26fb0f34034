"""The CustomResourceDefinitions, generated from the types in `validator.policy`.

`python -m validator.policy.crd PLURAL` prints one; CI compares it with the committed one. What
a structural schema does not take (references, null, closed objects) is written
in the way that it does, and the rules become CEL.
"""

from __future__ import annotations

import inspect
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec

from validator import contract
from validator.policy import exemption, trust_root
from validator.policy.cluster_rules.rule import ClusterModelValidation
from validator.policy.document import ModelValidation
from validator.policy.exemption import ModelValidationExemption
from validator.policy.schema.fields import Document
from validator.policy.status import ExemptionStatus, RuleStatus, Status
from validator.policy.trust_root import TrustRoot

if TYPE_CHECKING:
    from collections.abc import Iterator

_DROPPED: Final = frozenset({"title", "propertyNames"})

# Columns of `kubectl get` show the first value that a path finds; one that is a list, whole.
_IDENTITIES: Final = ",".join(
    f"'{path}'"
    for path in (
        "sigstoreConfig.certificateIdentity",
        "sigstoreConfig.certificateIdentityRegexp",
        "sigstoreConfig.githubWorkflow.repository",
        "privateKeyConfig.keyPath",
        "publicKeyConfig.keyPath",
        "pkiConfig.certificateAuthority",
    )
)
_ISSUERS: Final = (
    "'sigstoreConfig.certificateOidcIssuer','sigstoreConfig.certificateOidcIssuerRegexp'"
)


def definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition of policies as JSON-ready values."""
    return _definition(
        ModelValidation,
        Status,
        names={
            "kind": contract.KIND,
            "plural": contract.PLURAL,
            "shortNames": ["mv"],
        },
        scope="Namespaced",
        columns=[
            _column("Mode", ".spec.mode"),
            _column("Model", ".spec['model','models']..path"),
            _column("Identity", f".spec.config[{_IDENTITIES}]"),
            _column("Verified", ".status.pods.verified", kind="integer"),
            _column("Refused", ".status.pods.refused", kind="integer"),
            _column("Models", ".spec.models", priority=1),
            _column("Issuer", f".spec.config[{_ISSUERS}]", priority=1),
            _column("Digests", ".spec.model.digests", priority=1),
            _column("Default", ".spec.default", kind="boolean", priority=1),
            _column("Waiting", ".status.pods.waiting", kind="integer", priority=1),
            _column("Unready", ".status.pods.unready", kind="integer", priority=1),
            _column("Unproven", ".status.pods.unproven", kind="integer", priority=1),
        ],
    )


def cluster_rule_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition of the cluster's rules as JSON-ready values."""
    return _definition(
        ClusterModelValidation,
        RuleStatus,
        names={
            "kind": contract.CLUSTER_KIND,
            "plural": contract.CLUSTER_PLURAL,
            "shortNames": ["cmv"],
        },
        scope="Cluster",
        columns=[
            _column("Mode", ".spec.mode"),
            _column("Arguments", ".spec.workload.arguments"),
            _column("Identity", f".spec.config[{_IDENTITIES}]"),
            _column("Default", ".spec.default", kind="boolean"),
            _column("Labels", ".spec.namespaceSelector.matchLabels"),
            _column("Accepted", _condition("Accepted")),
            _column("Namespaces", ".status.namespaces", kind="integer"),
            _column("Expressions", ".spec.namespaceSelector.matchExpressions", priority=1),
            _column("Issuer", f".spec.config[{_ISSUERS}]", priority=1),
            _column("Digests", ".spec.digests", priority=1),
        ],
    )


def trust_root_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition of roots of trust as JSON-ready values."""
    return _definition(
        TrustRoot,
        None,
        names={"kind": trust_root.KIND, "plural": trust_root.PLURAL},
        scope="Cluster",
        columns=[_column("Generation", ".metadata.generation", kind="integer")],
    )


def exemption_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition of exemptions as JSON-ready values."""
    return _definition(
        ModelValidationExemption,
        ExemptionStatus,
        names={"kind": exemption.KIND, "plural": exemption.PLURAL},
        scope="Cluster",
        columns=[
            _column("Namespace", ".spec.namespace"),
            _column("Kind", ".spec.workload.kind"),
            _column("Workload", ".spec.workload.name"),
            _column("Expires", ".spec.expires"),
            _column("In force", _condition("InForce")),
            _column("Until", ".status.until", priority=1),
            _column("Requested by", ".spec.requestedBy"),
            _column("Reason", ".spec.reason", priority=1),
        ],
    )


DEFINITIONS: Final = {
    contract.PLURAL: definition,
    contract.CLUSTER_PLURAL: cluster_rule_definition,
    trust_root.PLURAL: trust_root_definition,
    exemption.PLURAL: exemption_definition,
}
"""The definition of each kind, by its plural."""


def _definition(
    form: type[Document],
    status: type[Document] | None,
    *,
    names: dict[str, Any],
    scope: str,
    columns: list[dict[str, Any]],
) -> dict[str, Any]:
    kind, plural = names["kind"], names["plural"]
    short = {"shortNames": names["shortNames"]} if "shortNames" in names else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{contract.GROUP}"},
        "spec": {
            "group": contract.GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                **short,
            },
            "scope": scope,
            "versions": [
                {
                    "name": contract.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _schema(form, status)},
                    # Whoever may write the object cannot write what became of it.
                    **({"subresources": {"status": {}}} if status else {}),
                    "additionalPrinterColumns": [
                        *columns,
                        _column("Age", ".metadata.creationTimestamp", kind="date"),
                    ],
                }
            ],
        },
    }


def _condition(kind: str) -> str:
    """Return the path of a condition's status."""
    return f".status.conditions[?(@.type=='{kind}')].status"


def _column(name: str, path: str, *, kind: str = "string", priority: int = 0) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    return column | ({"priority": priority} if priority else {})


def _schema(form: type[Document], status: type[Document] | None) -> dict[str, Any]:
    kinds = [form, *([status] if status else [])]
    (root, *others), components = msgspec.json.schema_components(kinds, ref_template="{name}")
    schema: dict[str, Any] = _structural(root, components)
    properties = schema["properties"]
    # The server owns these; it takes no schema for metadata but on its name.
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    properties["metadata"] = {"type": "object"}
    # The webhook writes it for the gate, and reads it from nobody.
    properties.pop("resolved", None)
    for each in others:
        properties["status"] = _structural(each, components)
    schema["required"] = ["spec"]
    return schema


def _structural(node: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """Return a schema node without references, nulls and what Kubernetes refuses."""
    node = _resolved(node, components)
    if node.get("additionalProperties") is False:
        del node["additionalProperties"]
    for key in ("items", "additionalProperties"):
        if key in node:
            node[key] = _structural(node[key], components)
    if "additionalProperties" in node:
        node["maxProperties"] = node.pop("maxProperties", 32)
    if "properties" in node:
        node["properties"] = {
            name: _structural(value, components) for name, value in node["properties"].items()
        }
    if "enum" in node:
        node.setdefault("type", "string")
    if not node.get("required"):
        # The server stores no empty list: the definition would differ each time it is applied.
        node.pop("required", None)
    if node.get("type") == "integer":
        node["format"] = "int64"
    if "pattern" in node:
        # Go has no \Z, and its $ is the text's end, as \Z is Python's.
        node["pattern"] = re.sub(r"\\Z$", "$", node["pattern"])
    return {key: value for key, value in node.items() if key not in _DROPPED}


def _resolved(node: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """Return a node with its reference inlined and its "or null" left out, recursively."""
    node = _without_empty_default(node)
    if choices := node.pop("anyOf", None):
        (choice,) = [item for item in choices if item != {"type": "null"}]
        return _resolved({**node, **choice}, components)
    if reference := node.pop("$ref", None):
        return _resolved(components[reference] | _rules(reference) | node, components)
    return node


def _without_empty_default(node: dict[str, Any]) -> dict[str, Any]:
    """Keep defaults that say something to a reader of `kubectl explain`."""
    if isinstance(node.get("default"), bool | str):
        return node
    return {key: value for key, value in node.items() if key != "default"}


def _rules(name: str) -> dict[str, Any]:
    kind = next(kind for kind in _subclasses(Document) if kind.__name__ == name)
    rules = [{"rule": rule.cel, "message": rule.message} for rule in kind.rules]
    description = {"description": inspect.getdoc(kind)}
    return description | ({"x-kubernetes-validations": rules} if rules else {})


def _subclasses(kind: type[Document]) -> Iterator[type[Document]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


def main() -> None:
    """Print the definition of the kind that is named, by its plural, as YAML."""
    import yaml  # noqa: PLC0415 — the schema itself needs none

    made = DEFINITIONS[sys.argv[1]]()
    sys.stdout.write("# Generated from validator/policy by `make generate`; do not edit.\n")
    yaml.safe_dump(made, sys.stdout, sort_keys=False, width=100)


if __name__ == "__main__":
    main()
