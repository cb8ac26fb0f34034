"""YAML and JSON documents from outside, read within limits; and YAML for people, written.

The one place that imports the YAML library. When reading, everything here is refused that
PyYAML would let pass and a reviewer would not see, such as duplicate keys (the
last one wins) and anchors (a few lines grow to gigabytes). Manifests that a person gives to a
command may have anchors, within the limit that holds for the file.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from validator.errors import PolicyError
from validator.text import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTS_LIMIT: Final = 1000
DEPTH_LIMIT: Final = 64
"""Levels of nesting: the deepest field of a Kubernetes object lies at about twenty."""

_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_MERGE_TAG: Final = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without anchors, merge keys, duplicates, timestamps or deep nests."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self.check_anchor(event)
        self.check_depth(self.depth + 1, event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not self.is_key(key):
                raise _refused("a key must be text: quote it", key.start_mark)
            if key.value in seen:
                raise _refused(f"the key {quoted(key.value)} stands twice", key.start_mark)
            seen.add(key.value)
        return node

    def check_anchor(self, event: Any) -> None:
        """Refuse an anchor or an alias."""
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refused("anchors and aliases are not accepted", event.start_mark)

    def check_depth(self, depth: int, mark: Any) -> None:
        """Refuse a level of nesting that is too deep."""
        if depth > DEPTH_LIMIT:
            raise _refused(f"nested deeper than {DEPTH_LIMIT} levels", mark)

    def is_key(self, key: yaml.Node) -> bool:
        """Tell whether a node may be a key."""
        return key.tag == _TEXT_TAG


class _AliasLoader(_Loader):
    """The same with anchors, aliases and merge keys, as far as the file stays within its limit.

    An alias counts as what it stands for, written out: in characters, and in levels of nesting.
    """

    def __init__(self, text: str, *, limit: int) -> None:
        super().__init__(text)
        self._limit, self._left = limit, limit - len(text)
        self._extents: dict[int, tuple[int, int]] = {}

    def compose_document(self) -> yaml.Node | None:
        self._extents.clear()  # whose nodes are those of one document
        return super().compose_document()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            self._count(node, event.start_mark)
        elif node is not None:
            self._extents[id(node)] = self._extent(node)
        return node

    def check_anchor(self, event: Any) -> None:
        if not isinstance(event, yaml.AliasEvent):
            # A later anchor of one name replaces the earlier one, where PyYAML would end.
            self.anchors.pop(getattr(event, "anchor", None), None)

    def is_key(self, key: yaml.Node) -> bool:
        return key.tag in (_TEXT_TAG, _MERGE_TAG)

    def _count(self, node: yaml.Node | None, mark: Any) -> None:
        if id(node) not in self._extents:
            raise _refused("an alias stands within what it names", mark)
        length, height = self._extents[id(node)]
        self.check_depth(self.depth + height, mark)
        self._left -= length
        if self._left < 0:
            said = f"with its aliases written out, the file is larger than {self._limit:,} bytes"
            raise _refused(said, mark)

    def _extent(self, node: yaml.Node) -> tuple[int, int]:
        """Return the characters and the levels of a node, at least one of each."""
        if isinstance(node, yaml.MappingNode):
            inner = [self._extents[id(each)] for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            inner = [self._extents[id(each)] for each in node.value]
        else:
            return len(node.value) + 1, 1
        return 1 + sum(length for length, _ in inner), 1 + max((up for _, up in inner), default=0)


def _refused(sentence: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, sentence, mark)


# A date in a manifest is text to Kubernetes, and to us.
_Loader.yaml_implicit_resolvers = {
    initial: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
    for initial, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_all(text: bytes, *, source: str, limit: int, aliases: bool = False) -> list[Any]:
    """Return the documents in `text` (YAML, and so JSON), empty ones left out.

    Args:
        text: The file's bytes, UTF-8.
        source: Where they come from, for the sentence.
        limit: Bytes that are read at most.
        aliases: Whether anchors, aliases and merge keys are read. What several of them name is
            one object then: it is not to be written to.

    Raises:
        PolicyError: Too large, not UTF-8, not YAML, or using what is refused above.
    """
    if len(text) > limit:
        raise PolicyError(f"{source}: larger than {limit:,} bytes")
    documents = []
    try:
        for document in _loaded(text.decode(), limit=limit if aliases else None):
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


def _loaded(text: str, *, limit: int | None) -> Iterator[Any]:
    """Yield the documents of a text; with aliases, where they have a limit."""
    if limit is None:
        yield from yaml.load_all(text, Loader=_Loader)
        return
    loader = _AliasLoader(text, limit=limit)
    while loader.check_data():  # type: ignore[no-untyped-call]
        yield loader.get_data()


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: no anchors, lists indented, long lines left whole."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 — PyYAML's signature
        del indentless
        super().increase_indent(flow, indentless=False)

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Write several lines, such as a key in PEM form, as a block.

        Escape what a reader would not see: to some parsers U+0085 and U+2028 end a line, too.
        """
        style = "|" if "\n" in text else None
        if any(printable(line) != line for line in text.split("\n")):
            style = '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def write_double_quoted(self, text: str, split: bool = True) -> None:  # noqa: FBT001, FBT002 — PyYAML's signature
        self.allow_unicode = False
        super().write_double_quoted(text, split)
        self.allow_unicode = True


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
