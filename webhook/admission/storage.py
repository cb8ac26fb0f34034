"""The storage of a pod: its volumes, the mounts that hold the models, and who reaches them.

Belongs here: what a volume is, and whether what is written through one may be read
through another. What a pod may do with them is the business of `rules`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from validator.paths import canonical, covers, nearest, related
from validator.text import quoted
from webhook.admission.nest import Nest, nests, one_place
from webhook.admission.wire import PATH_LIMIT
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from validator.policy.volumes import Model
    from webhook.admission.pod import Placed, Pod
    from webhook.admission.wire import JSON, Mount

KUBELET_ROOT: Final = "/var/lib/kubelet"
"""The folder in which the kubelet keeps every pod's volumes (its --root-dir by default). A
hostPath that lies on the way there reaches all of them."""

PROC: Final = "/proc"
"""Its `self/root` and `1/root` are second names of every path, of a node's and of a container's."""

KUBERNETES_WRITES: Final = frozenset({"configMap", "secret", "projected", "downwardAPI", "gitRepo"})
"""Kinds whose content Kubernetes writes, and changes under a running pod."""

LINKLESS: Final = KUBERNETES_WRITES - {"gitRepo"}
"""Kinds in which a pod's owner chooses what files say, and cannot place a link."""

_OWN_STORAGE: Final = KUBERNETES_WRITES | {"emptyDir", "image"}
"""Kinds whose entries never share writable storage."""

_IDENTITY: Final = {
    "persistentVolumeClaim": ("claimName",),
    "hostPath": ("path",),
    "nfs": ("path", "server"),
    "image": ("reference",),
    "csi": ("driver",),
}
"""The fields that tell two volumes of a kind apart. A kind that is not listed has none: two of its
volumes are taken for one. A CSI driver's attributes are its own language: they do not count."""

_IN_A_TREE: Final = frozenset({"hostPath", "nfs"})
"""Kinds whose volumes can lie within one another."""


_REPOSITORY: Final = re.compile(
    r"(?P<hub>/(?:.*?/)?)(?:models|datasets|spaces|kernels)--[^/]+(?=/)", re.DOTALL
)
"""A folder of Hugging Face's cache, whose snapshots have links to its blobs and to the hub's
(validator/tree/hugging_face.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume of a pod.

    Attributes:
        name: Its name in the pod.
        kind: The field of its source, such as "persistentVolumeClaim".
        place: The claim, path, image or driver that it is.
        server: The server, for NFS.
        reaches_kubelet: Whether every pod's volumes on the node lie within it.
        source: The JSON of its source.
        raw: Its JSON.
    """

    name: str
    kind: str
    place: str
    server: str
    reaches_kubelet: bool
    source: JSON = field(repr=False)
    raw: JSON = field(repr=False)

    def reaches(self, other: Volume) -> bool:
        """Tell whether what is written here may be read there.

        As far as a pod can show it: two claims that are bound to one export, or one server under
        two names, look like two. Where the kind says too little, the answer is yes.
        """
        if self.name == other.name or self.reaches_kubelet or other.reaches_kubelet:
            return True
        if self.kind != other.kind or self.kind in _OWN_STORAGE:
            return False
        if self.kind in _IN_A_TREE:
            return self.server == other.server and related(self.place, other.place)
        return self.place == other.place

    @property
    def family(self) -> tuple[str, str]:
        """What any volume shares with this one if what is written there may be read here.

        Coarser than `reaches`, so that volumes need not be compared in pairs.
        """
        if self.kind in _OWN_STORAGE:
            return self.kind, self.name
        return self.kind, self.server if self.kind in _IN_A_TREE else self.place


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of a model: the mount of the first container that has it, and its volume."""

    model: Model
    placed: Placed
    mount: Mount
    volume: Volume

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that are read for the model: its own, and those of its blobs in a cache."""
        path = one_place(self.model.path)
        match = _REPOSITORY.match(path)
        return (path,) if match is None else (match[0], f"{match['hub']}blobs")

    def hides(self, path: str) -> bool:
        """Tell whether what is mounted at a canonical path hides a part of the model."""
        path = one_place(path)
        return any(related(path, folder) for folder in self.folders)

    def holds(self, path: str) -> bool:
        """Tell whether a canonical path is on the mount of the model's volume."""
        return covers(one_place(self.mount.at), one_place(path))


class MountTable:
    """The mounts of several containers by their paths; of two at one path, the first counts."""

    def __init__(self, containers: Iterable[Placed]) -> None:
        """Sort in the containers' mounts.

        Args:
            containers: In the order in which they count.
        """
        self._held: dict[str, tuple[Placed, Mount]] = {}
        for placed in containers:
            for mount in placed.mounts:
                self.add(placed, mount)

    def add(self, placed: Placed, mount: Mount) -> None:
        """Sort in one mount."""
        self._held.setdefault(mount.at, (placed, mount))

    def holder(self, path: str) -> tuple[Placed, Mount] | None:
        """Return the container and the mount that hold a canonical path: the longest prefix."""
        at = nearest(path, self._held)
        return None if at is None else self._held[at]


@dataclass(frozen=True, kw_only=True)
class ModelStorage:
    """The volumes of a pod, in view of the models that lie on them; computed once.

    Attributes:
        volumes: The pod's volumes by name.
        places: Where the models lie, in the policy's order.
        reaching: Names of the volumes through which a model's storage may be reached.
        private: Names of the emptyDirs that only one container uses.
        nests: What containers that have a model mount within volumes on which links may lie.
    """

    volumes: Mapping[str, Volume]
    places: tuple[Place, ...]
    reaching: frozenset[str]
    private: frozenset[str]
    nests: tuple[Nest, ...]

    def sees(self, placed: Placed) -> bool:
        """Tell whether a container sees a model's storage, at whatever path."""
        return not self.reaching.isdisjoint(placed.uses)

    def writes(self, placed: Placed) -> bool:
        """Tell whether a container may write a model's files."""
        return any(not mount.read_only and mount.name in self.reaching for mount in placed.mounts)

    def families(self, placed: Placed) -> Iterator[tuple[str, str]]:
        """Yield the families of the volumes, beside the models' own, that a container may write."""
        written = {mount.name for mount in placed.mounts if not mount.read_only}
        written |= {device.name for device in placed.devices}
        for name in written - self.reaching:
            if name in self.volumes:
                yield self.volumes[name].family

    @cached_property
    def outer(self) -> frozenset[tuple[str, str]]:
        """The families of the volumes within which a container with a model mounts something."""
        return frozenset(self.volumes[nest.outer.name].family for nest in self.nests)


def locate(pod: Pod, models: Sequence[Model], volumes: Mapping[str, Volume]) -> ModelStorage:
    """Return the storage of a pod whose containers mount all models.

    Raises:
        PodRefused: A model lies on no mount, or on one that cannot be repeated elsewhere.
    """
    table = MountTable(pod.staying)
    places = tuple(_place(model, table, volumes) for model in models)
    held = {place.volume.name: place.volume for place in places}.values()
    shown = {place.mount.at for place in places}
    return ModelStorage(
        volumes=volumes,
        places=places,
        reaching=frozenset(
            name for name, volume in volumes.items() if any(volume.reaches(model) for model in held)
        ),
        private=_private(pod, volumes),
        nests=tuple(
            nest
            for placed in pod.all_containers
            if any(mount.at in shown for mount in placed.mounts)
            for nest in nests(placed)
            if nest.outer.name in volumes and volumes[nest.outer.name].kind not in LINKLESS
        ),
    )


def _private(pod: Pod, volumes: Mapping[str, Volume]) -> frozenset[str]:
    users = Counter(name for placed in pod.all_containers for name in placed.uses)
    return frozenset(
        name for name, volume in volumes.items() if volume.kind == "emptyDir" and users[name] == 1
    )


def _place(model: Model, table: MountTable, volumes: Mapping[str, Volume]) -> Place:
    held = table.holder(model.path)
    if held is None:  # `with_model_volumes` has added one, or refused the pod
        raise AssertionError
    placed, mount = held
    return Place(model=model, placed=placed, mount=mount, volume=volume_of(mount, placed, volumes))


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


def read_volumes(pod: Pod) -> dict[str, Volume]:
    """Return a pod's volumes by name.

    Raises:
        PodRefused: A volume has no name, the name of another one, two sources, or a source of
            another form than Kubernetes gives it.
    """
    volumes: dict[str, Volume] = {}
    for index, raw in enumerate(pod.volumes):
        volume = _volume(raw, at=f"spec.volumes[{index}]", pod=pod)
        if volume.name in volumes:
            raise PodRefused(f"spec.volumes[{index}] {quoted(volume.name)}: the name is taken")
        volumes[volume.name] = volume
    return volumes


def _volume(raw: JSON, *, at: str, pod: Pod) -> Volume:
    name = raw.get("name")
    if not isinstance(name, str):
        raise PodRefused(f"{at}: a volume needs a name")
    kind, source = _source(raw, at=at)
    if kind == "ephemeral":
        # Kubernetes makes a claim of this name, which another entry can name as well.
        kind, source = "persistentVolumeClaim", {"claimName": f"{pod.name}-{name}"}
    identity = _identity(kind, source, at=at)
    server = identity.pop("server", "").lower().rstrip(".")
    place = next(iter(identity.values()), "")
    if kind in _IN_A_TREE:
        place = canonical(place)
    reaches_kubelet = kind == "hostPath" and (related(place, KUBELET_ROOT) or covers(PROC, place))
    return Volume(
        name=name,
        kind=kind,
        place=place,
        server=server,
        reaches_kubelet=reaches_kubelet,
        source=source,
        raw=raw,
    )


def _source(raw: JSON, *, at: str) -> tuple[str, JSON]:
    """Return a volume's kind and source."""
    kinds = [key for key, source in raw.items() if key != "name" and source is not None]
    if len(kinds) > 1:
        raise PodRefused(f"{at} {quoted(raw['name'])} has several sources: leave one")
    # A volume without a source is an emptyDir, by the API server's defaults.
    kind = kinds[0] if kinds else "emptyDir"
    source = raw.get(kind) or {}
    if not isinstance(source, dict):
        raise PodRefused(f"{at}.{kind}: expected `object`, as Kubernetes defines it")
    return kind, source


def _identity(kind: str, source: JSON, *, at: str) -> dict[str, str]:
    """Return the fields of a source that tell it from others of its kind."""
    identity = {key: source.get(key) or "" for key in _IDENTITY.get(kind, ())}
    for key, value in identity.items():
        if not isinstance(value, str):
            raise PodRefused(f"{at}.{kind}.{key}: expected `str`, as Kubernetes defines it")
        if len(value) > PATH_LIMIT:
            raise PodRefused(f"{at}.{kind}.{key} is longer than {PATH_LIMIT:,} characters")
    return identity
