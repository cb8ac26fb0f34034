"""The conditions of one policy: what is to be said of it, and why.

kstatus, and so Flux and Argo CD, read `Ready` and `Stalled`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from validator import contract
from validator.policy.status import Condition
from validator.text import quoted
from webhook.admission.injected.restart_rules import FIRST, ON_EVERY_NODE, Obstacle, obstacle
from webhook.observe.policies import Flaw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from validator.policy.status import ExemptionStatus, RuleStatus, Status
    from webhook.observe.policies import Known, Narrowed
    from webhook.settings import Version

_FIRST: Final = "{}.{}".format(*FIRST)
_ON_EVERY_NODE: Final = "{}.{}".format(*ON_EVERY_NODE)

_WITHOUT_THE_GATE: Final = "a restarted container reads the model without the gate"
_OLDER: Final = f"the API server is {{}}, and restart rules need Kubernetes {_FIRST}"

_OBSTACLES: Final = {
    Obstacle.AUDIT: "under Audit no restart is changed",
    Obstacle.KEEP: f"spec.onRestart is Keep: {_WITHOUT_THE_GATE}",
    Obstacle.UNKNOWN: f"the API server does not tell its version: {_WITHOUT_THE_GATE}",
    Obstacle.SERVER: f"{_OLDER}: {_WITHOUT_THE_GATE}",
    Obstacle.NODES: (
        f"spec.onRestart is not set, and the API server is {{}}, whose nodes may be older than "
        f"{_FIRST}: {_WITHOUT_THE_GATE}. Set it to Verify where all nodes are {_FIRST} or newer; "
        f"from {_ON_EVERY_NODE} on that is the default"
    ),
}


class Said(NamedTuple):
    """A condition without its time."""

    type: str
    status: Literal["True", "False"]
    reason: str
    message: str


def conditions(policy: Known, *, server: Version | None) -> list[Said]:
    """Return the conditions of a policy.

    Args:
        policy: The policy.
        server: The API server's version, `None` where it does not tell it.
    """
    refused = "pods that choose this policy are refused"
    if policy.flaw is not None:
        return flawed(policy.why, policy.flaw, follows=refused)
    accepted = Said("Accepted", "True", "Valid", "the policy can be used")
    ready = Said("Ready", "True", "InForce", "pods that choose this policy are verified")
    if policy.mode == "Audit":
        ready = Said("Ready", "True", "Audit", "pods are verified, and started whatever is found")
    if policy.deleted:
        ready = Said("Ready", "False", "Deleted", refused)
    restarts = _restarts(policy, server)
    stops = _stops(policy, server)
    return [accepted, ready, _narrowed(policy), _pinned(policy), _signer(policy), restarts, *stops]


def flawed(why: str, flaw: str, *, follows: str) -> list[Said]:
    """Return the conditions of what cannot be used.

    Args:
        why: Where the flaw is.
        flaw: The sentence.
        follows: What follows for pods.
    """
    said = [Said("Accepted", "False", why, flaw), Said("Ready", "False", why, follows)]
    if why == Flaw.POLICY:
        # Else it is in force once another object is right, and who applies both may wait for it.
        said.append(Said("Stalled", "True", why, flaw))
    return said


def _narrowed(policy: Known) -> Said:
    if not policy.narrowed:
        message = f"no {contract.CLUSTER_KIND} holds in the namespace"
        return Said("Narrowed", "False", "NoRules", message)
    rules = "; ".join(map(_by_rule, policy.narrowed))
    return Said("Narrowed", "True", "ClusterRules", f"beside the policy hold: {rules}")


def _by_rule(narrowed: Narrowed) -> str:
    pins = " and is one that it pins" if narrowed.pins else ""
    fields = f", and it narrows {', '.join(narrowed.fields)}" if narrowed.fields else ""
    return (
        f"the {contract.CLUSTER_KIND} {quoted(narrowed.rule)}, of whose signers one has signed "
        f"each model{pins}{fields}"
    )


def _pinned(policy: Known) -> Said:
    if policy.pruned:
        return Said(
            "Pinned",
            "False",
            "Pruned",
            "the policy was applied with a digest that the API server has not stored, since its "
            "resource definition has no such field there: correct the field, or install the "
            "present definition and apply the policy again",
        )
    if policy.pinned:
        return Said("Pinned", "True", "Digests", "each model is pinned by a digest")
    return Said(
        "Pinned", "False", "NoDigests", "any model of an accepted signer passes, an older one too"
    )


def _signer(policy: Known) -> Said:
    if policy.placeholder is not None:
        return Said(
            "Signer",
            "False",
            "Placeholder",
            f"the signer {policy.placeholder} is an example's: name your own",
        )
    return Said("Signer", "True", "Named", "no signer is an example's")


def _restarts(policy: Known, server: Version | None) -> Said:
    """Return whether a restart runs the gate again, in pods that are created now."""
    found = obstacle(mode=policy.mode, on_restart=policy.on_restart, server=server)
    if found is None:
        return Said(
            "RestartVerifies",
            "True",
            "Verify",
            "a container of a new pod that sees the model restarts after another verification only",
        )
    message = _OBSTACLES[found].format(_version(server))
    return Said("RestartVerifies", "False", found, message)


def _stops(policy: Known, server: Version | None) -> Iterator[Said]:
    """Yield whether a changed model ends the pod's containers, where the policy asks for that."""
    if not policy.stops:
        return
    # `Stop` needs of the server what `onRestart: Verify` needs, and the scheduler finds the nodes.
    found = obstacle(mode=policy.mode, on_restart="Verify", server=server)
    if found is None:
        message = "a monitor of a new pod that finds the model changed has the gate run again"
        yield Said("ChangeStops", "True", "Stop", message)
        return
    held = "a changed model makes the pod unready, and its containers go on"
    messages = {
        Obstacle.AUDIT: "under Audit a changed model is reported, and stops nothing",
        Obstacle.UNKNOWN: f"the API server does not tell its version: {held}",
        Obstacle.SERVER: f"{_OLDER.format(_version(server))}: {held}",
    }
    yield Said("ChangeStops", "False", found, messages[found])


def _version(server: Version | None) -> str:
    return "{}.{}".format(*server) if server else ""


def dated(
    said: Iterable[Said],
    *,
    before: Status | RuleStatus | ExemptionStatus | None,
    generation: int,
    now: str,
) -> tuple[Condition, ...]:
    """Return conditions with their times.

    Args:
        said: The conditions.
        before: The status that the API server has; a condition that has not changed keeps its time.
        generation: Of the object.
        now: The time of a condition that changes, RFC 3339.
    """
    known = {each.type: each for each in (before.conditions if before else None) or ()}
    made = []
    for each in said:
        old = known.get(each.type)
        since = old.last_transition_time if old and old.status == each.status else now
        made.append(
            Condition(
                type=each.type,
                status=each.status,
                reason=each.reason,
                message=each.message,
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    return tuple(made)
