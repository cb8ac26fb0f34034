"""Policies and namespaces, read from documents; a policy is usable, or broken with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from validator.errors import PolicyError
from validator.policy.document import ModelValidation
from validator.text import quoted
from webhook.policies.choice import BrokenPolicy
from webhook.settings import NamespaceOptions

if TYPE_CHECKING:
    from webhook.policies.choice import Policy


def read(document: Mapping[str, Any], *, source: str) -> Policy:
    """Return the policy that a document holds, usable or broken.

    One that is too large for a gate's environment is broken, and kept without its contents: etcd
    takes fifteen times as much, and each namespace may have any number. Its status is not kept.

    Raises:
        PolicyError: It does not even say which policy it is.
    """
    try:
        policy = ModelValidation.from_object(document, source=source)
        policy.to_environment()
        return msgspec.structs.replace(policy, status=None)
    except PolicyError as error:
        return _broken(document, error=error)


def _broken(document: Mapping[str, Any], *, error: PolicyError) -> BrokenPolicy:
    metadata, spec = document.get("metadata"), document.get("spec")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        raise error
    namespace, uid = metadata.get("namespace"), metadata.get("uid")
    generation = metadata.get("generation")
    return BrokenPolicy(
        name=metadata["name"],
        namespace=namespace if isinstance(namespace, str) else None,
        reason=str(error),
        default=isinstance(spec, Mapping) and spec.get("default") is True,
        deleted="deletionTimestamp" in metadata,
        uid=uid if isinstance(uid, str) else None,
        generation=generation if isinstance(generation, int) else None,
    )


def namespace_options(document: Mapping[str, Any], *, source: str) -> NamespaceOptions:
    """Return what a Namespace's document says.

    Raises:
        PolicyError: It has no name, or labels that are not text.
    """
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        raise PolicyError(f"{source}: the Namespace has no metadata.name")
    labels = metadata.get("labels") or {}
    if not isinstance(labels, Mapping) or not all(
        isinstance(text, str) for pair in labels.items() for text in pair
    ):
        raise PolicyError(
            f"{source}: the labels of the Namespace {quoted(metadata['name'])} are not all text: "
            "put them in quotes"
        )
    return NamespaceOptions(name=metadata["name"], labels=dict(labels))
