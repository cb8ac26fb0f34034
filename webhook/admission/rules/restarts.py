"""The rule on restarts: where they are verified, a container does not restart past the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.admission.injected import restart_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.admission.pod import Placed, Pod
    from webhook.admission.rules.case import Case


def restarts_alone(case: Case) -> Iterator[str]:
    """No container that sees the model restarts alone, by a rule of its own."""
    if case.strict:
        yield from _sentences(case)


def tolerated_restarts(case: Case) -> Iterator[str]:
    """Yield the warnings of the same, where the policy does not ask for Strict."""
    if not case.strict:
        yield from _sentences(case)


def _sentences(case: Case) -> Iterator[str]:
    if not case.restarts_verified:
        return
    if case.pod.raw["spec"].get("nodeName") and not restart_rules.on_every_node(case.server):
        yield (
            "spec.nodeName passes by the scheduler, which knows the nodes that run the gate again: "
            "on an older one the pod's containers restart without a verification; choose the node "
            "by nodeSelector or affinity"
        )
    for placed in case.workload:
        if case.storage.sees(placed):
            yield from _past_the_gate(placed, case.pod)


def _past_the_gate(placed: Placed, pod: Pod) -> Iterator[str]:
    if codes := restart_rules.unverified(placed):
        yield (
            f"{placed.where}: by its restartPolicyRules it restarts without a verification "
            f"after the exit codes {codes}: let these rules say {restart_rules.ALL}, or "
            "remove them"
        )
    for probe in restart_rules.probes_past_rules(placed, pod):
        yield (
            f"{placed.where}: when its {probe} fails, it restarts without a verification, since "
            "Kubernetes asks no restart rule then: remove the probe"
        )
    if restart_rules.restarts_resized(placed):
        yield (
            f"{placed.where}: by its resizePolicy it restarts without a verification when its "
            "resources are changed: set NotRequired in place of RestartContainer"
        )
