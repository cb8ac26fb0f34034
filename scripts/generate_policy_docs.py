"""Write docs/policy.md's table of fields from the CustomResourceDefinition's schema.

`python scripts/generate_policy_docs.py` prints the page; `make generate` writes it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from validator.policy import crd

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
Keys, authorities and roots of trust are best written into the policy itself (`publicKey`, `certificateAuthorities`, `trust.trustedRoot`), or into a [TrustRoot](#trustroot) that several policies name (`trustRootRef`). A path is accepted if it is in a volume that the policy itself declares by its source, and not within a model. `allowPodTrustAnchors: true` accepts a path in a volume of the pod; then the pod's author chooses whom to trust.
"""


OTHERS: Final = {
    "trustroots": """
## TrustRoot
Group and version are the same; of the whole cluster. It holds a root of trust that policies name by `trustRootRef: {name: NAME}` in the place of the text, so that it is renewed in one place ([decision 0055](decisions/0055-a-root-of-trust-is-an-object.md)). The webhook writes the text into the policy that a gate gets; in a file, the TrustRoots stand beside the policy, after a line `---`. A root that is missing, being deleted or of another kind than is needed refuses the pod. The gate's report says which state of it was used (`trustRoots: ["NAME/GENERATION"]`).

```yaml
apiVersion: rhtas.redhat.com/v1alpha1
kind: TrustRoot
metadata: {name: corp}
spec:
  certificateAuthorities: |
    -----BEGIN CERTIFICATE-----
    ...
---
apiVersion: rhtas.redhat.com/v1alpha1
kind: ModelValidation
metadata: {name: granite, namespace: llm}
spec:
  model: {path: /models/granite}
  config:
    pkiConfig:
      trustRootRef: {name: corp}
      certificateIdentity: ci@models.corp
```

""",
    "modelvalidationexemptions": """
## ModelValidationExemption
Group and version are the same; of the whole cluster, so that a namespace's users cannot make one. Until it ends, pods of the workload that it names are treated as under `mode: Audit`: their models are verified and reported, and nothing is stopped ([decision 0056](decisions/0056-an-exempt-pod-keeps-its-gate.md), [threat model](threat-model.md#what-is-not-protected)).

```yaml
apiVersion: rhtas.redhat.com/v1alpha1
kind: ModelValidationExemption
metadata: {name: incident-4711}
spec:
  namespace: llm
  workload: {kind: Deployment, name: triton}
  images: [registry.example.com/triton@sha256:...]
  expires: "2027-01-31T00:00:00Z"
  requestedBy: jane@models.corp
  reason: the signer is down
```

""",
}
"""What comes before the fields of each other kind, by its plural."""

TABLE: Final = "| field | type | meaning |\n|---|---|---|\n"


def page() -> str:
    """Return the whole page, Markdown."""
    schema = _schema("modelvalidations")
    rules = [f"| {place} | {message} |" for place, message in _rules(schema, "")]
    parts = [HEAD, _table(schema), RULES, "\n".join(rules), "\n", TAIL]
    for plural, text in OTHERS.items():
        parts += [text, TABLE, _table(_schema(plural))]
    return "".join(parts)


def _schema(plural: str) -> dict[str, Any]:
    versions = crd.DEFINITIONS[plural]()["spec"]["versions"]
    schema: dict[str, Any] = versions[0]["schema"]["openAPIV3Schema"]
    return schema


def _table(schema: dict[str, Any]) -> str:
    fields = _fields(schema["properties"]["spec"], "")
    return "".join(f"| `{name}` | {kind} | {text} |\n" for name, kind, text in fields)


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
