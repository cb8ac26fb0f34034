"""Texts of a certificate, matched by a regular expression in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validator.errors import PolicyError
from validator.policy.schema.expressions import Expression
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable


def compiled(expression: str, *, what: str) -> Expression:
    """Return the compiled expression; `what` names the matched text in the sentence.

    Raises:
        PolicyError: It is not a regular expression of RE2, as those of a policy are.
    """
    try:
        return Expression(expression)
    except ValueError as error:
        raise PolicyError(
            f"the regular expression for the signer's {what}, {quoted(expression)}, cannot be "
            "used: write it in RE2's language, which has no lookaheads and no references"
        ) from error


def matches_any(expression: Expression, texts: Iterable[str]) -> bool:
    """Tell whether one of the texts matches from its first to its last character."""
    return any(expression.matches(text) for text in texts)
