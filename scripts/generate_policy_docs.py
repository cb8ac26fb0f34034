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
The pod's label `validation.rhtas.redhat.com/ml` is `"true"` for the namespace's only ModelValidation (or the one with `default: true`), or a ModelValidation's name. A namespace label `validation.rhtas.redhat.com/policy: NAME`, which belongs to the cluster's admin, pins the policy whatever pods say. No policy (unless a [ClusterModelValidation](#clustermodelvalidation) with `default: true` serves the namespace), several without a default, one that is being deleted, `"false"` or an empty value: the pod is refused, with the candidates and the fix. Annotations of a pod are never read. Another label of the admin's, `validation.rhtas.redhat.com/host-path: "true"`, lets policies of the namespace name a `hostPath`; and `csi-driver.validation.rhtas.redhat.com/DRIVER: "true"` lets them add volumes of that CSI driver to pods.

## Trust anchors
Keys, authorities and roots of trust are best written into the policy itself (`publicKey`, `certificateAuthorities`, `trust.trustedRoot`), or into a [TrustRoot](#trustroot) that several policies name (`trustRootRef`). A path is accepted if it is in a volume that the policy itself declares by its source, and not within a model. `allowPodTrustAnchors: true` accepts a path in a volume of the pod; then the pod's author chooses whom to trust.
"""


OTHERS: Final = {
    "clustermodelvalidations": """
## ClusterModelValidation
Group and version are the same, the short name is `cmv`, and it belongs to the whole cluster, so that a namespace's users cannot write one. It is a rule that holds in each namespace which `namespaceSelector` selects, **beside** the namespace's policy and never in its place ([decision 0051](decisions/0051-a-rule-only-takes-away.md)). Several rules may select one namespace, at most 16: all of them hold. The gate gets policy and rules as one document.

```yaml
apiVersion: rhtas.redhat.com/v1alpha1
kind: ClusterModelValidation
metadata: {name: company}
spec:
  namespaceSelector:
    matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: NotIn, values: [playground]}
  config:
    sigstoreConfig:
      certificateIdentityRegexp: https://github[.]com/my-company/.+
      certificateOidcIssuer: https://token.actions.githubusercontent.com
```

Whatever a rule says holds at once for the next pod of each namespace. `workload.arguments: Strict` refuses most ordinary pods: each policy then has to name the model's storage and `workload.images`, if no rule names images ([strict.md](strict.md)). Select one namespace first.

**Who wins**, where a policy and a rule both say something; several rules are taken one after the other:

| field | what holds |
|---|---|
| `config`, `trust` | both: the one signature of each model must be of a signer whom the policy accepts, by the policy's roots, and of one whom each rule accepts, by the rule's roots |
| `digests` | both: a pin of the model, if the policy has any, and one of each rule that has any, wherever the model lies |
| `mode` | `Enforce` over `Audit`, for the whole document: a rule in Audit is enforced where the policy is, and the other way round. To try a rule, have it select one namespace in Audit |
| `workload.arguments` | `Strict` over `Check` |
| `workload.images`, `workload.otherImages` | the images that are in each list which was given. A rule without a list says nothing; a policy under `Check` without one says nothing |
| `allowPrivileged`, `allowPodTrustAnchors` | `true` only where policy and rules all say so |
| `ignorePaths` | what lies at or below a path of each list; a rule without a list lets nothing be ignored |
| `ignoreGitPaths`, `ignoreUnsignedFiles` | `true` only where policy and rules all say so (a rule that does not mention them says `true` and `false`) |
| `trustRoots` | with a list, only TrustRoots that are in it vouch for the policy's signers, or for those of another rule that serves in a policy's place |
| `csiDrivers` | with a list, an inline CSI volume of a model is of a driver that is in it, whether policy or pod brings the volume |
| `onRestart` | `Verify`, if one says so; else what the policy says |
| `revalidation` | by field: the shorter interval, `Stop` over `Unready` over `Report`, the higher rate |
| `resources`, `securityContext`, `model`, `models` | the policy's |

**A namespace without a policy** is refused. With `default: true` and its own `model` or `models`, a rule serves pods there that are labelled `"true"`; other rules hold beside it. Of two such rules neither serves.

**What cannot be known refuses.** A rule that is broken or being deleted refuses the labelled pods of the namespaces that it selects, and of all, if its selector cannot be read. So does a namespace whose labels are not known. The refusal of a gate has the code `ClusterRule` and names the rule; its report lists the rules that held (`clusterRules: ["NAME/GENERATION"]`), and so does the API server's audit log (`cluster-rules`). A refusal by what a rule settles says who can change it: the policy's author, the cluster's admin in the rule that it names, or both. With `components/observe`, a policy's status names the rules that narrow it, and a rule has a status of its own ([verdicts.md](verdicts.md#rules-and-exemptions)).

**In files**, rules stand beside the policy (`model-validator verify policy FILE [FILE...]`, `python -m webhook mutate`), together with the Namespace, by whose labels they select it.

The check inside vLLM ([vllm.md](vllm.md)) reads the policy that it is given, and knows no rules but those in the same file: the gate keeps to them.

""",
    "trustroots": """
## TrustRoot
Group and version are the same, and it belongs to the whole cluster. It holds a root of trust that policies name by `trustRootRef: {name: NAME}` in the place of the text, so that it is renewed in one place ([decision 0055](decisions/0055-a-root-of-trust-is-an-object.md)). The webhook writes the text into the policy that a gate gets; in a file, the TrustRoots stand beside the policy, after a line `---`. A root that is missing, being deleted or of another kind than is needed refuses the pod; so does a root whose text makes the policy too long for a gate's environment. The gate's report says which states were used, also of roots that rules name (`trustRoots: ["NAME/GENERATION"]`).

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
Group and version are the same, and it belongs to the whole cluster, so that a namespace's users cannot make one. Until it ends, pods of the workload that it names are treated as under `mode: Audit`: their models are verified and reported, and nothing is stopped ([decision 0056](decisions/0056-an-exempt-pod-keeps-its-gate.md), [threat model](threat-model.md#what-is-not-protected)). `python -m webhook mutate` reads it beside the policies; `model-validator verify policy` does not accept it in its files, since it verifies a model and admits no pod.

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
