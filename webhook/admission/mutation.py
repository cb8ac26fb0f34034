"""The one way of a pod: read, locate, place, judge, build, assemble.

A pure function of pod and policy, idempotent: done twice it is done once. The six steps
run in this order, and docs/admission.md describes them under the same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from validator.text import quoted
from webhook.admission import policy_volume, rules, storage
from webhook.admission.audit_mark import marked
from webhook.admission.injected import (
    gate_container,
    gate_mounts,
    kept,
    monitor_container,
    restart_rules,
)
from webhook.admission.pod import INJECTED_NAMES, check_expansions
from webhook.admission.rules.case import Case
from webhook.admission.rules.reserved import check_reserved_names
from webhook.admission.volume import read_volumes
from webhook.errors import PodRefused
from webhook.vllm.recognition import recognised

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from validator.policy.document import ModelValidation
    from webhook.admission.pod import Manifest, Placed, Pod
    from webhook.admission.rules import Verdict
    from webhook.admission.storage import ModelStorage
    from webhook.admission.wire import JSON
    from webhook.settings import GateSettings, NamespaceOptions, Version

AUDIT: Final = "would be refused under Enforce: "


class Mutation(msgspec.Struct, frozen=True, kw_only=True):
    """A mutated pod.

    Attributes:
        pod: The pod with its gate. What did not change is shared with the pod that
            went in, which is as it was: neither is to be written to.
        warnings: Sentences for the person who creates the pod.
        unread: Arguments of the workload that could not be read.
        vllm: Whether arguments were read as vLLM's.
        restarts_verified: Whether containers that see the model restart only after another
            verification.
    """

    pod: dict[str, Any]
    warnings: tuple[str, ...]
    unread: tuple[str, ...]
    vllm: bool
    restarts_verified: bool = False


def mutate(
    manifest: Manifest,
    policy: ModelValidation,
    *,
    gate: GateSettings,
    namespace: NamespaceOptions,
    in_place: bool = False,
) -> Mutation:
    """Return the pod with its gate.

    A policy in Audit refuses nothing: what would be refused is a warning, and a pod that
    cannot get a gate stays as it is, but for the mark of Audit, and without init containers that
    bear the injected names.

    Args:
        manifest: The pod.
        policy: Its policy.
        gate: The gate's image and program.
        namespace: The pod's namespace.
        in_place: Whether a gate that the pod has already may stay where it is, if nothing after it
            could change or serve the model before the verdict.

    Raises:
        PodRefused: The pod cannot be made to serve the signed model and nothing else.
    """
    if policy.spec.mode == "Audit":
        return _audited(manifest, policy, gate, namespace, in_place=in_place)
    case = _placed(manifest.pod, policy, namespace, server=gate.server, in_place=in_place)
    verdict = rules.judge(case)
    if verdict.refusals:
        raise PodRefused("; ".join(verdict.refusals))
    mutation = _with_gate(manifest.pod, case, verdict, settings=gate)
    pod = marked(mutation.pod, policy)
    return mutation if pod is mutation.pod else replace(mutation, pod=pod)


def _audited(
    manifest: Manifest,
    policy: ModelValidation,
    settings: GateSettings,
    namespace: NamespaceOptions,
    *,
    in_place: bool,
) -> Mutation:
    """Return the pod with its gate if it can have one, and every refusal as a warning."""
    refusals: tuple[str, ...] = ()
    try:
        server = settings.server
        case = _placed(manifest.pod, policy, namespace, server=server, in_place=in_place)
        verdict = rules.judge(case)
        refusals = verdict.refusals
        mutation = _with_gate(manifest.pod, case, verdict, settings=settings)
    except PodRefused as refusal:
        mutation = Mutation(pod=_bare(manifest.raw), warnings=(), unread=(), vllm=False)
        refusals = (*refusals, str(refusal))
    warnings = (*(f"{AUDIT}{refusal}" for refusal in refusals), *mutation.warnings)
    pod = marked(mutation.pod, policy)
    return replace(mutation, pod=pod, warnings=warnings)


def _bare(pod: Any) -> Any:
    """Return a pod without init containers of the injected names.

    Whoever brought one could speak in the gate's name, and an exemption does not look at its image.

    Args:
        pod: Any value; one that is no pod stays as it is.
    """
    spec = pod.get("spec") if isinstance(pod, dict) else None
    if not isinstance(spec, dict) or not isinstance(init := spec.get("initContainers"), list):
        return pod
    others = [each for each in init if not _is_injected(each)]
    return pod if len(others) == len(init) else {**pod, "spec": {**spec, "initContainers": others}}


def _is_injected(container: object) -> bool:
    return isinstance(container, dict) and container.get("name") in INJECTED_NAMES


def _placed(
    given: Pod,
    policy: ModelValidation,
    namespace: NamespaceOptions,
    *,
    server: Version | None,
    in_place: bool,
) -> Case:
    """Return the pod with a place for its gate: steps 1 to 3.

    Raises:
        PodRefused: A name is taken, or a model has no place.
    """
    models = policy.spec.all_models

    # 1. Read. The init containers of the injected names are dropped, whoever wrote them, and
    #    written anew. The reserved names anywhere else are refused.
    check_reserved_names(given, models)
    bare = given.without_injected()
    check_expansions(bare)

    # 2. Locate. The model lies on the workload's mount whose path is the longest prefix of its
    #    path; where there is none, on the volume that the policy brings along.
    pod = policy_volume.with_model_volumes(bare, policy, namespace=namespace)
    located = storage.locate(pod, models, read_volumes(pod))

    # 3. Place. The gate stands after the last init container that writes the model and ends, after
    #    the native sidecars that may serve its volume, and after the init containers that fill a
    #    volume within which something else is mounted; the monitor stands after the gate.
    writers = tuple(
        placed for placed in pod.init if not placed.is_sidecar and located.writes(placed)
    )
    earliest = writers[-1].index + 1 if writers else 0
    position = _after_servers(pod, located, earliest)
    if in_place:
        position = _in_place(given, pod, located, earliest=earliest, otherwise=position)
    return Case(
        pod=pod,
        policy=policy,
        storage=located,
        writers=writers,
        position=position,
        server=server,
    )


def _in_place(given: Pod, pod: Pod, located: ModelStorage, *, earliest: int, otherwise: int) -> int:
    """Return the place of a gate that is there, if it is one that serves as well.

    Between the last writer and the first container that has the model or starts vLLM, no verdict
    depends on which of them starts first; only those that fill an outer volume come first.
    """
    stands = _place_of_gate(given)
    fillers = [
        placed.index + 1 for placed in pod.init[earliest:otherwise] if _fills(placed, located)
    ]
    between = pod.init[earliest:stands]
    if (
        stands is None
        or stands < max([earliest, *fillers])
        or any(located.sees(placed) or recognised(placed.reading) for placed in between)
    ):
        return otherwise
    return stands


def _place_of_gate(given: Pod) -> int | None:
    """Return how many init containers of other people's stand before a gate that is there."""
    before = 0
    for placed in given.init:
        if placed.is_gate:
            return before
        before += not placed.is_injected
    return None


def _after_servers(pod: Pod, located: ModelStorage, position: int) -> int:
    """Return the gate's position after the native sidecars that may serve the model's volume.

    Such a sidecar (GCS FUSE, JuiceFS) does not have the volume itself. A container that has it,
    or that starts vLLM, stays after the gate. One that fills an outer volume, and ends, comes
    before the gate, which looks for links there.
    """
    for placed in pod.init[position:]:
        if located.sees(placed) or recognised(placed.reading):
            break
        if placed.is_sidecar or _fills(placed, located):
            position = placed.index + 1
    return position


def _fills(placed: Placed, located: ModelStorage) -> bool:
    return not placed.is_sidecar and not located.outer.isdisjoint(located.families(placed))


def _with_gate(given: Pod, case: Case, verdict: Verdict, *, settings: GateSettings) -> Mutation:
    """Return the pod with its gate: steps 5 and 6, after the judgement.

    Raises:
        PodRefused: No gate can be built for the pod.
    """
    policy = case.policy

    # 5. Build. The gate is restricted, runs as the workload's user with its CPU, and mounts what it
    #    reads, read-only; every field is written out.
    outer = gate_mounts.outer_volumes(case.looked_at, case.storage)
    gate = gate_container.build(
        case.pod,
        policy,
        settings=settings,
        task=gate_container.Task(
            mounts=gate_mounts.mounts(case.pod, case.storage, policy, outer=outer.mounts),
            cover=verdict.cover,
            nested=outer.nested,
            served_by=case.storage.places[0].placed,
        ),
    )
    injected = [gate]
    if policy.spec.revalidation is not None:
        injected.append(monitor_container.build(gate, case.pod, policy, settings=settings))

    # 6. Assemble. What runs beside the verdict or after it reads the model's volumes only, and
    #    restarts after another verdict, where the policy and the API server have it so.
    frozen: dict[str, JSON] = {}
    warnings = [*verdict.warnings, *restart_rules.missing(policy, settings.server)]
    if policy.spec.mode == "Enforce":
        warnings += _made_read_only(case)
        frozen = {placed.where: _frozen(placed, case) for placed in case.workload}
    return Mutation(
        pod=_assembled(case, _as_left(injected, given), frozen),
        warnings=tuple(dict.fromkeys(warnings)),
        unread=verdict.unread,
        vllm=verdict.vllm,
        restarts_verified=case.restarts_verified,
    )


def _frozen(placed: Placed, case: Case) -> JSON:
    """Return a container that reads the models' volumes only, and restarts as the policy says.

    Raises:
        PodRefused: There is no room for a restart rule.
    """
    given = placed.raw.get("volumeMounts") or []
    mounts = [
        _read_only(raw) if mount.name in case.storage.reaching else raw
        for mount, raw in zip(placed.mounts, given, strict=True)
    ]
    changed = {} if mounts == given else {"volumeMounts": mounts}
    if case.restarts_verified and case.storage.sees(placed):
        changed |= restart_rules.fields(placed, case.pod, case.policy)
    return {**placed.raw, **changed} if changed else placed.raw


def _read_only(mount: JSON) -> JSON:
    if mount.get("readOnly") and mount.get("recursiveReadOnly") in ("IfPossible", "Enabled"):
        return mount
    return {**mount, "readOnly": True, "recursiveReadOnly": "IfPossible"}


def _made_read_only(case: Case) -> Iterable[str]:
    """Yield the mounts beside the model's own that a person would not expect to be read-only."""
    shown = {place.mount.at for place in case.storage.places}
    for placed in case.workload:
        for mount in placed.mounts:
            if (
                not mount.read_only
                and mount.at not in shown
                and mount.name in case.storage.reaching
            ):
                yield (
                    f"{placed.where}: the mount at {quoted(mount.mount_path)} has become "
                    "read-only, since the model lies on its volume too"
                )


def _as_left(injected: Iterable[JSON], given: Pod) -> list[JSON]:
    """Return the injected containers, with what others may change of those that are there."""
    brought = {placed.view.name: placed.raw for placed in given.init if placed.is_injected}
    return [kept.as_others_left_it(each, brought.get(each["name"], {})) for each in injected]


def _assembled(case: Case, injected: Iterable[JSON], frozen: Mapping[str, JSON]) -> JSON:
    """Return the pod with the injected containers, sharing with it what did not change."""
    pod, position = case.pod, case.position
    spec = pod.raw["spec"]
    init = [frozen.get(placed.where, placed.raw) for placed in pod.init]
    declared = spec.get("volumes") or []
    scratch = [] if gate_mounts.SCRATCH in declared else [gate_mounts.SCRATCH]
    return {
        **pod.raw,
        "spec": {
            **spec,
            "initContainers": [*init[:position], *injected, *init[position:]],
            "containers": [frozen.get(placed.where, placed.raw) for placed in pod.containers],
            "volumes": [*declared, *scratch],
        },
    }
