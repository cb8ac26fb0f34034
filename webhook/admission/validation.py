"""The last look at a pod: as it would be stored, it is what mutation makes of it.

Belongs here: the comparison, and what an ephemeral container may not do. The rules
of a pod are `mutation`'s: a pod passes when they would change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from validator import contract
from validator.text import quoted
from webhook.admission import json_patch, mutation
from webhook.admission.injected.suspects import suspect
from webhook.admission.nest import nests
from webhook.admission.pod import INJECTED_NAMES, read_pod
from webhook.admission.rules.privileges import privileges
from webhook.admission.volume import read_volumes
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from validator.policy.document import ModelValidation
    from webhook.admission.pod import Manifest, Placed, Pod
    from webhook.admission.volume import Volume
    from webhook.admission.wire import JSON
    from webhook.settings import GateSettings, NamespaceOptions


class _Workload(msgspec.Struct, frozen=True):
    arguments: str = ""


class _GateSpec(msgspec.Struct, frozen=True):
    workload: _Workload = _Workload()


class _GatePolicy(msgspec.Struct, frozen=True):
    """The fields that are compared in the policy of a gate."""

    spec: _GateSpec = _GateSpec()


def check_created(
    manifest: Manifest,
    policy: ModelValidation,
    *,
    gate: GateSettings,
    namespace: NamespaceOptions,
) -> tuple[str, ...]:
    """Return warnings on a pod that is about to be stored: under Audit, what is wrong with it.

    Raises:
        PodRefused: Mutation would change it; the sentence names the field.
    """
    expected = mutation.mutate(manifest, policy, gate=gate, namespace=namespace, in_place=True).pod
    pod = manifest.raw
    difference = None if expected is pod else _difference(pod, expected, gate)
    if difference is None:
        return ()
    if policy.spec.mode == "Audit":
        return (f"{mutation.AUDIT}{difference}",)
    raise PodRefused(difference)


def check_ephemeral(
    pod: dict[str, Any],
    *,
    old: dict[str, Any] | None,
    policy: ModelValidation | None,
) -> None:
    """Check the containers that are added to a running pod.

    Args:
        pod: The pod with them.
        old: The pod as it is stored; what it already has was checked then.
        policy: The pod's policy; without one, what needs none is checked all the same.

    Raises:
        PodRefused: One of them could change the model or the verdict.
    """
    if policy is not None and policy.spec.mode == "Audit":
        return
    stored = read_pod(old if old is not None else pod)
    known = {placed.view.name for placed in stored.ephemeral} if old is not None else set()
    added = [placed for placed in read_pod(pod).ephemeral if placed.view.name not in known]
    if not added:
        return
    if _is_strict(stored, policy):
        raise PodRefused(
            f"{added[0].where}: under workload.arguments Strict no container is added to a pod: it "
            "would share vLLM's network, and may share its processes; debug a pod under Check"
        )
    _verified(stored, added[0])
    declared = read_volumes(stored)
    guarded = [declared[name] for name in _guarded(stored) if name in declared]
    for placed in added:
        if policy is None or not policy.spec.allow_privileged:
            for sentence in privileges(placed, policy):
                raise PodRefused(f"{sentence} (kubectl debug adds none with --profile=restricted)")
        _harmless(placed, declared, guarded)


def _guarded(stored: Pod) -> set[str]:
    """Return the names of the volumes that the gate mounts, and of those around another mount.

    Whoever writes one of the latter can rename the folder on which the model is mounted, or place a
    link that leads the other mount over the model at the container's next start.
    """
    verified = {
        mount.name
        for placed in stored.init
        if placed.is_gate
        for mount in placed.mounts
        if mount.name != contract.SCRATCH_VOLUME
    }
    return verified | {nest.outer.name for placed in stored.staying for nest in nests(placed)}


def _difference(pod: JSON, expected: JSON, settings: GateSettings) -> str | None:
    """Return the sentence on the first difference that may not be."""
    if expected.get("spec") is pod.get("spec"):
        # Under Audit, a pod that can have no gate: what is missing is the mark.
        return _sentence(pod, json_patch.patch(pod, expected)[0], injected=False)
    init = list(expected["spec"]["initContainers"])
    own = []
    for wanted_at, wanted in _injected(expected):
        name = quoted(wanted["name"])
        at, given = next(
            (each for each in _injected(pod) if each[1]["name"] == wanted["name"]), (0, None)
        )
        if given is None:
            return (
                f"the pod has no init container {name}: it has not been mutated; check that the "
                "MutatingWebhookConfiguration exists and covers this pod, and that no other "
                f"webhook adds the label {contract.LABEL} after this one"
            )
        if given.get("image") not in (settings.image, *settings.accepted_images):
            # Whatever else is missing follows from it.
            return (
                f"initContainers[{at}] {name} runs the image {quoted(given.get('image'))}, and "
                f"the webhook wrote {quoted(settings.image)}: another webhook changed the image "
                "of the gate, such as one that pins digests or uses a mirror; name the gate's "
                "image by that digest or mirror (--gate-image), or have that webhook leave it out"
            )
        if at != wanted_at:
            return _misplaced(pod, at, wanted_at)
        # Other replicas inject another image while a new release is rolled out.
        init[at] = {**wanted, "image": given["image"]}
        own.append(f"/spec/initContainers/{at}/")
    expected = {**expected, "spec": {**expected["spec"], "initContainers": init}}
    operations = json_patch.patch(pod, expected)
    if not operations:
        return None
    # Where the gate itself differs, what else does follows from it.
    first = next(
        (each for each in operations if each["path"].startswith(tuple(own))), operations[0]
    )
    return _sentence(pod, first, injected=first["path"].startswith(tuple(own)))


def _misplaced(pod: JSON, at: int, wanted_at: int) -> str:
    """Say that an injected container stands in the wrong place, and because of which other one."""
    init = pod["spec"]["initContainers"]
    own = INJECTED_NAMES if init[at]["name"] == contract.GATE_CONTAINER else (init[at]["name"],)
    others = [(index, each) for index, each in enumerate(init) if each["name"] not in own]
    early = at < wanted_at
    index, culprit = others[wanted_at - 1] if early else (wanted_at, init[wanted_at])
    return (
        f"initContainers[{at}] {quoted(init[at]['name'])} must be initContainers[{wanted_at}], "
        f"{'after' if early else 'before'} initContainers[{index}] {quoted(culprit['name'])}: the "
        "order was changed after mutation; have that one added before this webhook is called, or "
        "give the other webhook a name that sorts before this one's"
    )


def _injected(pod: JSON) -> list[tuple[int, JSON]]:
    """Return the containers that bear our names, each with its place."""
    init = enumerate(pod["spec"].get("initContainers") or ())
    # Under Audit, others may be no containers at all.
    return [
        (index, each)
        for index, each in init
        if isinstance(each, dict) and each.get("name") in INJECTED_NAMES
    ]


def _sentence(pod: JSON, operation: Mapping[str, Any], *, injected: bool) -> str:
    """Say of one operation which field is not as mutation leaves it, and what to do."""
    what = {
        "add": "is missing",
        "remove": "must not be there",
        "replace": "is not what the webhook wrote",
    }[operation["op"]]
    where = _place(pod, operation["path"])
    if injected:
        return f"{where} {what}: {suspect(_entry(pod, operation['path']))}"
    if operation["op"] == "add" and operation["path"].endswith("/recursiveReadOnly"):
        return (
            f"{where} {what}: another webhook removed it, or the API server drops it, as "
            "Kubernetes before 1.31 does, and 1.31 and 1.32 without their feature gate "
            "RecursiveReadOnlyMounts; upgrade, or have that webhook leave this pod alone"
        )
    return (
        f"{where} {what}: it was changed after mutation, or the pod was not mutated; see which "
        "other webhook changes it and have it leave this pod alone"
    )


def _entry(value: Any, pointer: str) -> JSON:
    """Return the innermost object on the way of a JSON pointer."""
    found: JSON = {}
    for token in pointer.split("/")[1:]:
        if isinstance(value, list):
            value = value[int(token)] if int(token) < len(value) else None
        else:
            value = value.get(token) if isinstance(value, dict) else None
        found = value if isinstance(value, dict) else found
    return found


def _place(value: Any, pointer: str) -> str:
    """Return a JSON pointer as a person writes the place, list items with their names."""
    parts = [""]
    for token in pointer.split("/")[1:]:
        if isinstance(value, list):
            value = value[int(token)] if int(token) < len(value) else None
            named = isinstance(value, dict) and "name" in value
            parts[-1] += f"[{token}]"
            parts += [""] if named else []
            parts[-2:] = [f"{parts[-2]} {quoted(value['name'])}", ""] if named else parts[-2:]
        else:
            value = value.get(token) if isinstance(value, dict) else None
            parts[-1] += f".{token}" if parts[-1] else token
    return ": ".join(part for part in parts if part).removeprefix("spec.")


def _is_strict(pod: Pod, policy: ModelValidation | None) -> bool:
    """Tell whether a pod was admitted under Strict, or its policy asks for that now."""
    asked = [
        _arguments_of(variable["value"])
        for placed in pod.init
        if placed.is_gate
        for variable in placed.raw.get("env") or ()
        if isinstance(variable, dict)
        and variable.get("name") == contract.POLICY_VARIABLE
        and isinstance(variable.get("value"), str)
    ]
    asked += [policy.spec.workload.arguments] if policy is not None else []
    return "Strict" in asked


def _arguments_of(text: str) -> str:
    """Return what a gate's policy asks of the workload's arguments; "" where it cannot be read."""
    try:
        return msgspec.json.decode(text, type=_GatePolicy).spec.workload.arguments
    except msgspec.MsgspecError:
        return ""


def _verified(pod: Pod, added: Placed) -> None:
    """Refuse as long as the gate has not succeeded."""
    if not any(placed.is_gate for placed in pod.init):
        raise PodRefused(
            f"{added.where}: the pod has no init container {quoted(contract.GATE_CONTAINER)}, so "
            "its model was never verified: create the pod anew"
        )
    for status in pod.status.init_container_statuses or ():
        ended = status.state and status.state.terminated
        if status.name == contract.GATE_CONTAINER and ended and ended.exit_code == 0:
            return
    raise PodRefused(
        f"{added.where}: the model is not verified yet: wait until the init container "
        f"{quoted(contract.GATE_CONTAINER)} has succeeded"
    )


def _harmless(placed: Placed, declared: Mapping[str, Volume], guarded: list[Volume]) -> None:
    """Refuse what reaches for the gate or for what it has verified."""
    if placed.is_injected or placed.view.target_container_name in INJECTED_NAMES:
        raise PodRefused(
            f"{placed.where} takes the name of the init container that verifies the model, or "
            "aims at it: choose another name and target"
        )
    if contract.SCRATCH_VOLUME in placed.uses:
        raise PodRefused(f"{placed.where} mounts the gate's own volume: leave it out")
    writable = {mount.name for mount in placed.mounts if not mount.read_only}
    writable |= {device.name for device in placed.devices}
    for name in writable & declared.keys():
        if any(declared[name].reaches(volume) for volume in guarded):
            raise PodRefused(
                f"{placed.where} mounts the volume {quoted(name)} writable, which holds the model "
                "or has another mount within it: add readOnly: true"
            )
