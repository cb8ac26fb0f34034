"""The types of a policy's fields, and the rules that types cannot say.

A rule stands once, with one message, for both of its readers: `holds` for Python, `cel` for the API
server (`validator.policy.crd` writes it into the resource's definition).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Rule:
    """One demand on a type: `holds` in Python, `cel` in the API server, one message."""

    message: str
    cel: str
    holds: Callable[[Any], bool]


class Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of all parts of a policy: camelCase names, rules checked on construction."""

    rules: ClassVar[tuple[Rule, ...]] = ()

    def __post_init__(self) -> None:
        for rule in self.rules:
            if not rule.holds(self):
                raise ValueError(rule.message)


class Part(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the specification: a field that it does not know is an error."""


# Patterns end in \Z: Python's `$` would let a line feed pass, which the API server's `$` does not
# (`validator.policy.crd` writes that one into the definitions).

# Canonical: no empty, "." or ".." segment, no trailing slash, never the root itself.
_SEGMENT: Final = r"(?:[^/.\x00][^/\x00]*|\.[^/.\x00][^/\x00]*|\.\.[^/\x00]+)"


_ABSOLUTE: Final = rf"^(?:/{_SEGMENT})+\Z"


_RELATIVE: Final = rf"^{_SEGMENT}(?:/{_SEGMENT})*\Z"


PATH_FORM: Final = "absolute and canonical (no '..', '//', '/./' or '/' at the end)"
"""The form of `Path`, for a sentence."""

Path = Annotated[str, Meta(max_length=1024, pattern=_ABSOLUTE)]


RelativePath = Annotated[str, Meta(max_length=1024, pattern=_RELATIVE)]


Digest = Annotated[str, Meta(pattern=r"^(statement:)?sha256:[0-9a-f]{64}\Z", max_length=81)]


TEXT_LIMIT: Final = 1024

Text = Annotated[str, Meta(min_length=1, max_length=TEXT_LIMIT)]


Regexp = Annotated[str, Meta(min_length=1, max_length=512)]


Name = Annotated[
    str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z")
]


VolumeName = Annotated[
    str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
]


Quantity = Annotated[
    str, Meta(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?\Z")
]


Identifier = Annotated[int, Meta(ge=0, le=2**31 - 1)]


Duration = Annotated[str, Meta(max_length=6, pattern=r"^[1-9][0-9]{0,4}[smh]\Z")]


Rate = Annotated[str, Meta(max_length=7, pattern=r"^[1-9][0-9]{0,4}[MG]i?\Z")]


def one_of(*names: str) -> str:
    """Return the CEL expression that exactly one of `names` (JSON fields) is set."""
    return "[" + ", ".join(f"has(self.{name})" for name in names) + "].filter(x, x).size() == 1"


def given(*values: object) -> int:
    """Return how many of the values are there."""
    return sum(value is not None for value in values)
