"""YAML and JSON documents from outside, read within limits; and YAML for people, written.

The one place that imports the YAML library. When reading, everything here is refused that
PyYAML would let pass and a reviewer would not see, such as duplicate keys (the
last one wins) and anchors (a few lines grow to gigabytes).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from validator.errors import PolicyError
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Hashable

DOCUMENTS_LIMIT: Final = 1000
DEPTH_LIMIT: Final = 64
"""Levels of nesting: the deepest field of a Kubernetes object lies at about twenty."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without anchors, merge keys, duplicates, timestamps or deep nests."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.constructor.ConstructorError(
                None, None, "anchors and aliases are not accepted", event.start_mark
            )
        if self.depth >= DEPTH_LIMIT:
            raise yaml.constructor.ConstructorError(
                None, None, f"nested deeper than {DEPTH_LIMIT} levels", event.start_mark
            )
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 — PyYAML's signature
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be text: quote it", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {quoted(key.value)} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# A date in a manifest is text to Kubernetes, and to us.
_Loader.yaml_implicit_resolvers = {
    initial: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
    for initial, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_all(text: bytes, *, source: str, limit: int) -> list[Any]:
    """Return the documents in `text` (YAML, and so JSON), empty ones left out.

    Args:
        text: The file's bytes, UTF-8.
        source: Where they come from, for the sentence.
        limit: Bytes that are read at most.

    Raises:
        PolicyError: Too large, not UTF-8, not YAML, or using what is refused above.
    """
    if len(text) > limit:
        raise PolicyError(f"{source}: larger than {limit:,} bytes")
    documents = []
    try:
        for document in yaml.load_all(text.decode(), Loader=_Loader):
            if document is not None:
                documents.append(document)
            if len(documents) > DOCUMENTS_LIMIT:
                raise PolicyError(f"{source}: more than {DOCUMENTS_LIMIT} documents")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise PolicyError(f"{source}: not YAML that is accepted: {error.problem}{where}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PolicyError(f"{source}: not YAML in UTF-8") from error
    return documents


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: no anchors, lists indented, long lines left whole."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 — PyYAML's signature
        del indentless
        super().increase_indent(flow, indentless=False)

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Write several lines, such as a key in PEM form, as a block."""
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)
# PyYAML leaves these texts without quotes, and kubectl's parser reads numbers and truth values.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0[oO][0-7]+)$"),
    list("-+.0123456789"),
)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"[yYnN]$"), list("yYnN"))


def dump(document: object) -> str:
    """Return a document as YAML, its keys in their order."""
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf
    )
    return text
