"""The init container that verifies: its program, environment, user and resources."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from validator import contract
from validator.errors import PolicyError
from validator.policy.workload import Amounts
from webhook.admission.injected import gate_mounts, quantities
from webhook.admission.pod import Placed
from webhook.admission.wire import JSON, Resources
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from validator.policy.document import ModelValidation
    from webhook.admission.pod import Pod
    from webhook.settings import GateSettings

MEMORY: Final = "256Mi"
"""The memory that the validator needs at most, with buffers of all threads and a large bundle."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The work of one gate in one pod.

    Attributes:
        mounts: Its volume mounts.
        cover: Absolute paths that the workload opens, which the signature must cover.
        nested: What the workload mounts within volumes: from the gate's path to the workload's.
        served_by: The container that serves the model, whose user the gate takes on.
    """

    mounts: list[JSON]
    cover: Collection[str]
    nested: Mapping[str, str]
    served_by: Placed


def build(
    pod: Pod,
    policy: ModelValidation,
    *,
    settings: GateSettings,
    task: Task,
) -> JSON:
    """Return the gate.

    Args:
        pod: The pod that it guards.
        policy: What it verifies.
        settings: Its image and program.
        task: What it has to do there.

    Raises:
        PodRefused: The policy is too long for an environment, or an amount is not a quantity.
    """
    return {
        "name": contract.GATE_CONTAINER,
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*settings.command, "verify", "policy"],
        "env": _environment(policy, task),
        "resources": _resources(pod, policy),
        "securityContext": _security_context(pod, policy, settings, task.served_by),
        "terminationMessagePath": contract.TERMINATION_MESSAGE_PATH,
        "terminationMessagePolicy": "File",
        "volumeMounts": task.mounts,
    }


def _environment(policy: ModelValidation, task: Task) -> list[JSON]:
    variables: list[JSON]
    try:
        variables = [{"name": contract.POLICY_VARIABLE, "value": policy.to_environment()}]
    except PolicyError as error:
        raise PodRefused(str(error)) from error
    if paths := sorted(task.cover):
        what = f"the workload's arguments name {len(paths)} paths"
        variables.append(_variable(contract.COVER_VARIABLE, paths, what=what))
    if task.nested:
        what = f"the workload has {len(task.nested)} mounts within other volumes"
        variables.append(_variable(contract.NESTED_VARIABLE, task.nested, what=what))
    if gate_mounts.fetches(policy):
        # All else is read-only, and what is fetched passes through a folder.
        variables.append({"name": "TMPDIR", "value": contract.SERVICE_ACCOUNT_PATH})
    uid = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}
    return [*variables, {"name": contract.POD_UID_VARIABLE, "valueFrom": uid}]


def _variable(name: str, value: Any, *, what: str) -> JSON:
    """Return a variable of JSON.

    Raises:
        PodRefused: It is too long; `what` names what there is too much of.
    """
    # Kubernetes expands $(NAME) and $$ in values: no dollar sign may reach it.
    text = json.dumps(value, separators=(",", ":"), sort_keys=True).replace("$", "\\u0024")
    if len(text) > contract.ENVIRONMENT_LIMIT:
        raise PodRefused(f"{what}, too long for an environment: name fewer")
    return {"name": name, "value": text}


def _security_context(
    pod: Pod, policy: ModelValidation, settings: GateSettings, served_by: Placed
) -> JSON:
    """Return what Pod Security "restricted" asks for, as the user whose files are read."""
    context: JSON = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    levels = (policy.spec.security_context, served_by.view.security_context)
    users = [level.run_as_user for level in (*levels, pod.spec.security_context) if level]
    groups = [level.run_as_group for level in (*levels, pod.spec.security_context) if level]
    user = next((user for user in users if user is not None), settings.user)
    group = next((group for group in groups if group is not None), None)
    context["runAsUser"] = user
    # Root is followed where the workload is root, or its files could not be read.
    context["runAsNonRoot"] = user != 0
    if group is not None:
        context["runAsGroup"] = group
    return context


def _resources(pod: Pod, policy: ModelValidation) -> JSON:
    """Return the CPU of the largest container and our memory, or what the policy says of each.

    What admits the largest container (a quota, a LimitRange, a class of service) then admits
    the gate, which runs before it and so costs the pod nothing.
    """
    wanted = policy.spec.resources
    requests = (wanted and wanted.requests) or Amounts()
    limits = (wanted and wanted.limits) or Amounts()
    cpu = _spelled(requests.cpu, limits.cpu)
    if cpu == (None, None):
        cpu = largest_cpu(pod)
    memory = _spelled(requests.memory, limits.memory)
    if memory == (None, None):
        memory = (MEMORY, MEMORY)
    amounts = {"cpu": cpu, "memory": memory}
    written = {
        "requests": {name: request for name, (request, _) in amounts.items() if request},
        "limits": {name: limit for name, (_, limit) in amounts.items() if limit},
    }
    return {kind: of for kind, of in written.items() if of}


def largest_cpu(pod: Pod) -> tuple[str | None, str | None]:
    """Return the CPU request and limit of the largest container, as the API server spells them.

    Raises:
        PodRefused: An amount is not a quantity.
    """
    return max((_cpu(placed) for placed in pod.containers), key=_size, default=(None, None))


def _spelled(
    request: str | float | None, limit: str | float | None
) -> tuple[str | None, str | None]:
    """Return a request and a limit as the API server spells them; a limit alone is requested."""
    request, limit = (
        None if amount is None else quantities.canonical(amount) for amount in (request, limit)
    )
    return request or limit, limit


def _cpu(placed: Placed) -> tuple[str | None, str | None]:
    """Return a container's CPU request and limit."""
    resources = placed.view.resources or Resources()
    request, limit = ((of or {}).get("cpu") for of in (resources.requests, resources.limits))
    try:
        return _spelled(request, limit)
    except ValueError as error:
        raise PodRefused(f"{placed.where}: resources.cpu: {error}") from error


def _size(cpu: tuple[str | None, str | None]) -> tuple[Any, ...]:
    request, limit = cpu
    return (
        quantities.value(request) if request else -1,
        # No limit is the largest.
        limit is None,
        quantities.value(limit) if limit else 0,
    )
