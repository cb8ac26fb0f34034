"""The volume that a policy names for a model: added to a pod, or demanded of one.

Belongs here: the source as the API server writes it, and whether a pod's volume is that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from validator import contract
from validator.paths import covers
from validator.text import quoted
from webhook.admission.volume import MountTable
from webhook.admission.wire import Mount
from webhook.errors import PodRefused
from webhook.vllm.recognition import recognised

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from validator.policy.document import ModelValidation
    from validator.policy.volumes import Model, ModelVolume
    from webhook.admission.pod import Placed, Pod
    from webhook.admission.storage import Place
    from webhook.admission.volume import Volume
    from webhook.admission.wire import JSON
    from webhook.settings import NamespaceOptions

_SAME_SOURCE: Final = frozenset({"readOnly", "type", "pullPolicy"})
"""Fields of a source that do not make it another one."""
_ACCESS: Final = frozenset({"fsType", "nodePublishSecretRef"})
"""Fields of a CSI volume that say how the driver gets at the source. With some drivers they choose
it, so that a volume with fields of the pod's own is not the policy's where trust anchors lie."""


def own_volume(model: Model, models: Iterable[Model]) -> JSON | None:
    """Return the pod volume of a model whose policy gives the source itself.

    Models with one source share a volume; the name depends on the policy alone.
    """
    sources: list[JSON] = []
    for each in models:
        source = each.volume and _source(each.volume)
        if source and source not in sources:
            sources.append(source)
    wanted = model.volume and _source(model.volume)
    if not wanted:
        return None
    number = sources.index(wanted) + 1
    name = contract.MODEL_VOLUME if number == 1 else f"{contract.MODEL_VOLUME}-{number}"
    return {"name": name, **wanted}


def is_own_volume(volume: JSON, model: Model, models: Iterable[Model]) -> bool:
    """Tell whether a pod's volume is a model's own, also as AlwaysPullImages leaves it."""
    own = own_volume(model, models)
    image = volume.get("image")
    if isinstance(image, dict) and image.get("pullPolicy") == "Always":
        volume = {**volume, "image": {**image, "pullPolicy": "IfNotPresent"}}
    return own is not None and volume == own


def with_model_volumes(pod: Pod, policy: ModelValidation, *, namespace: NamespaceOptions) -> Pod:
    """Return the pod with the policy's volumes and mounts, where it declares none for a model.

    Raises:
        PodRefused: The policy names none either, must not here, or nothing shows which container
            serves the model.
    """
    table = MountTable(pod.staying)
    mounts: list[tuple[JSON, Mount]] = []
    volumes: list[JSON] = []
    serving: tuple[Placed, ...] = ()
    for model in policy.spec.all_models:
        held = table.holder(model.path)
        if held is not None and not _is_room_for(model, held[1], pod):
            continue
        volume, mount = _added(pod, model, policy, namespace=namespace)
        serving = serving or _serving(pod, model)
        mounts.append((mount, msgspec.convert(mount, Mount)))
        table.add(serving[0], mounts[-1][1])
        if volume is not None and volume not in (*pod.volumes, *volumes):
            volumes.append(volume)
    return _with(pod, serving, mounts, volumes) if mounts else pod


def _is_room_for(model: Model, mount: Mount, pod: Pod) -> bool:
    """Tell whether a mount above a model is an emptyDir within which the policy's volume is added.

    No policy names an emptyDir, so that it is not the model's volume.
    """
    declared = model.volume
    if declared is None or declared.name is not None:
        return False
    at = declared.mount_path or model.path
    return (
        mount.at != at
        and covers(mount.at, at)
        and any(each.get("name") == mount.name and "emptyDir" in each for each in pod.volumes)
    )


def _with(
    pod: Pod,
    serving: Collection[Placed],
    mounts: Sequence[tuple[JSON, Mount]],
    volumes: Sequence[JSON],
) -> Pod:
    """Return the pod with volumes, and with mounts in the containers that serve."""
    chosen = {placed.index for placed in serving}
    containers = tuple(
        _mounting(placed, mounts) if placed.index in chosen else placed for placed in pod.containers
    )
    declared = [*pod.volumes, *volumes]
    spec = {**pod.raw["spec"], "containers": [placed.raw for placed in containers]}
    if volumes:
        spec["volumes"] = declared
    return replace(
        pod,
        raw={**pod.raw, "spec": spec},
        spec=msgspec.structs.replace(pod.spec, volumes=tuple(declared)),
        containers=containers,
    )


def _mounting(placed: Placed, mounts: Sequence[tuple[JSON, Mount]]) -> Placed:
    """Return a container with further mounts."""
    given = placed.raw.get("volumeMounts") or ()
    raw = {**placed.raw, "volumeMounts": [*given, *(mount for mount, _ in mounts)]}
    views = (*placed.mounts, *(view for _, view in mounts))
    return replace(
        placed,
        view=msgspec.structs.replace(placed.view, volume_mounts=views),
        raw=raw,
        reading=placed.reading.remounted(raw),
    )


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


def _added(
    pod: Pod, model: Model, policy: ModelValidation, *, namespace: NamespaceOptions
) -> tuple[JSON | None, JSON]:
    """Return the volume (`None`: the pod declares it) and the mount that a policy adds."""
    declared = model.volume
    if declared is None:
        raise PodRefused(
            f"no container mounts a volume at or above the model's path {model.path}: add a "
            "volumeMount to the container that serves it, or "
            f"{policy.remedy('set model.volume')}"
        )
    at = declared.mount_path or model.path
    if not covers(at, model.path):
        raise PodRefused(
            f"the policy mounts its volume at {at}, where the model's path {model.path} is not: "
            f"{policy.remedy('correct model.volume.mountPath')}"
        )
    volume = own_volume(model, policy.spec.all_models)
    if volume is None and not any(each.get("name") == declared.name for each in pod.volumes):
        raise PodRefused(
            f"the policy expects the model {model.path} on the pod's volume "
            f"{quoted(declared.name)}: add it to spec.volumes"
        )
    for label, what in _permissions(declared):
        if namespace.labels.get(label) != "true":
            raise PodRefused(
                f"the policy takes the model from {what}, and the namespace "
                f"{quoted(namespace.name)} does not allow it: a cluster administrator can label it "
                f'{label}: "true", or the pod can declare the volume itself'
            )
    return volume, {
        "name": volume["name"] if volume else declared.name,
        "mountPath": at,
        "readOnly": True,
        "recursiveReadOnly": "IfPossible",
    }


def _permissions(declared: ModelVolume) -> Iterator[tuple[str, str]]:
    """Yield the labels that a namespace needs for what a policy brings into other people's pods."""
    if declared.host_path is not None:
        yield contract.NAMESPACE_HOST_PATH_LABEL, "a directory of the node (hostPath)"
    if declared.csi is not None:
        # A driver acts in the pod's name, by attributes that the policy's author writes.
        driver = declared.csi.driver
        yield f"{contract.NAMESPACE_CSI_LABEL}/{driver}", f"the CSI driver {quoted(driver)}"


def holds_trust(place: Place, writers: Iterable[Volume]) -> bool:
    """Tell whether a place holds what the policy chose, and nothing that the pod could choose.

    Such a volume may hold trust anchors: its source is the policy's, at the policy's path, whole,
    and no init container of the pod writes it.
    """
    declared = place.model.volume
    return (
        declared is not None
        and declared.name is None
        and _is_source(place.volume, declared, ignored=_SAME_SOURCE)
        and place.mount.at == (declared.mount_path or place.model.path)
        and not place.mount.sub_path
        and not any(volume.reaches(place.volume) for volume in writers)
    )


def is_declared(volume: Volume, declared: ModelVolume) -> bool:
    """Tell whether a pod's volume is the source that the policy demands.

    How a CSI driver gets at the source is the pod's to say where the policy does not.
    """
    if declared.name is not None:
        return volume.name == declared.name
    demanded = (_source(declared) or {}).get(volume.kind, {})
    return _is_source(volume, declared, ignored=_SAME_SOURCE | (_ACCESS - demanded.keys()))


def _is_source(volume: Volume, declared: ModelVolume, *, ignored: Collection[str]) -> bool:
    """Compare a pod's volume with a policy's source, but for some of its fields."""
    demanded = _source(declared) or {}
    # What is read as a claim may be an ephemeral volume, which the pod fills.
    return volume.kind in demanded.keys() & volume.raw.keys() and {
        key: value for key, value in volume.source.items() if value and key not in ignored
    } == {key: value for key, value in demanded[volume.kind].items() if key not in ignored}


def named(declared: ModelVolume) -> str:
    """Return the name, for a sentence, of the source that a policy demands."""
    if declared.name is not None:
        return f"the volume {quoted(declared.name)}"
    kind, source = next(iter((_source(declared) or {}).items()))
    keys = ("claimName", "reference", "server", "path", "driver")
    what = ":".join(str(source[key]) for key in keys if key in source)
    return f"the {kind} {quoted(what)}"


def _source(declared: ModelVolume) -> JSON | None:
    """Return the source as the API server writes it, with its defaults (`None`: a name)."""
    if claim := declared.persistent_volume_claim:
        return {"persistentVolumeClaim": {"claimName": claim.claim_name}}
    if image := declared.image:
        return {"image": {"reference": image.reference, "pullPolicy": "IfNotPresent"}}
    if nfs := declared.nfs:
        return {"nfs": {"server": nfs.server, "path": nfs.path, "readOnly": True}}
    if csi := declared.csi:
        secret = csi.node_publish_secret_ref
        given: JSON = {
            "driver": csi.driver,
            "fsType": csi.fs_type,
            "nodePublishSecretRef": secret and {"name": secret.name},
            "readOnly": True,
            "volumeAttributes": dict(csi.volume_attributes),
        }
        return {"csi": {key: value for key, value in given.items() if value}}
    if host := declared.host_path:
        return {"hostPath": {"path": host.path, "type": "Directory"}}
    return None
