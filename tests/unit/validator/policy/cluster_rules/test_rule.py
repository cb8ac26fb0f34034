"""The document of a cluster's rule."""

from __future__ import annotations

import pytest

from tests.support.cluster_rules import rule
from validator.errors import PolicyError


def test_a_rule_belongs_to_no_namespace() -> None:
    """It selects namespaces: a file that puts it into one means something else."""
    with pytest.raises(PolicyError, match="belongs to no namespace"):
        rule(metadata={"namespace": "team"})
