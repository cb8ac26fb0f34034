"""Cluster-scoped objects that exist and cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from validator.policy.document import Metadata

if TYPE_CHECKING:
    from validator.errors import PolicyError


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """An object that exists and cannot be used.

    Attributes:
        metadata: As far as it can be read.
        reason: Why, as one sentence.
    """

    metadata: Metadata
    reason: str


def metadata_of(document: Mapping[str, Any], *, otherwise: PolicyError) -> Metadata:
    """Return the metadata of an object that cannot be read whole.

    Args:
        document: The object.
        otherwise: The error, where it does not even have a name.
    """
    given = document.get("metadata")
    fields = given if isinstance(given, Mapping) else {}
    known = {"name": fields.get("name")}
    for key, kind in (("uid", str), ("generation", int), ("deletionTimestamp", str)):
        if isinstance(fields.get(key), kind):
            known[key] = fields[key]
    try:
        return msgspec.convert(known, Metadata)
    except msgspec.ValidationError:
        raise otherwise from None
