"""Write docs/policy.md's table of fields from the CustomResourceDefinition's schema.

`python scripts/generate_policy_docs.py` prints the page; `make generate` writes it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from validator.policy.crd import definition

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD: Final = """\
<!-- Generated from validator/policy by `make generate`; do not edit. -->
# ModelValidation, field by field
Group `rhtas.redhat.com`, version `v1alpha1`, short name `mv`, namespaced. The same document is a resource in the cluster, a file for `model-validator verify policy FILE`, and the environment of the gate. The API server refuses an invalid one when it is written, partly with the sentences below. A file is also refused if it has a field that is not in this table.

## Fields
| field | type | meaning |
|---|---|---|
"""

RULES: Final = """
## Rules
Besides wrong types, unknown words and paths that are not canonical, these are refused, with these sentences:

| where | sentence |
|---|---|
"""

TAIL: Final = """
## Who chooses the policy
The pod's label `validation.rhtas.redhat.com/ml` is `"true"` for the namespace's only ModelValidation (or the one with `default: true`), or a ModelValidation's name. A namespace label `validation.rhtas.redhat.com/policy: NAME`, which belongs to the cluster's admin, pins the policy whatever pods say. No policy, several without a default, one that is being deleted, `"false"` or an empty value: the pod is refused, with the candidates and the fix. Annotations of a pod are never read. Another label of the admin's, `validation.rhtas.redhat.com/host-path: "true"`, lets policies of the namespace name a `hostPath`; and `csi-driver.validation.rhtas.redhat.com/DRIVER: "true"` lets them add volumes of that CSI driver to pods.

## Trust anchors
Keys, authorities and roots of trust are best written into the policy itself (`publicKey`, `certificateAuthorities`, `trust.trustedRoot`). A path is accepted if it is in a volume that the policy itself declares by its source, and not within a model. `allowPodTrustAnchors: true` accepts a path in a volume of the pod; then the pod's author chooses whom to trust.
"""


def page() -> str:
    """Return the whole page, Markdown."""
    schema = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"]
    fields = [f"| `{name}` | {kind} | {text} |" for name, kind, text in _fields(spec, "")]
    rules = [f"| {place} | {message} |" for place, message in _rules(schema, "")]
    return HEAD + "\n".join(fields) + "\n" + RULES + "\n".join(rules) + "\n" + TAIL


def _fields(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in schema["properties"].items():
        place = f"{prefix}{name}"
        if name == "anyOf" or place == "models":
            yield place, "list of the same", _text(field)
            continue
        if (
            name in {"pkiConfig", "privateKeyConfig", "publicKeyConfig", "sigstoreConfig"}
            and "anyOf" in prefix
        ):
            continue
        needed = ", needed" if name in schema.get("required", ()) else ""
        yield place, _kind(field) + needed, _text(field)
        if "properties" in field:
            yield from _fields(field, f"{place}.")


def _kind(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"list of {field['items']['type']}, at most {field['maxItems']}"
    return "number" if field["type"] == "integer" else str(field["type"])


def _text(field: dict[str, Any]) -> str:
    text = str(field.get("description", "")).replace("\n", " ").replace("<", "&lt;")
    default = field.get("default")
    if default is None:
        return text
    shown = str(default).lower() if isinstance(default, bool) else default
    return f"{text} Default: `{shown}`."


def _rules(schema: dict[str, Any], place: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield (f"`{place}`" if place else "the document"), rule["message"]
    for name, field in schema.get("properties", {}).items():
        if name not in {"models", "anyOf"}:
            yield from _rules(field, f"{place}.{name}".lstrip("."))


if __name__ == "__main__":
    sys.stdout.write(page())
