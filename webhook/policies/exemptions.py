"""The exemptions as the webhook knows them; one that cannot be used exempts nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from validator.errors import PolicyError
from validator.policy.exemption import ModelValidationExemption
from webhook.policies.broken import Broken, metadata_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def of_namespace(known: object, namespace: str) -> tuple[ModelValidationExemption, ...]:
    """Return the usable exemptions of a namespace; none, where they are more than are held."""
    return tuple(
        each
        for each in (known if isinstance(known, tuple) else ())
        if isinstance(each, ModelValidationExemption) and each.spec.namespace == namespace
    )


def read(document: Mapping[str, Any]) -> ModelValidationExemption | Broken:
    """Return the exemption that a document holds, usable or broken, without its status.

    Raises:
        PolicyError: It does not even say which exemption it is.
    """
    try:
        found = ModelValidationExemption.from_object(document, source="as the API server has it")
    except PolicyError as error:
        return Broken(
            metadata=metadata_of(document, otherwise=error), reason=f"it exempts nobody: {error}"
        )
    return msgspec.structs.replace(found, status=None)
