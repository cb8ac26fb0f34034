"""The one ModelValidation of the tests, to be changed in the place that a test is about."""

from __future__ import annotations

from typing import Any, Final

from validator import contract

Document = dict[str, Any]

MODEL: Final = "/models/granite"
KEY: Final = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"


def policy_document(
    name: str = "granite",
    *,
    namespace: str | None = "team",
    metadata: Document | None = None,
    model: Document | None = None,
    config: Document | None = None,
    **spec: Any,
) -> Document:
    """Return a policy as people write it: the model at `MODEL`, signed with a key that is inline.

    Args:
        name: Its name.
        namespace: Its namespace; `None` leaves it out.
        metadata: Further metadata.
        model: Further fields of `spec.model`; without effect where `models` is given.
        config: In place of the key.
        spec: Further fields of the specification, or others in their place.
    """
    where = {} if namespace is None else {"namespace": namespace}
    named = {} if "models" in spec else {"model": {"path": MODEL} | (model or {})}
    signed = {"privateKeyConfig": {"publicKey": KEY}} if config is None else config
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.KIND,
        "metadata": {"name": name} | where | (metadata or {}),
        "spec": named | {"config": signed} | spec,
    }
