"""The statuses of the cluster's rules and exemptions.

Pure, as `policy` is: the same objects and the same side of an exemption's end give the
same status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator import contract
from validator.policy.exemption import LONGEST
from validator.policy.status import ExemptionStatus, RuleStatus
from webhook.observe.pod import report
from webhook.observe.policies import Flaw
from webhook.observe.status.conditions import Said, dated, flawed
from webhook.policies import cluster_rules
from webhook.policies.broken import Broken
from webhook.policies.cluster_rules import BrokenRule, may_hold

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from validator.policy.exemption import ModelValidationExemption
    from webhook.policies.cluster_rules import Rule
    from webhook.policies.trust_roots import Roots
    from webhook.settings import NamespaceOptions

SECONDS: Final = "%Y-%m-%dT%H:%M:%SZ"
"""RFC 3339, in UTC."""

NOBODY: Final = "a pod of the workload is refused where its model is not as the policy demands"


def rule_status(
    rule: Rule,
    *,
    roots: Roots,
    namespaces: Iterable[NamespaceOptions],
    before: RuleStatus | None,
    now: dt.datetime,
) -> RuleStatus:
    """Return the status of a rule of the cluster.

    Args:
        rule: As it was written.
        roots: All roots of trust.
        namespaces: All of them.
        before: The status that the API server has.
        now: Aware.
    """
    number = sum(may_hold(rule, each) for each in namespaces)
    generation = rule.metadata.generation or 0
    return RuleStatus(
        observed_generation=generation,
        conditions=dated(
            _of_rule(rule, roots, number),
            before=before,
            generation=generation,
            now=f"{now:{SECONDS}}",
        ),
        namespaces=number,
    )


def _of_rule(rule: Rule, roots: Roots, number: int) -> Iterable[Said]:
    where = f"in the {number:,} namespaces that it selects"
    refused = f"labelled pods are refused {where}"
    if isinstance(rule, BrokenRule):
        return flawed(Flaw.POLICY, report.sentence(rule.reason), follows=refused)
    with_roots = cluster_rules.resolved(rule, roots)
    if isinstance(with_roots, BrokenRule):
        return flawed(Flaw.ROOT, report.sentence(with_roots.reason), follows=refused)
    accepted = Said("Accepted", "True", "Valid", "the rule can be used")
    if rule.metadata.deletion_timestamp is not None:
        return [accepted, Said("Ready", "False", "Deleted", refused)]
    if not number:
        message = "spec.namespaceSelector selects no namespace, so that it holds nobody back"
        return [accepted, Said("Ready", "True", "SelectsNothing", message)]
    return [accepted, Said("Ready", "True", "InForce", f"it holds {where}")]


def exemption_status(
    exemption: ModelValidationExemption | Broken,
    *,
    before: ExemptionStatus | None,
    now: dt.datetime,
) -> ExemptionStatus:
    """Return the status of an exemption.

    Args:
        exemption: As it was written.
        before: The status that the API server has.
        now: Aware.
    """
    generation = exemption.metadata.generation or 0
    return ExemptionStatus(
        observed_generation=generation,
        conditions=dated(
            _of_exemption(exemption, now),
            before=before,
            generation=generation,
            now=f"{now:{SECONDS}}",
        ),
        until=(None if isinstance(exemption, Broken) else f"{exemption.end:{SECONDS}}"),
    )


def _of_exemption(exemption: ModelValidationExemption | Broken, now: dt.datetime) -> Iterator[Said]:
    if isinstance(exemption, Broken):
        flaw = report.sentence(exemption.reason)
        yield Said("Accepted", "False", Flaw.POLICY, flaw)
        yield Said("InForce", "False", Flaw.POLICY, NOBODY)
        yield Said("Stalled", "True", Flaw.POLICY, flaw)
        return
    end = f"{exemption.end:%Y-%m-%d %H:%M} UTC"
    yield Said("Accepted", "True", "Valid", f"the {contract.EXEMPTION_KIND} can be used")
    if exemption.is_cut:
        days = f"{LONGEST.days} days after its creation"
        message = f"spec.expires is later than {days}: it counts until {end}, and no longer"
        yield Said("Cut", "True", "TooLong", message)
    if exemption.metadata.deletion_timestamp is not None:
        yield Said("InForce", "False", "Deleted", f"it is being deleted: {NOBODY}")
    elif now >= exemption.end:
        yield Said("InForce", "False", "Expired", f"it ended at {end}: {NOBODY}")
    else:
        yield Said("InForce", "True", "Exempt", f"pods that it names are not stopped until {end}")
