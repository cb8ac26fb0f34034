"""The volumes of a pod and their mounts, read once: what each is, what is written through it.

Belongs here: whether what is written through one volume may be read through another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from validator.paths import canonical, covers, nearest, related
from validator.text import quoted
from webhook.admission.wire import JSON, PATH_LIMIT
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from webhook.admission.pod import Placed, Pod
    from webhook.admission.wire import Mount

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


class Volume(msgspec.Struct, frozen=True, kw_only=True):
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
    source: JSON
    raw: JSON

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
        """A key that is shared by the volumes whose writes may be read through one another.

        Coarser than `reaches`, so that volumes need not be compared in pairs.
        """
        if self.kind in _OWN_STORAGE:
            return self.kind, self.name
        return self.kind, self.server if self.kind in _IN_A_TREE else self.place


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
