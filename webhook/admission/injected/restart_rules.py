"""The rules by which the gate runs again before a restarted container reads the model again.

Kubernetes' action `RestartAllContainers` ends a pod's containers and begins with its init
containers, the gate among them, in the same pod. The kubelet takes the first rule that matches
the exit code, and a container's `restartPolicy` where none does. About a container that it ends
itself, since a probe has failed, it asks no rule, but the `restartPolicy` alone: `Never` has such a
container end, and then the rules are asked.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from webhook.admission.wire import RESTART_RULES_LIMIT
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from validator.policy.document import ModelValidation
    from webhook.admission.pod import Placed, Pod
    from webhook.admission.wire import JSON, RestartRule
    from webhook.settings import Version

FIRST: Final = (1, 36)
"""The first Kubernetes whose API server takes the action, by default (its feature gate is called
RestartAllContainersOnContainerExits). Older ones refuse the pod, or drop the rules."""

ON_EVERY_NODE: Final = (1, 39)
"""The first Kubernetes all of whose nodes have it: kubelets may be three minor versions older than
the API server, and on an older node such a pod is not placed, but stays Pending."""

ALL: Final = "RestartAllContainers"
ALONE: Final = "Restart"

_CODES: Final = range(256)
"""The exit codes of a process."""

_NEVER: Final = "Never"

_ENDING_PROBES: Final = ("livenessProbe", "startupProbe")
"""The kubelet ends a container for which one of these fails."""

_RESTARTED_AFTER: Final = {"OnFailure": _CODES[1:], _NEVER: _CODES[:0]}
"""By restart policy, after which exit codes a container is restarted; `Always` after all."""


class Obstacle(enum.StrEnum):
    """The reason why a container restarts without another verification."""

    AUDIT = "Audit"
    KEEP = "Keep"
    UNKNOWN = "VersionUnknown"
    SERVER = "ServerOlder"
    NODES = "NodesMayBeOlder"


def obstacle(*, mode: str, on_restart: str | None, server: Version | None) -> Obstacle | None:
    """Return why a container that sees the model restarts without another verification.

    Args:
        mode: The policy's.
        on_restart: The policy's, `None` where it has none.
        server: The API server's version, `None` where it is not known.

    Returns:
        `None` where it restarts only after another verification.
    """
    if mode == "Audit":
        return Obstacle.AUDIT
    if on_restart == "Keep":
        return Obstacle.KEEP
    if server is None:
        return Obstacle.UNKNOWN
    if on_restart == "Verify":
        return None if server >= FIRST else Obstacle.SERVER
    return None if on_every_node(server) else Obstacle.NODES


def in_force(policy: ModelValidation, server: Version | None) -> bool:
    """Tell whether a container that sees the model restarts only after another verification.

    Args:
        policy: The pod's.
        server: The API server's version, `None` where it is not known.
    """
    spec = policy.spec
    return obstacle(mode=spec.mode, on_restart=spec.on_restart, server=server) is None


def on_every_node(server: Version | None) -> bool:
    """Tell whether each node that may belong to an API server of this version has the action."""
    return server is not None and server >= ON_EVERY_NODE


def stops(policy: ModelValidation, server: Version | None) -> bool:
    """Tell whether a monitor that finds a bad model has the pod begin again."""
    asked = policy.spec.revalidation
    wanted = asked is not None and asked.action == "Stop" and policy.spec.mode != "Audit"
    return wanted and server is not None and server >= FIRST


def missing(policy: ModelValidation, server: Version | None) -> Iterator[str]:
    """Yield a sentence for each thing that the policy asks for and this API server lacks."""
    if policy.spec.mode == "Audit" or (server is not None and server >= FIRST):
        return
    has = "of an unknown version" if server is None else f"Kubernetes {server[0]}.{server[1]}"
    needs = f"needs Kubernetes {FIRST[0]}.{FIRST[1]}, and the API server is {has}"
    watched = policy.spec.revalidation
    if policy.spec.on_restart == "Verify":
        held = (
            "spec.revalidation watches it meanwhile"
            if watched
            else f"nothing watches it: {policy.remedy('set spec.revalidation')}"
        )
        yield (
            f"spec.onRestart Verify {needs}: a restarted container reads the model without the "
            f"gate, and {held}"
        )
    if watched and watched.action == "Stop":
        yield (
            f"spec.revalidation.action Stop {needs}: a bad model makes the pod unready, and its "
            "containers go on"
        )


def fields(placed: Placed, pod: Pod, policy: ModelValidation) -> JSON:
    """Return the fields that a container needs to restart only after another verification.

    None are needed where its own rules say so already, or where it does not restart.

    Raises:
        PodRefused: It has so many rules of its own that there is no room for ours.
    """
    restarts = _restart_policy(placed, pod)
    own = placed.view.restart_policy_rules or ()
    if all(_action(own, code) for code in _RESTARTED_AFTER.get(restarts, _CODES)):
        return {"restartPolicy": _NEVER} if _by_rules_alone(placed, restarts) else {}
    if len(own) >= RESTART_RULES_LIMIT:
        raise PodRefused(
            f"{placed.where} has {len(own)} restartPolicyRules, and spec.onRestart Verify adds one "
            f"(Kubernetes takes {RESTART_RULES_LIMIT}): remove one, or "
            f"{policy.remedy('set onRestart to Keep', field='onRestart')}"
        )
    # NotIn without values matches every code.
    codes: JSON = {"operator": "NotIn"}
    if restarts == "OnFailure":
        codes["values"] = [0]
    rule: JSON = {"action": ALL, "exitCodes": codes}
    given = placed.raw.get("restartPolicyRules") or []
    written = _NEVER if _by_rules_alone(placed, restarts) else restarts
    return {"restartPolicy": written, "restartPolicyRules": [*given, rule]}


def probes_past_rules(placed: Placed, pod: Pod) -> Iterator[str]:
    """Yield the fields with probes on whose failure the kubelet restarts a container alone."""
    policy = _restart_policy(placed, pod)
    if policy != _NEVER and not _by_rules_alone(placed, policy):
        yield from (each for each in _ENDING_PROBES if placed.raw.get(each) is not None)


def restarts_resized(placed: Placed) -> bool:
    """Tell whether the kubelet restarts a container alone when its resources are changed."""
    own = placed.view.resize_policy or ()
    return any(each.restart_policy == "RestartContainer" for each in own)


def unverified(placed: Placed) -> str:
    """Return the exit codes after which its own rules restart a container alone, as a text."""
    own = placed.view.restart_policy_rules or ()
    # An init container that ends with 0 has done its work, whatever its rules say.
    codes = _CODES[1:] if _ends(placed) else _CODES
    return _spans([code for code in codes if _action(own, code) == ALONE]) if own else ""


def _by_rules_alone(placed: Placed, policy: str) -> bool:
    """Tell whether the rules can say all of a container's restarts, and its policy be `Never`.

    A native sidecar is one by its `Always`. Under `OnFailure` a container that a probe has ended
    restarts even if it ended with 0, which no rule can tell from one that has done its work.
    """
    return policy == "Always" and not placed.is_sidecar


def _ends(placed: Placed) -> bool:
    """Tell whether it is an init container that ends before the next one starts."""
    return placed.field == "initContainers" and not placed.is_sidecar


def _restart_policy(placed: Placed, pod: Pod) -> str:
    """Return the restart policy that holds for a container, as it can be written there."""
    policy = placed.view.restart_policy or pod.spec.restart_policy or "Always"
    # In an init container, Always would say that it is a sidecar.
    return "OnFailure" if _ends(placed) and policy == "Always" else policy


def _action(rules: Iterable[RestartRule], code: int) -> str | None:
    """Return the action of the first rule that matches an exit code."""
    for rule in rules:
        if rule.exit_codes is None:
            continue
        named = code in (rule.exit_codes.values or ())
        if rule.exit_codes.operator == ("In" if named else "NotIn"):
            return rule.action
    return None


def _spans(codes: Sequence[int]) -> str:
    """Return numbers as a person writes them: 1, 3-255."""
    spans: list[list[int]] = []
    for code in codes:
        if spans and code == spans[-1][-1] + 1:
            spans[-1][1:] = [code]
        else:
            spans.append([code])
    return ", ".join("-".join(map(str, span)) for span in spans)
