"""The signed statement (in-toto): steps 4 to 6 of the verification.

`statement` turns the payload into values that later steps need not check again, or refuses it;
`signed_files` keeps what it says of each file, and `json_stream` reads its long lists.
"""

from __future__ import annotations

from validator.statement.statement import (
    LEGACY_PREDICATE_TYPE,
    Resource,
    Statement,
    parse_statement,
)

__all__ = ["LEGACY_PREDICATE_TYPE", "Resource", "Statement", "parse_statement"]
