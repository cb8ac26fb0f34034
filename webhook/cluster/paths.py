"""Paths of the collections on the API server that several rooms read."""

from __future__ import annotations

from typing import Final

from validator import contract

POLICIES: Final = f"/apis/{contract.API_VERSION}/{contract.PLURAL}"
NAMESPACES: Final = "/api/v1/namespaces"
PODS: Final = "/api/v1/pods"


def policies_of(namespace: str) -> str:
    """Return the path of the policies of one namespace."""
    return f"/apis/{contract.API_VERSION}/namespaces/{namespace}/{contract.PLURAL}"
