"""The lists of `Strict`, beside the fields of a pod that this API server publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from webhook.vllm.strict.fields import DEFINITIONS, OF_KUBERNETES

if TYPE_CHECKING:
    from tests.e2e.api_server.control_plane import ControlPlane


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_each_field_has_been_thought_about(definition: str, control_plane: ControlPlane) -> None:
    """A field that is on no list is refused, until somebody has read what it does."""
    answer = control_plane.call("GET", "/openapi/v3/api/v1")
    name = f"io.k8s.api.core.v1.{OF_KUBERNETES.get(definition, definition)}"
    published = answer.document["components"]["schemas"][name]["properties"]
    assert published.keys() - DEFINITIONS[definition].keys() == set()
