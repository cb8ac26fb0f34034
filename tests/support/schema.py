"""A checker of the part of JSON Schema that our own schemas use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def flaws(document: object, schema: dict[str, Any], place: str = "") -> Iterator[str]:
    """Yield what a document violates of the part of JSON Schema that ours use."""
    types: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
    }
    if "enum" in schema and document not in schema["enum"]:
        yield f"{place}: {document!r} is not one of {schema['enum']}"
    if "type" in schema and not isinstance(document, types[schema["type"]]):
        yield f"{place}: {document!r} is no {schema['type']}"
    if isinstance(document, str) and not re.search(schema.get("pattern", ""), document):
        yield f"{place}: {document!r} does not match"
    if isinstance(document, dict):
        yield from (f"{place}: lacks {name}" for name in schema["required"] if name not in document)
        for name, value in document.items():
            if name not in schema["properties"]:
                yield f"{place}: {name} is unknown"
            else:
                yield from flaws(value, schema["properties"][name], f"{place}.{name}")
    if isinstance(document, list):
        for item in document:
            yield from flaws(item, schema["items"], f"{place}[]")


def rule_messages(definition: dict[str, Any]) -> list[str]:
    """Return what the CEL rules anywhere in a CustomResourceDefinition say."""
    found = []
    pending: list[Any] = [definition]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            found += [rule["message"] for rule in node.get("x-kubernetes-validations", ())]
            pending += node.values()
        elif isinstance(node, list):
            pending += node
    return found
