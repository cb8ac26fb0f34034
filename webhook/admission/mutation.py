"""What is done to a pod so that it serves exactly the model that its owner signed.

A pure function of pod and policy, idempotent: done twice it is done once. The
numbers in `_mutated` are those of the design, and each step refuses for reasons
of its own. Everything else in this package is transport.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.paths import covers
from validator.text import quoted
from webhook.admission import gate_container, monitor_container, storage
from webhook.admission import pod as pods
from webhook.admission.audit_mark import marked
from webhook.admission.pod import JSON, Placed, Pod, SecurityContext
from webhook.errors import PodRefused
from webhook.vllm import check, strict
from webhook.vllm.recognition import recognised

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from validator.policy.document import ModelValidation
    from validator.policy.volumes import Model
    from webhook.admission.storage import Place, Volume
    from webhook.settings import GateSettings, NamespaceOptions

CAPABILITIES: Final = frozenset(
    {
        "ALL",
        "BPF",  # loads programs into the kernel
        "DAC_READ_SEARCH",  # opens files of the node by handle, past every mount
        "SYS_ADMIN",  # remounts the model writable, or something else over it
        "SYS_MODULE",  # loads code into the kernel
        "SYS_PTRACE",  # writes into the memory of other containers' processes
        "SYS_RAWIO",  # writes memory and disks below the kernel
    }
)
"""Capabilities with which a container can undo what the gate has verified."""

AUDIT: Final = "would be refused under Enforce: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A mutated pod.

    Attributes:
        pod: The pod with its gate. What did not change is shared with the pod that
            went in, which is as it was: neither is to be written to.
        warnings: Sentences for the person who creates the pod.
        unread: Arguments of the workload that could not be read.
    """

    pod: dict[str, Any]
    warnings: tuple[str, ...]
    unread: tuple[str, ...]


def mutate(
    pod: dict[str, Any],
    policy: ModelValidation,
    *,
    gate: GateSettings,
    namespace: NamespaceOptions,
) -> Mutation:
    """Return the pod with its gate.

    A policy in Audit refuses nothing: what would be refused is a warning, and a pod that
    cannot get a gate stays as it is, but for the mark of Audit.

    Raises:
        PodRefused: The pod cannot be made to serve the signed model and nothing else.
    """
    audit = policy.spec.mode == "Audit"
    try:
        mutation, refusals = _mutated(pod, policy, settings=gate, namespace=namespace)
    except PodRefused as refusal:
        if not audit:
            raise
        return Mutation(pod=marked(pod, policy), warnings=(f"{AUDIT}{refusal}",), unread=())
    if refusals and not audit:
        raise PodRefused("; ".join(refusals))
    warnings = (*(f"{AUDIT}{refusal}" for refusal in refusals), *mutation.warnings)
    return Mutation(pod=marked(mutation.pod, policy), warnings=warnings, unread=mutation.unread)


def _mutated(
    pod: dict[str, Any],
    policy: ModelValidation,
    *,
    settings: GateSettings,
    namespace: NamespaceOptions,
) -> tuple[Mutation, tuple[str, ...]]:
    """Return the mutated pod, and why it must not run all the same.

    Raises:
        PodRefused: No gate can be built for it.
    """
    models = policy.spec.all_models
    given = pods.read(pod)  # within limits, before anything is copied

    # 2. The init containers of our names are ours whole: those that are there already are
    #    dropped, never trusted. The reserved names anywhere else are refused.
    _reserved(given, models)
    bare = given.without_ours()

    # 1. The model lies on the workload's mount whose path is the longest prefix of its path;
    #    where there is none, on the volume that the policy brings along.
    bare = _with_model_volumes(bare, models, namespace=namespace)
    declared = storage.read(bare)
    staying = (*bare.containers, *(placed for placed in bare.init if placed.stays))
    places = tuple(_found(model, staying, declared) for model in models)
    refusals = [sentence for place in places for sentence in storage.unfit(place)]

    # 4. The gate stands directly behind the last init container that writes the model and ends,
    #    and its monitor directly behind it. Whatever runs after or beside the verdict only reads.
    writers = tuple(
        placed for placed in bare.init if not placed.stays and _writes(placed, places, declared)
    )
    position = writers[-1].index + 1 if writers else 0
    workload = (
        *bare.containers,
        *(placed for placed in bare.init if placed.stays or placed.index >= position),
    )

    # 3. It mounts what it needs, read-only, and our emptyDir in the service-account token's place.
    written = {mount.name for placed in writers for mount in placed.mounts if not mount.read_only}
    refusals += _anchors(policy, places, [declared[name] for name in written if name in declared])
    mounted = gate_container.mounts(places, policy=policy, containers=staying, declared=declared)

    # 5. One place, one content: no container sees anything else at, above or below the model.
    fresh = _fresh(bare, declared)
    for placed in workload:
        refusals += storage.elsewhere(placed, places, declared)
        refusals += storage.within_others(placed, places, declared, fresh=fresh)

    # 6. Nothing that can undo the verdict runs in the pod, and nothing that does not wait for it.
    refusals += _undoing(bare, policy, places, declared)
    early = [placed for placed in bare.init[:position] if _shares(placed, places, declared)]
    refusals += _early(early, policy)

    # 9. What the workload's arguments name is under a verified path, and covered by its signature.
    sharing = {placed.where for placed in workload if _shares(placed, places, declared)}
    judged = [
        _judged(placed, bare, policy, declared, shares=placed.where in sharing)
        for placed in workload
    ]
    refusals += [sentence for judgement in judged for sentence in judgement.refusals]
    cover = {path for judgement in judged for path in judgement.cover}

    # 7. and 8. Restricted, as the workload's user, with its CPU; every field written out.
    gate = gate_container.build(
        bare,
        policy,
        settings=settings,
        task=gate_container.Task(mounts=mounted, cover=cover, served_by=places[0].placed),
    )
    ours = [gate]
    if policy.spec.revalidation is not None:
        ours.append(monitor_container.build(gate, bare, policy, settings=settings))
    warnings = [sentence for judgement in judged for sentence in judgement.warnings]
    if policy.spec.mode == "Enforce":
        warnings += _made_read_only(workload, places, declared)
        frozen = {placed.where: _frozen(placed, places, declared) for placed in workload}
    else:
        frozen = {}
    return (
        Mutation(
            pod=_assembled(bare, _as_left(ours, given), position, frozen),
            warnings=tuple(dict.fromkeys(warnings)),
            unread=tuple(unread for judgement in judged for unread in judgement.unread),
        ),
        tuple(dict.fromkeys(refusals)),
    )


def _reserved(pod: Pod, models: Iterable[Model]) -> None:
    """Refuse our names where they are not ours."""
    if pod.ephemeral:
        raise PodRefused(
            f"{pod.ephemeral[0].where}: a pod is created without ephemeral containers: leave it out"
        )
    named = Counter(placed.view.name for placed in pod.all_containers)
    for placed in filter(pods.is_ours, pod.all_containers):
        if placed.field != "initContainers" or named[placed.view.name] > 1:
            raise PodRefused(
                f"{placed.where} bears the name of the init container that verifies the model: "
                "give it another name"
            )
    ours = [gate_container.SCRATCH, *(storage.own_volume(model, models) for model in models)]
    prefix = f"{contract.MODEL_VOLUME}-"
    for volume in pod.volumes:
        name = str(volume.get("name"))
        reserved = (contract.SCRATCH_VOLUME, contract.MODEL_VOLUME)
        if (name in reserved or name.startswith(prefix)) and volume not in ours:
            raise PodRefused(
                f"the volume {quoted(name)} bears a name that is reserved for the gate: "
                "give it another name"
            )
    for placed in pod.all_containers:
        if not pods.is_ours(placed) and contract.SCRATCH_VOLUME in placed.uses:
            raise PodRefused(
                f"{placed.where} mounts the volume {quoted(contract.SCRATCH_VOLUME)}, which is "
                "the gate's own: leave it out"
            )


def _with_model_volumes(pod: Pod, models: Sequence[Model], *, namespace: NamespaceOptions) -> Pod:
    """Return the pod with the volumes that the policy brings along, where it declares none."""
    for model in models:
        staying = (*pod.containers, *(placed for placed in pod.init if placed.stays))
        if storage.holder(model.path, staying) is not None:
            continue
        volume, mount = storage.add(pod, model, models, namespace=namespace)
        chosen = {placed.where for placed in _serving(pod, model)}
        spec = pod.raw["spec"]
        containers = [
            {**placed.raw, "volumeMounts": [*(placed.raw.get("volumeMounts") or ()), mount]}
            if placed.where in chosen
            else placed.raw
            for placed in pod.containers
        ]
        changed = {**spec, "containers": containers}
        if volume is not None and volume not in pod.volumes:
            changed["volumes"] = [*(spec.get("volumes") or ()), volume]
        pod = pods.read({**pod.raw, "spec": changed})
    return pod


def _serving(pod: Pod, model: Model) -> tuple[Placed, ...]:
    """Return the containers that get a mount which no container declares."""
    chosen = tuple(placed for placed in pod.containers if recognised(placed.reading))
    if chosen:
        return chosen
    if len(pod.containers) == 1:
        return pod.containers
    raise PodRefused(
        f"none of the pod's {len(pod.containers)} containers shows that it serves "
        f"{model.path}: declare the volumeMount in the one that does"
    )


def _found(model: Model, containers: Iterable[Placed], declared: Mapping[str, Volume]) -> Place:
    place = storage.find(model, containers, declared)
    if place is None:  # a volume has just been added
        raise PodRefused(f"no container mounts a volume at or above {model.path}")
    return place


def _writes(placed: Placed, places: Iterable[Place], declared: Mapping[str, Volume]) -> bool:
    return any(
        not mount.read_only and _reaches(mount.name, places, declared) for mount in placed.mounts
    )


def _reaches(name: str, places: Iterable[Place], declared: Mapping[str, Volume]) -> bool:
    """Tell whether a volume may be another way to a model."""
    return name in declared and any(declared[name].reaches(place.volume) for place in places)


def _anchors(
    policy: ModelValidation, places: Sequence[Place], written: Sequence[Volume]
) -> Iterable[str]:
    """Yield the trust anchors that whoever writes the pod could choose."""
    if policy.spec.allow_pod_trust_anchors:
        return
    for path in gate_container.anchor_paths(policy):
        inside_model = any(covers(place.model.path, path) for place in places)
        if inside_model or not any(
            covers(place.mount.at, path) and storage.brought_along(place, written)
            for place in places
        ):
            yield (
                f"the policy reads its trust anchor {path} from a volume that the pod supplies or "
                "writes, so that whoever writes the pod chooses whom to trust: put the key or the "
                "certificates into the policy itself (publicKey, certificateAuthorities), or set "
                "allowPodTrustAnchors there"
            )


def _undoing(
    pod: Pod, policy: ModelValidation, places: Sequence[Place], declared: Mapping[str, Volume]
) -> Iterable[str]:
    """Yield what in the pod could undo the verdict."""
    spec = pod.spec
    if spec.os is not None and spec.os.name == "windows":
        yield "spec.os: a model can be verified on Linux nodes only: remove os.name windows"
    if spec.host_pid:
        yield "spec.hostPID lets containers reach into the gate's and each other's memory: drop it"
    if spec.share_process_namespace:
        yield (
            "spec.shareProcessNamespace lets containers reach into one another's files and "
            "memory: remove it"
        )
    for placed in pod.all_containers:
        if not policy.spec.allow_privileged:
            yield from privileges(placed)
        yield from storage.as_devices(placed, places, declared)


def privileges(placed: Placed) -> Iterable[str]:
    """Yield the privileges by which a container could undo a verdict."""
    context = placed.view.security_context or SecurityContext()
    remedy = "remove it, or set allowPrivileged in the policy"
    if context.privileged:
        yield f"{placed.where} is privileged and could change the verified model: {remedy}"
    if context.proc_mount not in (None, "", "Default"):
        yield f"{placed.where} asks for procMount {quoted(context.proc_mount)}: {remedy}"
    added = (context.capabilities and context.capabilities.add) or ()
    for name in added:
        if name.upper().removeprefix("CAP_") in CAPABILITIES:
            yield (
                f"{placed.where} adds the capability {quoted(name)}, by which it could change the "
                f"verified model: {remedy}"
            )


def _early(early: Iterable[Placed], policy: ModelValidation) -> Iterable[str]:
    """Yield which containers with a model's volume start before the verdict and must not."""
    strict = policy.spec.workload.arguments == "Strict"
    for placed in early:
        if placed.stays or recognised(placed.reading):
            yield (
                f"{placed.where} would serve the model before it is verified: place it behind the "
                "last init container that writes the model's volume"
            )
        elif strict:
            yield (
                f"{placed.where} has the model's volume before the verdict, and could serve it or "
                "keep it open to write it later: under workload.arguments Strict, let a Job write "
                "the model"
            )


def _shares(placed: Placed, places: Sequence[Place], declared: Mapping[str, Volume]) -> bool:
    """Tell whether a container sees a model's volume, at whatever path."""
    return any(_reaches(name, places, declared) for name in placed.uses)


def _judged(
    placed: Placed,
    pod: Pod,
    policy: ModelValidation,
    declared: Mapping[str, Volume],
    *,
    shares: bool,
) -> check.Judgement:
    """Return what is to be said of a container's arguments."""
    paths = tuple(model.path for model in policy.spec.all_models)
    mounts_model = any(covers(mount.at, path) for mount in placed.mounts for path in paths)
    judgement = check.check(
        placed.reading, mounts_model=mounts_model, model_paths=paths, volumes=declared
    )
    if policy.spec.workload.arguments == "Check":
        return judgement
    beside = [each for each in pod.init if each.stays]
    refusals = strict.refusals(
        placed.reading,
        mounts_model=mounts_model or shares,
        model_paths=paths,
        fresh=_fresh(pod, declared),
        accompanied=len(pod.containers) + len(beside) > 1 or bool(pod.spec.host_ipc),
    )
    return replace(judgement, refusals=(*judgement.refusals, *refusals))


def _fresh(pod: Pod, declared: Mapping[str, Volume]) -> set[str]:
    """Return the volumes that are empty when the one container that uses them starts."""
    users = Counter(name for placed in pod.all_containers for name in placed.uses)
    return {name for name in declared if declared[name].kind == "emptyDir" and users[name] == 1}


def _frozen(placed: Placed, places: Sequence[Place], declared: Mapping[str, Volume]) -> JSON:
    """Return a container that reads the models' volumes only."""
    mounts = [
        _read_only(raw) if _reaches(mount.name, places, declared) else raw
        for mount, raw in zip(placed.mounts, placed.raw.get("volumeMounts") or (), strict=True)
    ]
    if mounts == (placed.raw.get("volumeMounts") or []):
        return placed.raw
    return {**placed.raw, "volumeMounts": mounts}


def _read_only(mount: JSON) -> JSON:
    if mount.get("readOnly") and mount.get("recursiveReadOnly") in ("IfPossible", "Enabled"):
        return mount
    return {**mount, "readOnly": True, "recursiveReadOnly": "IfPossible"}


def _made_read_only(
    workload: Iterable[Placed], places: Sequence[Place], declared: Mapping[str, Volume]
) -> Iterable[str]:
    """Yield the mounts beside the model's own that a person would not expect to be read-only."""
    shown = {place.mount.at for place in places}
    for placed in workload:
        for mount in placed.mounts:
            if (
                not mount.read_only
                and mount.at not in shown
                and _reaches(mount.name, places, declared)
            ):
                yield (
                    f"{placed.where}: the mount at {quoted(mount.mount_path)} has become "
                    "read-only, since the model lies on its volume too"
                )


def _as_left(ours: Iterable[JSON], given: Pod) -> list[JSON]:
    """Return our containers with what Kubernetes made of those that the pod came with."""
    brought = {placed.view.name: placed.raw for placed in filter(pods.is_ours, given.init)}
    return [
        gate_container.as_kubernetes_left_it(each, brought.get(each["name"], {})) for each in ours
    ]


def _assembled(pod: Pod, ours: Sequence[JSON], position: int, frozen: Mapping[str, JSON]) -> JSON:
    """Return the pod with our containers, sharing with it what did not change."""
    spec = pod.raw["spec"]
    init = [frozen.get(placed.where, placed.raw) for placed in pod.init]
    declared = spec.get("volumes") or []
    scratch = [] if gate_container.SCRATCH in declared else [gate_container.SCRATCH]
    return {
        **pod.raw,
        "spec": {
            **spec,
            "initContainers": [*init[:position], *ours, *init[position:]],
            "containers": [frozen.get(placed.where, placed.raw) for placed in pod.containers],
            "volumes": [*declared, *scratch],
        },
    }
