"""The findings of an examination, as values."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHOWN_OF_A_KIND: Final = 20
"""Findings with one code that are listed; a cluster may have thousands of namespaces."""


class Level(enum.StrEnum):
    """The weight of a finding."""

    ERROR = "error"
    """Models are unprotected, or labelled pods are refused, or this could not be looked at."""
    WARNING = "warning"
    """It works now, and somebody should look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        code: Names the kind of finding, for programs; docs/operations.md lists all.
        subject: The kind and the name of the object that it is about.
        sentence: The fact and its remedy.
    """

    level: Level
    code: str
    subject: str
    sentence: str

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return asdict(self)


def error(code: str, subject: str, sentence: str) -> Finding:
    """Return a finding that must be mended."""
    return Finding(level=Level.ERROR, code=code, subject=subject, sentence=sentence)


def warning(code: str, subject: str, sentence: str) -> Finding:
    """Return a finding to look at."""
    return Finding(level=Level.WARNING, code=code, subject=subject, sentence=sentence)


def bounded(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings, of each code the first ones, and then how many more there are."""
    seen: dict[str, list[Finding]] = {}
    for finding in findings:
        alike = seen.setdefault(finding.code, [])
        alike.append(finding)
        if len(alike) <= SHOWN_OF_A_KIND:
            yield finding
    for code, alike in seen.items():
        more = len(alike) - SHOWN_OF_A_KIND
        if more > 0:
            level = max(alike[SHOWN_OF_A_KIND:], key=lambda each: each.level is Level.ERROR).level
            yield Finding(
                level=level,
                code=code,
                subject="and others",
                sentence=f"{more} more findings of this kind are not listed: mend these first",
            )
