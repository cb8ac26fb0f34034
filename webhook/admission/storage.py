"""Where the model lies: the mount that holds it, its volume, and what reaches the same storage.

Belongs here: one place (step 1), one content (step 5), and the model volume that
a policy brings along. What the gate mounts of it is `gate`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from validator import contract
from validator.paths import canonical, covers, is_canonical, related
from validator.text import quoted
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from validator.policy.volumes import Model, ModelVolume
    from webhook.admission.pod import JSON, Mount, Placed, Pod
    from webhook.settings import NamespaceOptions

KUBELET_ROOT: Final = "/var/lib/kubelet"
"""Where the kubelet keeps every pod's volumes (its --root-dir by default): through a hostPath
that lies on the way there, all of them are within reach."""

PROC: Final = "/proc"
"""Its `self/root` and `1/root` are second names of every path, of a node's and of a container's."""

_BY_ENTRY: Final = frozenset(
    {"emptyDir", "image", "configMap", "secret", "projected", "downwardAPI", "gitRepo"}
)
"""Kinds of which each entry has content of its own, or one that no container can write."""

_IDENTITY: Final = {
    "persistentVolumeClaim": ("claimName",),
    "hostPath": ("path",),
    "nfs": ("path", "server"),
    "image": ("reference",),
    "csi": ("driver",),
}
"""The fields that tell two volumes of a kind apart. None for the kinds that are not here: two of
them are taken for one. A CSI driver's attributes are its own language: they do not count."""

_SAME_SOURCE: Final = frozenset({"readOnly", "type", "pullPolicy"})
"""Fields of a source that do not make it another one."""

_IN_A_TREE: Final = frozenset({"hostPath", "nfs"})
"""Kinds whose volumes can lie within one another."""

_KUBERNETES_WRITES: Final = frozenset(
    {"configMap", "secret", "projected", "downwardAPI", "gitRepo"}
)
"""Kinds whose content Kubernetes writes, and changes under a running pod."""

_NAMED_BY_KUBERNETES: Final = _KUBERNETES_WRITES - {"gitRepo"}
"""Kinds in which a pod's owner chooses what files say, and cannot place a link."""

_OF_THE_RUNTIME: Final = ("/dev/shm", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""What is mounted into each container beside what the pod says."""

_CONFIDENTIAL: Final = frozenset({"secret", "projected", "downwardAPI"})
"""Kinds that a policy must not become a way to read."""

_STORAGE: Final = frozenset(
    {"persistentVolumeClaim", "ephemeral", "emptyDir", "hostPath", "nfs", "csi", "image"}
    | {"iscsi", "fc", "portworxVolume", "azureDisk", "azureFile", "awsElasticBlockStore"}
    | {"gcePersistentDisk", "cinder", "vsphereVolume", "cephfs", "rbd", "flexVolume"}
)
"""Kinds that may hold a model: those of Kubernetes 1.31 and later that a pod's owner fills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume of a pod: the kind and the identity of what lies behind it."""

    name: str
    kind: str
    place: str
    server: str
    source: JSON = field(repr=False)
    raw: JSON = field(repr=False)

    def reaches(self, other: Volume) -> bool:
        """Tell whether what is written here may be read there.

        As far as a pod can show it: two claims that are bound to one export, or one server under
        two names, look like two. Where the kind says too little, the answer is yes.
        """
        if self.name == other.name:
            return True
        if any(
            one.kind == "hostPath" and (related(one.place, KUBELET_ROOT) or covers(PROC, one.place))
            for one in (self, other)
        ):
            return True
        if self.kind != other.kind or self.kind in _BY_ENTRY:
            return False
        if self.kind in _IN_A_TREE:
            return self.server == other.server and related(self.place, other.place)
        return self.place == other.place


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model lies: the mount of the first container that has it, and its volume."""

    model: Model
    placed: Placed
    mount: Mount
    volume: Volume


def read(pod: Pod) -> dict[str, Volume]:
    """Return a pod's volumes by name.

    Raises:
        PodRefused: A volume has no name, the name of another one, or two sources.
    """
    volumes: dict[str, Volume] = {}
    for index, raw in enumerate(pod.volumes):
        volume = _volume(raw, at=f"spec.volumes[{index}]", pod=pod)
        if volume.name in volumes:
            raise PodRefused(f"spec.volumes[{index}] {quoted(volume.name)}: the name is taken")
        volumes[volume.name] = volume
    return volumes


def find(model: Model, containers: Iterable[Placed], volumes: Mapping[str, Volume]) -> Place | None:
    """Return where a model lies: the mount whose path is the longest prefix of the model's.

    Raises:
        PodRefused: The mount cannot be repeated in another container.
    """
    held = holder(model.path, containers)
    if held is None:
        return None
    placed, mount = held
    return Place(model=model, placed=placed, mount=mount, volume=volume_of(mount, placed, volumes))


def holder(path: str, containers: Iterable[Placed]) -> tuple[Placed, Mount] | None:
    """Return the container and the mount that hold a path: the longest prefix, the first one."""
    found = [
        (placed, mount)
        for placed in containers
        for mount in placed.mounts
        if covers(mount.at, path)
    ]
    return max(found, key=lambda held: len(held[1].at), default=None)


def volume_of(mount: Mount, placed: Placed, volumes: Mapping[str, Volume]) -> Volume:
    """Return a mount's volume.

    Raises:
        PodRefused: The pod does not declare it, or the mount cannot be repeated elsewhere.
    """
    volume = volumes.get(mount.name)
    if volume is None:
        raise PodRefused(
            f"{placed.where} mounts the volume {quoted(mount.name)}, which the pod does not "
            "declare: add it to spec.volumes"
        )
    if mount.sub_path_expr:
        raise PodRefused(
            f"{placed.where} mounts {quoted(mount.mount_path)} with subPathExpr, which another "
            "container may resolve to another directory: write the directory as subPath"
        )
    return volume


def unfit(place: Place) -> Iterable[str]:
    """Yield what is wrong with a model's volume, a sentence each."""
    volume, where = place.volume, f"the model's volume {quoted(place.volume.name)}"
    if volume.kind in _KUBERNETES_WRITES:
        yield (
            f"{where} is a {volume.kind}, which changes under a running pod: keep the model on a "
            "persistent volume, in an image or in an emptyDir"
        )
    elif volume.kind not in _STORAGE:
        yield (
            f"{where} is of the kind {quoted(volume.kind)}, which is unknown here: keep the model "
            "on a persistent volume, in an image or in an emptyDir"
        )
    elif volume.kind == "image" and "@sha256:" not in volume.place:
        yield (
            f"{where} is the image {quoted(volume.place)}, whose tag can be moved after the "
            "check: refer to it by digest (name@sha256:…)"
        )
    declared = place.model.volume
    if declared is not None and not _is_declared(volume, declared):
        yield (
            f"{where} is not the one that the policy demands for {place.model.path}: mount "
            f"{_named(declared)}, or leave volume and mount out and have them added"
        )


def unreadable(volume: Volume) -> bool:
    """Tell whether a policy must not have this volume's files read on its behalf."""
    return volume.kind in _CONFIDENTIAL


def elsewhere(
    placed: Placed, places: Iterable[Place], volumes: Mapping[str, Volume]
) -> Iterable[str]:
    """Yield, for a container that runs beside or after the verdict, where content may differ."""
    for mount in placed.mounts:
        if not is_canonical(mount.mount_path):
            yield (
                f"{placed.where} mounts at {quoted(mount.mount_path)}, which is not spelled in "
                f"the one way that can be compared: write {quoted(mount.at)}"
            )
        if covers(PROC, mount.at):
            yield _in_proc(placed, mount.mount_path)
        for place in places:
            yield from _shadow(mount, placed, place, volumes)
    for device in placed.devices:
        if covers(PROC, canonical(device.device_path)):
            yield _in_proc(placed, device.device_path)
        for place in places:
            if _lies_with(canonical(device.device_path), place):
                yield (
                    f"{placed.where} has a block device at {quoted(device.device_path)}, on the "
                    f"model's path {place.model.path}: attach it somewhere else"
                )
    message = placed.view.termination_message_path
    if message and (
        not is_canonical(message)
        or covers(PROC, message)
        or any(_lies_with(message, place) for place in places)
    ):
        # The kubelet mounts an empty file there, which the container can write.
        yield (
            f"{placed.where} has its terminationMessagePath at {quoted(message)}, where it may "
            f"hide a file of the model: leave it out, or write {contract.TERMINATION_MESSAGE_PATH}"
        )


def within_others(
    placed: Placed,
    places: Iterable[Place],
    volumes: Mapping[str, Volume],
    *,
    fresh: Collection[str],
) -> Iterable[str]:
    """Yield what a container that has a model mounts within another of its volumes.

    A runtime follows links while it mounts, also those of what it has mounted already. One that
    lies on the outer volume leads the inner mount over the model.

    Args:
        placed: A container that runs beside or after the verdict.
        places: Where the models lie; what lies within these is `elsewhere`'s.
        volumes: The pod's volumes by name.
        fresh: Names of the volumes that are empty when this container starts.
    """
    models = {place.mount.at for place in places}
    if not any(mount.at in models for mount in placed.mounts):
        return
    inner = [
        *(mount.at for mount in placed.mounts),
        *(canonical(device.device_path) for device in placed.devices),
        canonical(placed.view.termination_message_path or contract.TERMINATION_MESSAGE_PATH),
        *_OF_THE_RUNTIME,
    ]
    for mount in placed.mounts:
        volume = volumes.get(mount.name)
        linkless = volume is not None and volume.kind in _NAMED_BY_KUBERNETES
        if mount.at in models or linkless or mount.name in fresh:
            continue
        for path in inner:
            if path != mount.at and covers(mount.at, path):
                yield (
                    f"{placed.where} has {quoted(path)} mounted within the volume "
                    f"{quoted(mount.name)} at {quoted(mount.at)}, where a link could lead it over "
                    "the model: mount the two side by side"
                )
                break


def _in_proc(placed: Placed, path: str) -> str:
    return (
        f"{placed.where} mounts at {quoted(path)}, below {PROC}, where links lead back to other "
        "paths: mount it somewhere else"
    )


def _lies_with(path: str, place: Place) -> bool:
    """Tell whether a path is above the model, or anywhere on its volume: links may lead there."""
    return related(path, place.model.path) or covers(place.mount.at, path)


def _shadow(
    mount: Mount, placed: Placed, place: Place, volumes: Mapping[str, Volume]
) -> Iterable[str]:
    volume = volumes.get(mount.name)
    reaches = volume is not None and volume.reaches(place.volume)
    if reaches and mount.mount_propagation not in (None, "", "None"):
        yield (
            f"{placed.where} mounts {quoted(mount.mount_path)} with mountPropagation "
            f"{quoted(mount.mount_propagation)}, through which another model can come: leave it out"
        )
    if not _lies_with(mount.at, place):
        return
    verified = place.mount
    same = (mount.at, mount.name, mount.sub_path or "", mount.sub_path_expr or "")
    if same != (verified.at, verified.name, verified.sub_path or "", ""):
        yield (
            f"{placed.where} mounts the volume {quoted(mount.name)} at {quoted(mount.mount_path)}, "
            f"but what is verified at {place.model.path} is the volume {quoted(verified.name)} at "
            f"{quoted(verified.mount_path)}{_below(verified)}: mount that one alone there"
        )


def as_devices(placed: Placed, places: Iterable[Place], volumes: Mapping[str, Volume]) -> list[str]:
    """Return, for any container, the block devices by which it could write the model."""
    return [
        f"{placed.where} has the model's volume {quoted(device.name)} as a block device, past "
        "every read-only mount: leave it out of volumeDevices"
        for device in placed.devices
        for place in places
        if device.name in volumes and volumes[device.name].reaches(place.volume)
    ]


# The volume that a policy brings along.


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


def add(
    pod: Pod, model: Model, models: Iterable[Model], *, namespace: NamespaceOptions
) -> tuple[JSON | None, JSON]:
    """Return the volume (`None`: the pod declares it) and the mount that a policy brings along.

    Raises:
        PodRefused: The policy brings none, or must not here.
    """
    declared = model.volume
    if declared is None:
        raise PodRefused(
            f"no container mounts a volume at or above the model's path {model.path}: add a "
            "volumeMount to the container that serves it, or model.volume to the policy"
        )
    at = declared.mount_path or model.path
    if not covers(at, model.path):
        raise PodRefused(
            f"the policy mounts its volume at {at}, where the model's path {model.path} is not: "
            "correct model.volume.mountPath"
        )
    volume = own_volume(model, models)
    if volume is None and declared.name not in read(pod):
        raise PodRefused(
            f"the policy expects the model {model.path} on the pod's volume "
            f"{quoted(declared.name)}: add it to spec.volumes"
        )
    if (
        declared.host_path is not None
        and namespace.labels.get(contract.NAMESPACE_HOST_PATH_LABEL) != "true"
    ):
        raise PodRefused(
            "the policy takes the model from a directory of the node (hostPath), and the "
            f"namespace {quoted(namespace.name)} does not allow it: a cluster administrator can "
            f'label it {contract.NAMESPACE_HOST_PATH_LABEL}: "true"'
        )
    name = volume["name"] if volume else declared.name
    return volume, {
        "name": name,
        "mountPath": at,
        "readOnly": True,
        "recursiveReadOnly": "IfPossible",
    }


def brought_along(place: Place, writers: Collection[Volume]) -> bool:
    """Tell whether a place holds what the policy chose, and nothing that the pod could choose.

    Such a volume may hold trust anchors: its source is the policy's, at the policy's path, whole,
    and no init container of the pod writes it.
    """
    declared = place.model.volume
    return (
        declared is not None
        and declared.name is None
        and _is_declared(place.volume, declared)
        and place.mount.at == (declared.mount_path or place.model.path)
        and not place.mount.sub_path
        and not any(volume.reaches(place.volume) for volume in writers)
    )


def _source(declared: ModelVolume) -> JSON | None:
    """Return the source as the API server writes it, with its defaults (`None`: a name)."""
    if claim := declared.persistent_volume_claim:
        return {"persistentVolumeClaim": {"claimName": claim.claim_name}}
    if image := declared.image:
        return {"image": {"reference": image.reference, "pullPolicy": "IfNotPresent"}}
    if nfs := declared.nfs:
        return {"nfs": {"server": nfs.server, "path": nfs.path, "readOnly": True}}
    if csi := declared.csi:
        attributes = {"volumeAttributes": dict(csi.volume_attributes)}
        return {
            "csi": {
                "driver": csi.driver,
                "readOnly": True,
                **(attributes if csi.volume_attributes else {}),
            }
        }
    if host := declared.host_path:
        return {"hostPath": {"path": host.path, "type": "Directory"}}
    return None


def _is_declared(volume: Volume, declared: ModelVolume) -> bool:
    """Tell whether a pod's volume is the source that the policy demands."""
    if declared.name is not None:
        return volume.name == declared.name
    demanded = _source(declared) or {}
    # What is read as a claim may be an ephemeral volume, which the pod fills.
    return volume.kind in demanded.keys() & volume.raw.keys() and {
        key: value for key, value in volume.source.items() if value and key not in _SAME_SOURCE
    } == {key: value for key, value in demanded[volume.kind].items() if key not in _SAME_SOURCE}


def _named(declared: ModelVolume) -> str:
    """How a sentence names the source that a policy demands."""
    if declared.name is not None:
        return f"the volume {quoted(declared.name)}"
    kind, source = next(iter((_source(declared) or {}).items()))
    keys = ("claimName", "reference", "server", "path", "driver")
    what = ":".join(str(source[key]) for key in keys if key in source)
    return f"the {kind} {quoted(what)}"


def _below(mount: Mount) -> str:
    return f" (subPath {quoted(mount.sub_path)})" if mount.sub_path else ""


def _volume(raw: JSON, *, at: str, pod: Pod) -> Volume:
    name = raw.get("name")
    if not isinstance(name, str):
        raise PodRefused(f"{at}: a volume needs a name")
    kinds = [key for key, source in raw.items() if key != "name" and source is not None]
    if len(kinds) > 1:
        raise PodRefused(f"{at} {quoted(name)} has several sources: leave one")
    # A volume without a source is an emptyDir, by the API server's defaults.
    kind = kinds[0] if kinds else "emptyDir"
    source = raw.get(kind) or {}
    if not isinstance(source, dict):
        raise PodRefused(f"{at}.{kind}: expected `object`, as Kubernetes defines it")
    if kind == "ephemeral":
        # Kubernetes makes a claim of this name, which another entry can name as well.
        kind, source = "persistentVolumeClaim", {"claimName": f"{pod.name}-{name}"}
    identity = {key: source.get(key) or "" for key in _IDENTITY.get(kind, ())}
    for key, value in identity.items():
        if not isinstance(value, str):
            raise PodRefused(f"{at}.{kind}.{key}: expected `str`, as Kubernetes defines it")
    server = identity.pop("server", "").lower().rstrip(".")
    place = next(iter(identity.values()), "")
    if kind in _IN_A_TREE:
        place = canonical(place)
    return Volume(name=name, kind=kind, place=place, server=server, source=source, raw=raw)
