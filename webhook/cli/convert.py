"""`python -m webhook convert`: manifests of the Go operator's users, written as ours."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from validator import contract
from validator.errors import PolicyError
from validator.policy import yaml_documents
from webhook.cli import manifests, operator_label, operator_policy
from webhook.cli.templates import name_of

if TYPE_CHECKING:
    import argparse

    from validator.arguments import ArgumentParser
    from webhook.cli.templates import Document

CONVERTED: Final = 0
UNFINISHED: Final = 1


def add_options(parser: ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Print manifests with the policies and labels of the Go operator "
        "(sigstore/model-validation-operator) as this webhook reads them, and all others as they "
        "are. Standard error says what changed, and what is to be done by hand. Exit code 0: "
        "nothing is left to do; 1: something has no equivalent; 2: usage."
    )
    parser.add_argument(
        "manifests", metavar="FILE", nargs="+", help="YAML or JSON; - for standard input"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the manifests; return 0 if nothing is left to do, 1 if something is.

    Raises:
        PolicyError: A file does not hold manifests.
        SetupError: A file cannot be read.
    """
    documents = [document for source in options.manifests for document in manifests.read(source)]
    if not documents:
        raise PolicyError(f"{', '.join(options.manifests)}: there is nothing at all")
    results = [converted(document) for document in documents]
    sys.stdout.write("---\n".join(yaml_documents.dump(document) for document, _ in results))
    changed = left = 0
    for document, notes in results:
        name = name_of(document)
        changed += bool(notes.changed)
        left += len(notes.by_hand)
        for sentence in notes.changed:
            print(f"{name}: {sentence}", file=sys.stderr)
        for sentence in notes.by_hand:
            print(f"{name}: by hand: {sentence}", file=sys.stderr)
    number = f"{changed} of {len(documents)} manifests changed"
    remains = f"left to do by hand: {left}" if left else "nothing is left to do by hand"
    print(f"{number}; {remains}", file=sys.stderr)
    return UNFINISHED if left else CONVERTED


def converted(document: Document) -> tuple[Document, operator_policy.Notes]:
    """Return a manifest as ours, and what is to be said about it."""
    notes = operator_policy.Notes()
    group = str(document.get("apiVersion")).partition("/")[0]
    if document["kind"] == contract.KIND:
        document = operator_policy.converted(document, notes)
    if group == operator_policy.GROUP and document.get("apiVersion") != contract.API_VERSION:
        notes.by_hand.append(
            f"{document.get('apiVersion')} {document['kind']} has no equivalent, and is as it was: "
            "leave it out. Traces of reviews are sent by the webhook's component otel, and the "
            "gate's report carries the trace's id"
            if document["kind"] == "TelemetryConfig"
            else f"{document.get('apiVersion')} {document['kind']} is not known, and is as it was"
        )
        return document, notes
    return operator_label.relabelled(document, notes), notes
