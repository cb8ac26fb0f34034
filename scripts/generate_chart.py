"""Write manifests/chart/templates, the Helm chart's templates, from the kustomizations.

The kustomizations are the one source: this builds them by kubectl, and puts a value of the chart in
the place of what people set. tests/e2e/api_server/helm compares both, object by object.

    python scripts/generate_chart.py [--kubectl PATH]
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import subprocess
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
WEBHOOK: Final = ROOT / "manifests" / "webhook"
TEMPLATES: Final = ROOT / "manifests" / "chart" / "templates"
HEAD: Final = "# Generated from manifests/webhook by scripts/generate_chart.py; do not edit.\n"

Document = dict[str, Any]

FILES: Final = {
    "Namespace": "namespace",
    "CustomResourceDefinition": "crd",
    "ValidatingAdmissionPolicy": "admission-policies",
    "ValidatingAdmissionPolicyBinding": "admission-policies",
    "MutatingWebhookConfiguration": "configurations",
    "ValidatingWebhookConfiguration": "configurations",
    "NetworkPolicy": "network-policies",
    "ServiceAccount": "rbac",
    "Role": "rbac",
    "RoleBinding": "rbac",
    "ClusterRole": "rbac",
    "ClusterRoleBinding": "rbac",
}
"""Template of each kind; the other kinds are workloads."""

HOOKS: Final = {"Namespace": "-3", "Job": "0"}
"""Order of the doctor's objects; the rest is in between."""

IMAGES: Final = re.compile(r"model-validation/(webhook|validator):[\w.]+")
BY_OPENSHIFT: Final = ("runAsUser", "runAsGroup", "fsGroup")
OPERATOR: Final = ".Values.operatorCompat.enabled"
MARK: Final = "@@{}@@"


def templates(kubectl: str) -> dict[str, str]:
    """Return the text of each template, by its file's name."""
    default = _by_identity(_built(kubectl, WEBHOOK / "overlays" / "default"))
    cert_manager = _by_identity(_built(kubectl, WEBHOOK / "overlays" / "cert-manager"))
    operator = _by_identity(_built(kubectl, WEBHOOK / "overlays" / "operator-compat"))
    parts: dict[str, list[str]] = {}
    for identity, document in default.items():
        name = FILES.get(document["kind"], "workloads") if identity in cert_manager else "certs"
        text = _either(_template(operator[identity]), _template(document))
        parts.setdefault(name, []).append(text)
    of_cert_manager = [_template(each) for key, each in cert_manager.items() if key not in default]
    of_operator = [_template(each) for key, each in operator.items() if key not in default]

    def added(*components: str) -> list[str]:
        """Return the templates of what a component adds to the default overlay and to others."""
        before = _by_identity(_on_default(kubectl, *components[:-1]))
        built = _by_identity(_on_default(kubectl, *components))
        return [_template(each) for key, each in built.items() if key not in before]

    doctor = yaml.safe_load_all((ROOT / "manifests" / "examples" / "doctor.yaml").read_text())
    whole = {
        "certs": _when("not .Values.certManager.enabled", parts.pop("certs")),
        "cert-manager": _when(".Values.certManager.enabled", of_cert_manager),
        "operator-compat": _when(OPERATOR, of_operator),
        "service-monitor": _when(".Values.metrics.serviceMonitor", added("service-monitor")),
        "observe": _when(".Values.observe.enabled", added("observe")),
        "reports": _when(
            "and .Values.observe.enabled .Values.observe.reports", added("observe", "reports")
        ),
        "doctor": "---\n".join(_template(_hook(each)) for each in doctor),
        **{name: "---\n".join(texts) for name, texts in parts.items()},
    }
    return {f"{name}.yaml": HEAD + text for name, text in sorted(whole.items())}


def _built(kubectl: str, folder: Path) -> list[Document]:
    ran = subprocess.run(  # noqa: S603 — the user's kubectl
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True
    )
    return list(yaml.load_all(ran.stdout, yaml.CSafeLoader))


def _on_default(kubectl: str, *components: str) -> list[Document]:
    """Return the default overlay's objects with components on top."""
    with tempfile.TemporaryDirectory() as folder:
        kustomization = {
            "resources": [os.path.relpath(WEBHOOK / "overlays" / "default", folder)],
            "components": [os.path.relpath(WEBHOOK / "components" / c, folder) for c in components],
        }
        (Path(folder) / "kustomization.yaml").write_text(json.dumps(kustomization))
        return _built(kubectl, Path(folder))


def _by_identity(documents: list[Document]) -> dict[tuple[str, str], Document]:
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def _when(condition: str, texts: list[str]) -> str:
    """Return templates that are rendered under a condition."""
    return f"{{{{- if {condition} }}}}\n" + "---\n".join(texts) + "{{- end }}\n"


def _either(for_operator: str, otherwise: str) -> str:
    """Return a template of which the Go operator's label may change lines."""
    plain, other = otherwise.splitlines(), for_operator.splitlines()
    lines: list[str] = []
    changes = difflib.SequenceMatcher(None, plain, other, autojunk=False).get_opcodes()
    for change, start, end, other_start, other_end in changes:
        if change == "equal":
            lines += plain[start:end]
            continue
        lines += [f"{{{{- if {OPERATOR} }}}}", *other[other_start:other_end]]
        if plain[start:end]:
            lines += ["{{- else }}", *plain[start:end]]
        lines += ["{{- end }}"]
    return "\n".join(lines) + "\n"


def _hook(document: Document) -> Document:
    """Return one of the doctor's objects as a part of `helm test`."""
    hook = deepcopy(document)
    hook["metadata"]["annotations"] = {
        "helm.sh/hook": "test",
        "helm.sh/hook-weight": HOOKS.get(document["kind"], "-1"),
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
    }
    if document["kind"] == "Job":
        printed = {"helm.sh/hook-output-log-policy": "hook-succeeded,hook-failed"}
        hook["metadata"]["annotations"] |= printed
    return hook


def _template(document: Document) -> str:
    """Return a document's text, with the chart's values in it."""
    marked = deepcopy(document)
    name = marked["metadata"]["name"].removeprefix("model-validation-")
    if "webhooks" in marked:
        marked["metadata"][MARK.format("cert-manager")] = None
    if marked["kind"] == "Namespace" and "annotations" in marked["metadata"]:
        marked["metadata"]["annotations"][MARK.format("previous")] = None
    if marked["kind"] == "ServiceMonitor":
        marked["metadata"]["labels"][MARK.format("labels")] = None
    if (marked["kind"], name) == ("ClusterRole", "edit"):
        marked["metadata"]["labels"][MARK.format("policy-authors")] = None
    if marked["kind"] in {"Deployment", "Job"}:
        if name == "webhook":
            marked["spec"]["replicas"] = MARK.format("replicas")
        template = marked["spec"]["template"]
        pod = template["spec"]
        if "metadata" in template:
            template["metadata"][MARK.format("annotations")] = None
        else:
            template[MARK.format("metadata")] = None
        if name == "observe":
            pod["containers"][0]["args"] += [MARK.format("previous-argument")]
            pod["containers"][0]["args"] += [MARK.format("reports-argument")]
        _mark_pod(pod)
    text = yaml.dump(marked, Dumper=_Readable, sort_keys=False, width=96, allow_unicode=True)
    if "{{" in text:
        raise ValueError(f"{document['kind']} {name} has a text that Helm would take for its own")
    return _filled(text, component=name)


def _mark_pod(pod: Document) -> None:
    pod[MARK.format("pull")] = None
    pod[MARK.format("tolerations")] = None
    pod["nodeSelector"][MARK.format("node-selector")] = None
    for context in (pod["securityContext"], *(c["securityContext"] for c in pod["containers"])):
        for field in BY_OPENSHIFT:
            if field in context:
                context[field] = f"{MARK.format('user')}{context[field]}"
    for container in pod["containers"]:
        container["resources"] = {MARK.format("resources"): container["resources"]}


def _filled(text: str, *, component: str) -> str:
    """Return the text with each mark replaced by what Helm reads."""
    text = IMAGES.sub(r'{{ include "model-validation.\1" . }}', text)
    text = text.replace(MARK.format("replicas"), "{{ .Values.replicas }}").replace(
        "'{{ .Values.replicas }}'", "{{ .Values.replicas }}"
    )
    lines: list[str] = []
    source = iter(text.splitlines())
    for line in source:
        indent = line[: len(line) - len(line.lstrip())]
        if MARK.format("user") in line:
            plain = line.replace(MARK.format("user"), "").replace("'", "")
            lines += [f"{indent}{{{{- if not .Values.openshift.enabled }}}}", plain]
            lines += [f"{indent}{{{{- end }}}}"]
        elif MARK.format("resources") in line:
            lines += _resources(source, indent, component=component)
        elif "@@" in line:
            lines += [f"{indent}{each}" for each in _block(line, len(indent))]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _resources(source: Any, indent: str, *, component: str) -> list[str]:
    """Return a container's resources: the user's, or else the manifests'."""
    inner = f"{indent}  "
    shipped: list[str] = []
    rest: list[str] = []
    for line in source:
        if not line.startswith(inner):
            rest.append(line)
            break
        shipped.append(line[2:])
    return [
        f"{indent}{{{{- with .Values.resources.{component} }}}}",
        f"{indent}{{{{- toYaml . | nindent {len(indent)} }}}}",
        f"{indent}{{{{- else }}}}",
        *shipped,
        f"{indent}{{{{- end }}}}",
        *rest,
    ]


def _block(line: str, indent: int) -> list[str]:
    """Return the lines that stand for a mark which is a key, so many spaces from the left."""
    found = re.search(r"@@([\w-]+)@@", line)
    name = found[1] if found else ""
    return {
        "pull": [
            "{{- with .Values.imagePullSecrets }}",
            "imagePullSecrets:",
            "  {{- range . }}",
            "  - name: {{ . | quote }}",
            "  {{- end }}",
            "{{- end }}",
        ],
        "tolerations": [
            "{{- with .Values.tolerations }}",
            "tolerations:",
            *_given(indent + 2),
        ],
        "node-selector": ["{{- with .Values.nodeSelector }}", *_given(indent)],
        "annotations": [
            "{{- with .Values.podAnnotations }}",
            "annotations:",
            *_given(indent + 2),
        ],
        "metadata": [
            "{{- with .Values.podAnnotations }}",
            "metadata:",
            "  annotations:",
            *_given(indent + 4),
        ],
        "cert-manager": [
            "{{- if .Values.certManager.enabled }}",
            "annotations:",
            "  cert-manager.io/inject-ca-from: model-validation/model-validation-webhook",
            "{{- end }}",
        ],
        "previous": [
            "{{- with .Values.previousGateImage }}",
            "validation.rhtas.redhat.com/previous-gate-image: {{ . | quote }}",
            "{{- end }}",
        ],
        "previous-argument": [
            "{{- with .Values.previousGateImage }}",
            '- {{ printf "--gate-image=%s" . | quote }}',
            "{{- end }}",
        ],
        "reports-argument": [
            "{{- if .Values.observe.reports }}",
            "- --reports",
            "{{- end }}",
        ],
        "policy-authors": [
            "{{- with .Values.policyAuthors }}",
            'rbac.authorization.k8s.io/aggregate-to-{{ . }}: "true"',
            "{{- end }}",
        ],
        "labels": [
            "{{- range $name, $value := .Values.metrics.labels }}",
            "{{ $name }}: {{ $value | quote }}",
            "{{- end }}",
        ],
    }[name]


def _given(indent: int) -> list[str]:
    """Return the lines for a value as it was given, so many spaces from the left, and the end."""
    return [f"{{{{- toYaml . | nindent {indent} }}}}", "{{- end }}"]


class _Readable(yaml.SafeDumper):
    """Writes long texts as blocks, and lists below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 — the library's
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Readable.add_representer(str, _text)


def main() -> None:
    """Write the templates."""
    parser = argparse.ArgumentParser(description="Write the Helm chart's templates.")
    parser.add_argument("--kubectl", default="kubectl", help="the program (default: from PATH)")
    for name, text in templates(parser.parse_args().kubectl).items():
        (TEMPLATES / name).write_text(text)


if __name__ == "__main__":
    main()
