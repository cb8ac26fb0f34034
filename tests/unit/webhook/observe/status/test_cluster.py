"""The statuses of the cluster's rules and exemptions."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.support.cluster_rules import rule_document
from tests.unit.validator.policy.test_trust_root import root_document
from validator import contract
from validator.policy.status import CONDITIONS_LIMIT, ExemptionStatus, RuleStatus
from webhook.observe.status.cluster import exemption_status, rule_status
from webhook.policies import cluster_rules, exemptions, trust_roots
from webhook.settings import NamespaceOptions

if TYPE_CHECKING:
    from webhook.policies.trust_roots import Roots

NOW = dt.datetime(2026, 11, 28, 21, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)
NAMESPACES = [
    NamespaceOptions(name="team", labels={"stage": "prod"}),
    NamespaceOptions(name="play", labels={"stage": "test"}),
    NamespaceOptions(name="other"),
]
NAMED = {"privateKeyConfig": {"trustRootRef": {"name": "corp"}}}
DELETED = {"deletionTimestamp": "2026-11-28T20:00:00Z"}
PROD: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"stage": "prod"}}}


def of_rule(
    *, metadata: Any = None, roots: Roots = (), before: RuleStatus | None = None, **spec: Any
) -> RuleStatus:
    """Return the status of a rule."""
    document = rule_document(metadata={"uid": "u", "generation": 2} | (metadata or {}), **spec)
    return rule_status(
        cluster_rules.read(document), roots=roots, namespaces=NAMESPACES, before=before, now=NOW
    )


def of_exemption(
    *,
    created: str = "2026-11-01T00:00:00Z",
    metadata: Any = None,
    now: dt.datetime = NOW,
    **spec: Any,
) -> ExemptionStatus:
    """Return the status of an exemption."""
    document = {
        "apiVersion": contract.API_VERSION,
        "kind": contract.EXEMPTION_KIND,
        "metadata": {"name": "incident", "uid": "u", "generation": 2, "creationTimestamp": created}
        | (metadata or {}),
        "spec": {
            "namespace": "team",
            "workload": {"kind": "Deployment", "name": "llm"},
            "images": [f"sha256:{'0' * 64}"],
            "expires": "2026-12-24T00:00:00Z",
            "requestedBy": "jane",
            "reason": "incident",
        }
        | spec,
    }
    return exemption_status(exemptions.read(document), before=None, now=now)


def said(status: RuleStatus | ExemptionStatus) -> dict[str, tuple[str, str]]:
    """Return status and reason of each condition."""
    found = status.conditions or ()
    assert all(each.observed_generation == 2 for each in found)
    assert len(found) <= CONDITIONS_LIMIT
    return {each.type: (each.status, each.reason) for each in found}


def message(status: RuleStatus | ExemptionStatus, kind: str) -> str:
    """Return the message of a condition."""
    (found,) = (each.message for each in status.conditions or () if each.type == kind)
    return found


def test_a_rule_in_force() -> None:
    """And how many namespaces it holds in."""
    found = of_rule(**PROD)
    assert said(found) == {"Accepted": ("True", "Valid"), "Ready": ("True", "InForce")}
    assert (found.observed_generation, found.namespaces) == (2, 1)
    assert message(found, "Ready") == "it holds in the 1 namespaces that it selects"
    assert of_rule().namespaces == len(NAMESPACES)


def test_a_rule_that_selects_nothing_is_ready() -> None:
    """It may be there before the namespaces are; Flux does not wait for ever."""
    found = of_rule(namespaceSelector={"matchLabels": {"stage": "none"}})
    assert said(found)["Ready"] == ("True", "SelectsNothing")
    assert found.namespaces == 0


@pytest.mark.parametrize(
    ("fields", "conditions"),
    [
        (
            {"config": {}} | PROD,
            {
                "Accepted": ("False", "Invalid"),
                "Ready": ("False", "Invalid"),
                "Stalled": ("True", "Invalid"),
            },
        ),
        (
            {"config": NAMED} | PROD,
            {
                "Accepted": ("False", "TrustRootNotUsable"),
                "Ready": ("False", "TrustRootNotUsable"),
            },
        ),
        (
            {"metadata": DELETED} | PROD,
            {"Accepted": ("True", "Valid"), "Ready": ("False", "Deleted")},
        ),
    ],
)
def test_a_rule_that_refuses_where_it_holds(
    fields: dict[str, Any], conditions: dict[str, tuple[str, str]]
) -> None:
    """It says in how many namespaces."""
    found = of_rule(**fields)
    assert said(found) == conditions
    assert message(found, "Ready") == (
        "labelled pods are refused in the 1 namespaces that it selects"
    )


def test_a_rule_whose_root_is_there() -> None:
    """It is accepted."""
    roots = (trust_roots.read(root_document()),)
    assert said(of_rule(config=NAMED, roots=roots))["Ready"] == ("True", "InForce")


def test_a_condition_keeps_its_time() -> None:
    """Nothing is written that has not changed."""
    first = of_rule(**PROD)
    stored = msgspec.convert(msgspec.to_builtins(first), RuleStatus)
    document = rule_document(metadata={"uid": "u", "generation": 2}, **PROD)
    rule = cluster_rules.read(document)
    again = rule_status(rule, roots=(), namespaces=NAMESPACES, before=stored, now=LATER)
    assert again == first


def test_an_exemption_in_force() -> None:
    """Until when."""
    found = of_exemption()
    assert said(found) == {"Accepted": ("True", "Valid"), "InForce": ("True", "Exempt")}
    assert message(found, "InForce").endswith("not stopped until 2026-12-24 00:00 UTC")
    assert found.until == "2026-12-24T00:00:00Z"


def test_an_exemption_that_has_ended() -> None:
    """From its last second on."""
    end = dt.datetime(2026, 12, 24, tzinfo=dt.UTC)
    moment = dt.timedelta(microseconds=1)
    assert said(of_exemption(now=end - moment))["InForce"] == ("True", "Exempt")
    found = of_exemption(now=end)
    assert said(found)["InForce"] == ("False", "Expired")
    assert message(found, "InForce").startswith("it ended at 2026-12-24 00:00 UTC: a pod of")


def test_an_exemption_that_is_cut() -> None:
    """Ninety days after its creation it ends, whatever it says."""
    found = of_exemption(expires="2027-12-24T00:00:00Z")
    assert said(found) == {
        "Accepted": ("True", "Valid"),
        "Cut": ("True", "TooLong"),
        "InForce": ("True", "Exempt"),
    }
    assert message(found, "Cut") == (
        "spec.expires is later than 90 days after its creation: it counts until "
        "2027-01-30 00:00 UTC, and no longer"
    )
    assert found.until == "2027-01-30T00:00:00Z"
    exact = of_exemption(expires="2027-01-30T00:00:00Z")
    assert "Cut" not in said(exact)


def test_an_exemption_that_exempts_nobody() -> None:
    """One that is being deleted, and one that cannot be read."""
    assert said(of_exemption(metadata=DELETED))["InForce"] == ("False", "Deleted")
    broken = of_exemption(expires="tomorrow")
    assert said(broken) == {
        "Accepted": ("False", "Invalid"),
        "InForce": ("False", "Invalid"),
        "Stalled": ("True", "Invalid"),
    }
    assert broken.until is None
    assert "it exempts nobody" in message(broken, "Accepted")
