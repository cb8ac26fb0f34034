"""docs/policy.md: its example of a rule of the cluster is one."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from validator.policy.cluster_rules.rule import ClusterModelValidation

PAGE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
EXAMPLES = [
    document
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for document in yaml.safe_load_all(block)
]


def test_the_example_of_a_rule_is_one() -> None:
    """It holds in all namespaces but the one that it leaves out by its name."""
    (document,) = [each for each in EXAMPLES if each["kind"] == "ClusterModelValidation"]
    selector = ClusterModelValidation.from_object(
        document, source="the page"
    ).spec.namespace_selector
    assert selector.selects_namespace("llm", None)
    assert not selector.selects_namespace("playground", None)
