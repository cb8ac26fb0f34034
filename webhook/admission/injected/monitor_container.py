"""The native sidecar that verifies again, while the workload runs.

Image, environment, mounts and user are the gate's. Belongs here: what is the monitor's own, above
all the probes by which a pod learns of its verdicts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator import contract
from webhook.admission.injected import gate_container, quantities, restart_rules

if TYPE_CHECKING:
    from validator.policy.document import ModelValidation
    from webhook.admission.pod import Pod
    from webhook.admission.wire import JSON
    from webhook.settings import GateSettings

CPU: Final = "250m"
"""The CPU that it asks for at most. Unlike the gate's, its CPU is added to what the pod needs, for
as long as the pod runs. It is good for 90 MiB/s on a core without SHA instructions, and for 360
with them: about the rate at which it reads beside the workload, unless the policy sets another."""

PERIOD_SECONDS: Final = 5
"""Seconds until a pod learns of a verdict; each probe costs 35 ms of CPU, and the runtime's."""

TIMEOUT_SECONDS: Final = 10
"""Hashing has the same CPU limit, and a probe must not be late for it: that would be a verdict."""

START_SECONDS: Final = 24 * 60 * 60
"""Seconds that a first verification may take. After that the kubelet restarts the monitor."""


STOP: Final = {
    "action": restart_rules.ALL,
    "exitCodes": {"operator": "In", "values": [contract.ExitCode.STOP.value]},
}
"""The rule by which a monitor that has found a bad model has the pod begin again with its gate."""


def build(gate: JSON, pod: Pod, policy: ModelValidation, *, settings: GateSettings) -> JSON:
    """Return the monitor.

    Args:
        gate: The gate of the same pod, as it is built.
        pod: The pod that it watches.
        policy: What it verifies.
        settings: Its program.
    """
    stops = restart_rules.stops(policy, settings.server)
    return {
        **gate,
        "name": contract.MONITOR_CONTAINER,
        "command": [*settings.command, "monitor", *(["--stop"] if stops else [])],
        "resources": _resources(gate, pod),
        "restartPolicy": "Always",
        **({"restartPolicyRules": [STOP]} if stops else {}),
        "volumeMounts": [_with_scratch(mount) for mount in gate["volumeMounts"]],
        **_probes(policy, settings),
    }


def _probes(policy: ModelValidation, settings: GateSettings) -> JSON:
    """Return the probe for which the workload waits at the start, and the one that follows."""
    if policy.spec.mode == "Audit":  # which stops nothing
        return {}
    probe: JSON = {
        "exec": {"command": [*settings.command, "monitor", "--status"]},
        "failureThreshold": 1,
        "periodSeconds": PERIOD_SECONDS,
        "successThreshold": 1,
        "timeoutSeconds": TIMEOUT_SECONDS,
    }
    probes = {"startupProbe": {**probe, "failureThreshold": START_SECONDS // PERIOD_SECONDS}}
    if policy.spec.revalidation and policy.spec.revalidation.action != "Report":
        probes["readinessProbe"] = probe
    return probes


def _with_scratch(mount: JSON) -> JSON:
    """Return a mount of the gate's; in the scratch volume, verdicts are kept for the probes."""
    if mount["name"] != contract.SCRATCH_VOLUME:
        return mount
    return {name: value for name, value in mount.items() if name != "readOnly"}


def _resources(gate: JSON, pod: Pod) -> JSON:
    """Return the gate's memory, and of the largest container's CPU as much as is of use.

    Each amount is the workload's or ours, whichever is less. So a quota, the bounds and ratio of a
    LimitRange and a class of service that admit the workload admit the monitor.
    """
    cpu = dict(zip(("requests", "limits"), gate_container.largest_cpu(pod), strict=True))
    written = {
        kind: {
            **({"cpu": min(amount, CPU, key=quantities.value)} if amount else {}),
            **{name: of for name, of in gate["resources"].get(kind, {}).items() if name != "cpu"},
        }
        for kind, amount in cpu.items()
    }
    return {kind: of for kind, of in written.items() if of}
