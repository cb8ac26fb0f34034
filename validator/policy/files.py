"""A policy file: one ModelValidation, and beside it the TrustRoots that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from validator import contract
from validator.errors import PolicyError
from validator.policy import trust_root
from validator.policy.document import FILE_LIMIT, ModelValidation
from validator.policy.trust_root import TrustRoot
from validator.policy.yaml_documents import load_all
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable


def read_policy(text: bytes, *, source: str) -> ModelValidation:
    """Return the policy in the text of a file, YAML or JSON, with the roots that it names.

    Raises:
        PolicyError: It is too large, not YAML, not one policy, or a root is missing or wrong.
    """
    policies: list[object] = []
    roots: list[object] = []
    for document in load_all(text, source=source, limit=FILE_LIMIT):
        is_root = isinstance(document, Mapping) and document.get("kind") == trust_root.KIND
        (roots if is_root else policies).append(document)
    if len(policies) != 1:
        raise PolicyError(f"{source}: expected one {contract.KIND}, found {len(policies)}")
    policy = ModelValidation.from_object(policies[0], source=source)
    known = _by_name(roots, source=source)

    def find(name: str) -> TrustRoot:
        if name not in known:
            raise PolicyError(
                f"the {trust_root.KIND} {quoted(name)} is not in this file: put it there, after "
                "a line ---"
            )
        return known[name]

    try:
        return trust_root.resolve(policy, find)
    except PolicyError as error:
        raise PolicyError(f"{source}: {policy.reference}: {error}") from error


def _by_name(documents: Iterable[object], *, source: str) -> dict[str, TrustRoot]:
    known: dict[str, TrustRoot] = {}
    for document in documents:
        root = TrustRoot.from_object(document, source=source)
        if root.metadata.name in known:
            raise PolicyError(
                f"{source}: the {trust_root.KIND} {quoted(root.metadata.name)} is there twice: "
                "keep one"
            )
        known[root.metadata.name] = root
    return known
