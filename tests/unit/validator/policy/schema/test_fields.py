"""The forms of texts, as Python and the API server read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.support.cluster_rules import rule_document
from tests.support.policies import policy_document
from validator.errors import PolicyError
from validator.policy.cluster_rules.resolved import ResolvedPolicy
from validator.policy.cluster_rules.rule import ClusterModelValidation
from validator.policy.crd import DEFINITIONS
from validator.policy.document import ModelValidation
from validator.policy.exemption import ModelValidationExemption
from validator.policy.trust_root import TrustRoot
from webhook.observe.pod.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = [ResolvedPolicy, ClusterModelValidation, TrustRoot, ModelValidationExemption, Report]
DIGEST = "sha256:" + "0" * 64


def patterns(node: Any) -> Iterator[str]:
    """Yield the patterns of a schema."""
    if isinstance(node, dict):
        if isinstance(pattern := node.get("pattern"), str):
            yield pattern
        node = list(node.values())
    for each in node if isinstance(node, list) else ():
        yield from patterns(each)


def test_no_form_lets_a_line_feed_pass_at_its_end() -> None:
    """Python's `$` does, and the API server's does not, which knows no other sign for the end."""
    ours = set(patterns(list(msgspec.json.schema_components(KINDS))))
    assert len(ours) > 10
    assert [each for each in ours if "$" in each] == []
    written = set(patterns([made() for made in DEFINITIONS.values()]))
    assert written <= {each.removesuffix(r"\Z") + "$" for each in ours} | {"^https://"}


@pytest.mark.parametrize(
    "spec",
    [
        {"digests": [f"{DIGEST}\n"]},
        {"csiDrivers": ["a.example\n"]},
        {"workload": {"images": [f"{DIGEST}\n"]}},
        {"revalidation": {"interval": "1h\n"}},
        {"revalidation": {"bytesPerSecond": "1M\n"}},
        {"config": {"pkiConfig": {"trustRootRef": {"name": "corp\n"}}}},
    ],
)
def test_a_rule_with_a_line_feed_is_refused(spec: dict[str, Any]) -> None:
    """As the API server refuses it."""
    with pytest.raises(PolicyError, match=r"matching regex|not an image"):
        ClusterModelValidation.from_object(rule_document(**spec), source="rule.yaml")


def test_a_policy_whose_name_has_a_line_feed_is_refused() -> None:
    """It could be no label's value either."""
    with pytest.raises(PolicyError, match=r"metadata[.]name"):
        ModelValidation.from_object(policy_document("granite\n"), source="policy.yaml")
