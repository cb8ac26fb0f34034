"""The init container that verifies: what it mounts, as whom it runs, what it may use.

Belongs here: how the container is written, every field that the API server would
default included. Where it stands among the others is `mutation`'s business.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.errors import PolicyError
from validator.paths import covers, related
from validator.policy.workload import Amounts
from validator.text import quoted
from webhook.admission import quantities, storage
from webhook.admission.pod import JSON, Mount, Placed, Pod, Resources
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from validator.policy.document import ModelValidation
    from webhook.admission.storage import Place, Volume
    from webhook.settings import GateSettings

MEMORY: Final = "256Mi"
"""What the validator needs at most, buffers of all its threads and a large bundle included."""

PROGRAM: Final = (
    *("/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt/model-validation", "/proc"),
    *("/run/secrets", "/sbin", "/sys", "/usr", contract.TERMINATION_MESSAGE_PATH),
)
"""What the validator runs on in its own image, as any distribution lays it out. The gate repeats
mounts that the pod's author wrote: one over its interpreter would bring a program of theirs, and
that would be the verdict. `/run/secrets` is where the link /var/run leads, and so the scratch
volume's place."""

SCRATCH_SIZE: Final = "4Mi"
"""Room for a TUF repository's metadata; memory, so that no disk is needed."""

SCRATCH: Final[JSON] = {
    "name": contract.SCRATCH_VOLUME,
    "emptyDir": {"medium": "Memory", "sizeLimit": SCRATCH_SIZE},
}
"""The volume of gate and monitor. It stands where the ServiceAccount plugin, which runs again after
us, would mount the token: a container that has a mount there already is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one gate has to do in one pod.

    Attributes:
        mounts: Its volume mounts.
        cover: Absolute paths that the workload opens, which the signature must cover.
        served_by: The container that serves the model, whose user the gate takes on.
    """

    mounts: list[JSON]
    cover: set[str]
    served_by: Placed


def mounts(
    places: Sequence[Place],
    *,
    policy: ModelValidation,
    containers: Sequence[Placed],
    declared: Mapping[str, Volume],
) -> list[JSON]:
    """Return what the gate mounts: the models, and signatures and anchors that lie beside them.

    Args:
        places: Where the models lie.
        policy: The policy, which says where signatures and anchors lie.
        containers: The containers whose mounts may be repeated.
        declared: The pod's volumes by name.

    Raises:
        PodRefused: One of the paths is on no volume, or they cannot be mounted side by side, or
            not without hiding the gate's own program.
    """
    needed = {place.mount.at: place.mount for place in places}
    paths = [(place.model.signature, "signature") for place in places]
    if policy.spec.allow_pod_trust_anchors:
        paths += [(path, "trust anchor") for path in anchor_paths(policy)]
    for path, what in paths:
        if any(covers(place.mount.at, path) for place in places):
            continue
        mount = _beside(path, what=what, containers=containers, declared=declared)
        kept = needed.setdefault(mount.at, mount)
        if (kept.name, kept.sub_path or "") != (mount.name, mount.sub_path or ""):
            raise PodRefused(
                f"the {what} {path} and another file that the gate reads lie on two volumes with "
                f"one mountPath {quoted(mount.at)}: mount them at two paths"
            )
    _beside_the_program(needed)
    _side_by_side([*needed, contract.SERVICE_ACCOUNT_PATH])
    scratch: JSON = {"name": contract.SCRATCH_VOLUME, "mountPath": contract.SERVICE_ACCOUNT_PATH}
    if not _fetches(policy):
        scratch["readOnly"] = True
    return [*(_read_only(needed[at]) for at in sorted(needed)), scratch]


def anchor_paths(policy: ModelValidation) -> tuple[str, ...]:
    """Return the paths of trust anchors that are not inline, each once."""
    paths = (signer.anchor_path for signer in policy.spec.config.signers)
    return tuple(dict.fromkeys(path for path in paths if path is not None))


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
        "env": _environment(policy, task.cover),
        "resources": _resources(pod, policy),
        "securityContext": _security_context(pod, policy, settings, task.served_by),
        "terminationMessagePath": contract.TERMINATION_MESSAGE_PATH,
        "terminationMessagePolicy": "File",
        "volumeMounts": task.mounts,
    }


def as_kubernetes_left_it(gate: JSON, given: JSON) -> JSON:
    """Return the gate, or its monitor, with what Kubernetes changes behind us.

    Its plugins run again after a webhook, and then the webhook once more: what it took back
    each time, AlwaysPullImages and a quota would refuse.

    Args:
        gate: As it is built.
        given: The container of its name that came with the pod; empty, if there was none.
    """
    for kept in (_pulled_always, _amounts_by_default):
        gate = kept(gate, given)
    return gate


def _pulled_always(gate: JSON, given: JSON) -> JSON:
    """AlwaysPullImages."""
    if given.get("imagePullPolicy") == "Always":
        return {**gate, "imagePullPolicy": "Always"}
    return gate


def _amounts_by_default(gate: JSON, given: JSON) -> JSON:
    """LimitRanger: defaults for resources of which we say nothing."""
    resources = dict(gate["resources"])
    for kind in ("requests", "limits"):
        if amounts := (given.get("resources") or {}).get(kind):
            resources[kind] = {**amounts, **resources.get(kind, {})}
    return {**gate, "resources": resources}


def _beside(
    path: str, *, what: str, containers: Sequence[Placed], declared: Mapping[str, Volume]
) -> Mount:
    """Return the mount of a file that does not lie with a model."""
    held = storage.holder(path, containers)
    if held is None:
        raise PodRefused(
            f"no container mounts a volume at or above the {what} {path}: add a volumeMount to "
            "the container that serves the model"
        )
    placed, mount = held
    volume = storage.volume_of(mount, placed, declared)
    if storage.unreadable(volume):
        raise PodRefused(
            f"the {what} {path} lies on the {volume.kind} volume {quoted(volume.name)}, which "
            "a policy must not read: keep it beside the model or in a ConfigMap"
        )
    return mount


def _beside_the_program(paths: Iterable[str]) -> None:
    for path in paths:
        for own in PROGRAM:
            if related(path, own):
                raise PodRefused(
                    f"the gate would mount {path} over what it runs on itself ({own}): mount the "
                    "volume closer to the model, or at another path"
                )


def _side_by_side(paths: Sequence[str]) -> None:
    for index, one in enumerate(paths):
        for other in paths[index + 1 :]:
            if related(one, other):
                raise PodRefused(
                    f"the gate would mount {one} and {other}, which lie within one another: "
                    "mount model, signature and trust anchors at paths of their own"
                )


def _read_only(mount: Mount) -> JSON:
    written: JSON = {"name": mount.name, "mountPath": mount.at, "readOnly": True}
    if mount.sub_path:
        written["subPath"] = mount.sub_path
    return written


def _environment(policy: ModelValidation, cover: set[str]) -> list[JSON]:
    variables: list[JSON]
    try:
        variables = [{"name": contract.POLICY_VARIABLE, "value": policy.to_environment()}]
    except PolicyError as error:
        raise PodRefused(str(error)) from error
    if paths := sorted(cover):
        # Kubernetes expands $(NAME) and $$ in values: no dollar sign may reach it.
        text = json.dumps(paths, separators=(",", ":")).replace("$", "\\u0024")
        variables.append({"name": contract.COVER_VARIABLE, "value": text})
        if len(text) > contract.ENVIRONMENT_LIMIT:
            raise PodRefused(
                f"the workload's arguments name {len(paths)} paths, too long for an environment: "
                "name fewer"
            )
    if _fetches(policy):
        # All else is read-only, and what is fetched passes through a folder.
        variables.append({"name": "TMPDIR", "value": contract.SERVICE_ACCOUNT_PATH})
    uid = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}
    return [*variables, {"name": contract.POD_UID_VARIABLE, "valueFrom": uid}]


def _fetches(policy: ModelValidation) -> bool:
    """Tell whether the root of trust comes from a TUF repository."""
    return policy.spec.trust is not None and policy.spec.trust.tuf is not None


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
