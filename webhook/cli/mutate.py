"""`python -m webhook mutate`: what the webhook would do to a manifest, without a cluster."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from validator import contract
from validator.errors import PolicyError
from validator.policy import yaml_documents
from validator.policy.cluster_rules.resolved import ResolvedPolicy
from validator.text import quoted
from validator.vllm.options import TABLE
from webhook.admission import json_patch, mutation
from webhook.admission.pod import Manifest
from webhook.cli import manifests, templates, untemplated
from webhook.cli.options import add_gate, add_labels, gate_settings
from webhook.errors import PodRefused
from webhook.policies import exempted, resolution
from webhook.settings import NamespaceOptions
from webhook.sources.directory import load_directory
from webhook.sources.documents import KINDS as DECIDING
from webhook.sources.documents import Documents, stored

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from validator.arguments import ArgumentParser
    from validator.policy.document import ModelValidation
    from webhook.cli.templates import Document, Template
    from webhook.settings import GateSettings, Version
    from webhook.sources.store import Store

ADMITTED: Final = 0
REFUSED: Final = 1

GATE_IMAGE: Final = "model-validation/validator"
"""Stands for the image that the installed webhook was given."""

DIFF_COLUMNS: Final = 160
"""Characters of a line of the diff; the policy in the gate's environment is some thousand."""

KINDS_SHOWN: Final = 10
"""Kinds without a pod template that a sentence names."""

LIKENESS: Final = 0.85
"""From which on a label's key is taken for ours, misspelt (difflib's ratio)."""

_COLOURS: Final = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}
_PLAIN: Final = "\x1b[0m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result for one manifest.

    Attributes:
        before: The manifest.
        after: The manifest as it would be, `None` where its pod is refused.
        notes: Sentences for the person who wrote it.
        skipped: Whether it has no pod template.
    """

    before: Document
    after: Document | None
    notes: list[str] = field(default_factory=list)
    skipped: bool = False


def add_options(parser: ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Show what the webhook would do to the pods in manifests: Pods, and all "
        "kinds with a pod template. Offline: what the API server and controllers would fill in is "
        "not there. Exit code 0: the pods would be admitted; 1: one would be refused; 2: usage, "
        "or no pod in the manifests."
    )
    parser.add_argument("manifest", metavar="POD.yaml", help="YAML or JSON; - for standard input")
    parser.add_argument(
        "--policies",
        metavar="DIR",
        type=Path,
        help="directory of YAML files: "
        + ", ".join(f"{kind}s" for _, kind in sorted(DECIDING) if kind != "Namespace")
        + ", and Namespaces whose labels matter (default: those among the "
        "manifests, which count in any case)",
    )
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        help="of the pods (default: what the manifest says, or default)",
    )
    parser.add_argument(
        "--output",
        choices=("diff", "yaml", "json", "patch"),
        default="diff",
        help="what to print (default: %(default)s)",
    )
    parser.add_argument(
        "--kubernetes",
        metavar="VERSION",
        type=_version,
        help="of the API server, such as 1.36 (default: not known, and what needs a certain one "
        "is left out)",
    )
    add_labels(parser)
    add_gate(parser, image=GATE_IMAGE)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what would change; return 0 if all would be admitted, 1 if not.

    Raises:
        PolicyError: The manifest cannot be read as such.
        SetupError: The directory or the manifest cannot be read.
    """
    documents = manifests.read(options.manifest)
    deciding = load_directory(options.policies) if options.policies else Documents()
    for document in documents:
        if _is_policy(document):
            deciding.add(document, source=options.manifest)
    known = stored(deciding)
    gate = replace(gate_settings(options), server=options.kubernetes)
    outcomes = [
        _outcome(document, options=options, known=known, gate=gate) for document in documents
    ]
    for outcome in outcomes:
        for note in outcome.notes:
            print(f"{templates.name_of(outcome.before)}: {note}", file=sys.stderr)
    _refuse_nothing(outcomes, source=options.manifest)
    if skipped := _skipped(outcomes):
        print(f"skipped, without a pod template: {skipped}", file=sys.stderr)
    admitted = all(outcome.after is not None for outcome in outcomes)
    # Part of the manifests could be taken for all of them.
    if admitted or options.output == "diff":
        sys.stdout.writelines(_shown(outcomes, form=options.output))
    return ADMITTED if admitted else REFUSED


def _version(text: str) -> Version:
    """Read a version of Kubernetes, as people and providers write it.

    Raises:
        ValueError: It is not a version; argparse reports it.
    """
    major, minor = text.removeprefix("v").split(".")[:2]
    return int(major), int(minor)


_version.__name__ = "version of Kubernetes"  # argparse names the type in its message


def _is_policy(document: Document) -> bool:
    """Tell whether a manifest is a policy, or what counts for one, such as a namespace's labels."""
    return (document.get("apiVersion"), document["kind"]) in DECIDING


def _refuse_nothing(outcomes: list[Outcome], *, source: str) -> None:
    """Refuse input in which there is nothing to judge.

    Raises:
        PolicyError: It has no pod template.
    """
    if all(outcome.skipped for outcome in outcomes):
        found = f"only {_skipped(outcomes)}" if outcomes else "nothing at all"
        raise PolicyError(f"{source}: no manifest with a pod or a pod template; there is {found}")


def _skipped(outcomes: list[Outcome]) -> str:
    """Return the kinds without a pod template, each with its number, for a sentence."""
    kinds = Counter(
        quoted(outcome.before["kind"])[1:-1]
        for outcome in outcomes
        if outcome.skipped and not _is_policy(outcome.before)
    )
    shown = [f"{number} {kind}" for kind, number in sorted(kinds.items())]
    more = [f"{len(shown) - KINDS_SHOWN} other kinds"] if len(shown) > KINDS_SHOWN else []
    return ", ".join(shown[:KINDS_SHOWN] + more)


def _outcome(
    document: Document, *, options: argparse.Namespace, known: Store, gate: GateSettings
) -> Outcome:
    made = untemplated.made_by_kserve(document)
    found = [] if made else templates.templates(document, source=options.manifest)
    after: Document | None = document
    notes: list[str] = []
    for template in found:
        pod, said = _mutated(template, document, options=options, known=known, gate=gate)
        where = f"{template.shown}: " if len(found) > 1 else ""
        notes += [f"{where}{sentence}" for sentence in said]
        if pod is None or after is None:
            after = None
        elif pod is not template.pod:
            after = template.put(pod, after)
    if not found:
        notes += untemplated.sentences(document)
    return Outcome(before=document, after=after, notes=notes, skipped=not found)


def _mutated(
    template: Template,
    document: Document,
    *,
    options: argparse.Namespace,
    known: Store,
    gate: GateSettings,
) -> tuple[Document | None, list[str]]:
    """Return the pod as it would be, `None` where it is refused, and sentences about it."""
    keys = [contract.LABEL, *([contract.OPERATOR_LABEL] if options.operator_compat else [])]
    if not set(keys) & set(templates.labels(template.pod)):
        return template.pod, [_unlabelled(template, document)]
    name = options.namespace or templates.namespace_of(document) or "default"
    namespace = known.namespace(name) or NamespaceOptions(name=name, labels_known=False)
    try:
        chosen = resolution.chosen(
            templates.labels(template.pod),
            namespace=namespace,
            policies=known.policies(name),
            operator_compat=options.operator_compat,
        )
        rules = known.rules(name)
        policy = resolution.with_rules(chosen, rules, namespace=namespace)
        found = _exemptions(template, document, known=known, namespace=name)
        policy = found.applied_to(policy)
        result = mutation.mutate(Manifest(raw=template.pod), policy, gate=gate, namespace=namespace)
    except (PodRefused, PolicyError) as refusal:
        return None, [f"refused: {refusal}"]
    return result.pod, [
        f"admitted under {policy.reference} ({policy.spec.mode})",
        *_beside(policy),
        *(f"warning: {each}" for each in (*exempted.warning(policy), found.note) if each),
        *([f"vLLM's arguments are read as {TABLE.reading} would read them"] if result.vllm else []),
        *(f"warning: {warning}" for warning in result.warnings),
        *(f"not read: {each}" for each in result.unread if each not in result.warnings),
    ]


def _exemptions(
    template: Template, document: Document, *, known: Store, namespace: str
) -> exempted.Found:
    """Return the exemptions of a pod by the workload whose template it is made of."""
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return exempted.find(
        known.exemptions(namespace),
        template.pod,
        namespace=namespace,
        now=datetime.now(UTC),
        workloads=frozenset({(document["kind"], str(name))}),
    )


def _beside(policy: ModelValidation) -> list[str]:
    """Return the sentence on the rules of the cluster that hold beside a policy."""
    if not isinstance(policy, ResolvedPolicy) or not policy.also_required:
        return []
    rules = ", ".join(quoted(each.rule) for each in policy.also_required)
    return [f"beside it hold rules of the cluster: {rules}"]


def _unlabelled(template: Template, document: Document) -> str:
    if template.place and contract.LABEL in templates.labels(document):
        return (
            f"left alone: the label {contract.LABEL} is the workload's own, and pods do not "
            f"inherit it: put it on {templates.shown(template.labels_at)}"
        )
    said = f"left alone: its pods do not carry the label {contract.LABEL}"
    labels = templates.labels(template.pod)
    if contract.OPERATOR_LABEL in labels:
        return (
            f"{said} but the operator's, {contract.OPERATOR_LABEL}: `python -m webhook convert` "
            "replaces it, and --operator-compat honours it"
        )
    if contract.LABEL in templates.pod_annotations(template.pod):
        return f"{said}: it is an annotation of theirs, which asks for nothing"
    if close := difflib.get_close_matches(contract.LABEL, labels, n=1, cutoff=LIKENESS):
        return f"{said}: {quoted(close[0])} was probably meant to be it"
    return said


def _shown(outcomes: list[Outcome], *, form: str) -> Iterator[str]:
    """Yield the lines of the output.

    Raises:
        PolicyError: A patch is asked for, and there are several manifests or none.
    """
    match form:
        case "diff":
            for outcome in outcomes:
                yield from _diff(outcome)
        case "yaml":
            yield "---\n".join(yaml_documents.dump(outcome.after) for outcome in outcomes)
        case "json":
            documents = [outcome.after for outcome in outcomes]
            one = len(documents) == 1
            listed = {"apiVersion": "v1", "kind": "List", "items": documents}
            yield json.dumps(documents[0] if one else listed, indent=2) + "\n"
        case "patch":
            if len(outcomes) != 1 or outcomes[0].after is None:
                raise PolicyError(
                    f"--output patch takes one manifest, and here are {len(outcomes)}"
                )
            operations = json_patch.patch(outcomes[0].before, outcomes[0].after)
            yield json.dumps(operations, indent=2) + "\n"


def _diff(outcome: Outcome) -> Iterator[str]:
    # Compared as values: the order of fields does not matter.
    if outcome.after is None or outcome.after == outcome.before:
        return
    name = templates.name_of(outcome.before)
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in difflib.unified_diff(
        yaml_documents.dump(outcome.before).splitlines(),
        yaml_documents.dump(outcome.after).splitlines(),
        name,
        f"{name}, as it would be admitted",
        lineterm="",
    ):
        colour = _COLOURS.get(line[:1], "") if coloured else ""
        yield f"{colour}{_shortened(line)}{_PLAIN if colour else ''}\n"


def _shortened(line: str) -> str:
    if len(line) <= DIFF_COLUMNS:
        return line
    return f"{line[:DIFF_COLUMNS]}… ({len(line):,} characters)"
