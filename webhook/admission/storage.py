"""The storage of a pod: the mounts that hold the models, and who reaches them.

What a pod may do with them is the business of `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from validator.paths import covers, related
from validator.policy.volumes import Model
from webhook.admission.nest import Nest, nests, one_place
from webhook.admission.pod import Placed
from webhook.admission.volume import LINKLESS, MountTable, Volume, volume_of
from webhook.admission.wire import Mount

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from webhook.admission.pod import Pod

_REPOSITORY: Final = re.compile(
    r"(?P<hub>/(?:.*?/)?)(?:models|datasets|spaces|kernels)--[^/]+(?=/)", re.DOTALL
)
"""A folder of Hugging Face's cache, whose snapshots have links to its blobs and to the hub's
(validator/tree/tools/hugging_face.py)."""


class Place(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The place of a model: the mount of the first container that has it, and its volume."""

    model: Model
    placed: Placed
    mount: Mount
    volume: Volume

    @cached_property
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


class ModelStorage(msgspec.Struct, frozen=True, kw_only=True, dict=True):
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
    once: set[str] = set()
    again: set[str] = set()
    for placed in pod.all_containers:
        again |= once & placed.uses
        once |= placed.uses
    return frozenset(
        name for name in (once - again) & volumes.keys() if volumes[name].kind == "emptyDir"
    )


def _place(model: Model, table: MountTable, volumes: Mapping[str, Volume]) -> Place:
    held = table.holder(model.path)
    if held is None:  # `with_model_volumes` has added one, or refused the pod
        raise AssertionError
    placed, mount = held
    return Place(model=model, placed=placed, mount=mount, volume=volume_of(mount, placed, volumes))
