"""The mounts of the gate: models, signatures and anchors, at their paths, without its own program.

The gate repeats mounts that the pod's author wrote. Volumes in which it looks for links it
mounts at paths of its own; and it mounts nothing else.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from validator import contract
from validator.paths import Places, covers, related
from validator.text import quoted
from webhook.admission.volume import MountTable, volume_of
from webhook.admission.wire import JSON
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from validator.policy.document import ModelValidation
    from webhook.admission.nest import Nest
    from webhook.admission.pod import Pod
    from webhook.admission.storage import ModelStorage
    from webhook.admission.wire import Mount

PROGRAM: Final = (
    *("/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt/model-validation", "/proc"),
    *("/run/secrets", "/sbin", "/sys", "/usr", contract.TERMINATION_MESSAGE_PATH),
)
"""The validator's program in its own image, as any distribution lays it out. The gate repeats
mounts that the pod's author wrote: a mount over the interpreter would bring the author's program,
which would then give the verdict. The link /var/run leads to /run, so that the scratch volume lies
below `/run/secrets`."""

_PROGRAM: Final = Places(PROGRAM)

_CONFIDENTIAL: Final = frozenset({"secret", "projected", "downwardAPI"})
"""Kinds of volumes that a policy must not become a way to read."""

SCRATCH_SIZE: Final = "4Mi"
"""Room for a TUF repository's metadata; memory, so that no disk is needed."""

SCRATCH: Final[JSON] = {
    "name": contract.SCRATCH_VOLUME,
    "emptyDir": {"medium": "Memory", "sizeLimit": SCRATCH_SIZE},
}
"""The volume of gate and monitor. It stands where the ServiceAccount plugin, which runs again after
us, would mount the token: a container that has a mount there already is left alone."""


class OuterVolumes(msgspec.Struct, frozen=True, kw_only=True):
    """The volumes within which the workload mounts something else.

    Attributes:
        mounts: The gate's mounts of those that are not a model's.
        nested: What is mounted within them: from the path that the gate sees to the workload's.
    """

    mounts: tuple[JSON, ...]
    nested: Mapping[str, str]


def outer_volumes(nests: Iterable[Nest], storage: ModelStorage) -> OuterVolumes:
    """Return where the gate looks for links that would lead an inner mount elsewhere.

    It mounts each outer volume alone, at a path of its own, so that no link there leads anything
    in the gate. A model's volume it has already.
    """
    models = {
        (place.mount.name, place.mount.sub_path or ""): place.mount for place in storage.places
    }
    places = {place.mount.at for place in storage.places}
    apart: dict[tuple[str, str], list[Nest]] = {}
    nested: dict[str, str] = {}
    for nest in nests:
        key = (nest.outer.name, nest.outer.sub_path or "")
        if nest.outer.at in places:
            path = posixpath.join(nest.outer.at, nest.below)
            nested[path] = path
        elif key in models:
            nested.setdefault(posixpath.join(models[key].at, nest.below), nest.path)
        else:
            apart.setdefault(key, []).append(nest)
    mounts: list[JSON] = []
    for index, (name, sub_path) in enumerate(sorted(apart)):
        at = f"{contract.OUTER_VOLUMES}/{index}"
        nested |= {f"{at}/{nest.below}": nest.path for nest in apart[name, sub_path]}
        mount: JSON = {"name": name, "mountPath": at, "readOnly": True}
        mounts.append(mount | ({"subPath": sub_path} if sub_path else {}))
    return OuterVolumes(mounts=tuple(mounts), nested=nested)


def mounts(
    pod: Pod, storage: ModelStorage, policy: ModelValidation, *, outer: Iterable[JSON]
) -> list[JSON]:
    """Return what the gate mounts: the models, and signatures and anchors that lie beside them.

    Args:
        pod: The pod, whose running containers' mounts may be repeated.
        storage: Where the models lie in it.
        policy: The policy, which says where signatures and anchors lie.
        outer: Mounts of volumes in which the gate looks for links.

    Raises:
        PodRefused: One of the paths is on no volume, or they cannot be mounted side by side, or
            not without hiding the gate's own program.
    """
    needed = {place.mount.at: place.mount for place in storage.places}
    paths = [(place.model.signature, "signature") for place in storage.places]
    if policy.spec.allow_pod_trust_anchors:
        paths += [(path, "trust anchor") for path in anchor_paths(policy)]
    beside = [
        (path, what)
        for path, what in paths
        if not any(covers(place.mount.at, path) for place in storage.places)
    ]
    table = MountTable(pod.staying if beside else ())
    for path, what in beside:
        mount = _beside(path, what=what, table=table, storage=storage)
        needed[mount.at] = mount
    _beside_the_program(needed)
    _side_by_side([*needed, contract.SERVICE_ACCOUNT_PATH])
    scratch: JSON = {"name": contract.SCRATCH_VOLUME, "mountPath": contract.SERVICE_ACCOUNT_PATH}
    if not fetches(policy):
        scratch["readOnly"] = True
    return [*(_read_only(needed[at]) for at in sorted(needed)), *outer, scratch]


def anchor_paths(policy: ModelValidation) -> tuple[str, ...]:
    """Return the paths of trust anchors that are not inline, each once."""
    paths = (signer.anchor_path for signer in policy.spec.config.signers)
    return tuple(dict.fromkeys(path for path in paths if path is not None))


def fetches(policy: ModelValidation) -> bool:
    """Tell whether the root of trust comes from a TUF repository."""
    return policy.spec.trust is not None and policy.spec.trust.tuf is not None


def _beside(path: str, *, what: str, table: MountTable, storage: ModelStorage) -> Mount:
    """Return the mount of a file that does not lie with a model."""
    held = table.holder(path)
    if held is None:
        raise PodRefused(
            f"no container mounts a volume at or above the {what} {path}: add a volumeMount to "
            "the container that serves the model"
        )
    placed, mount = held
    volume = volume_of(mount, placed, storage.volumes)
    if volume.kind in _CONFIDENTIAL:
        raise PodRefused(
            f"the {what} {path} lies on the {volume.kind} volume {quoted(volume.name)}, which "
            "a policy must not read: keep it beside the model or in a ConfigMap"
        )
    return mount


def _beside_the_program(paths: Iterable[str]) -> None:
    for path in filter(_PROGRAM.related, paths):
        own = next(own for own in PROGRAM if related(path, own))
        raise PodRefused(
            f"the gate would mount {path} over what it runs on itself ({own}): mount the "
            "volume closer to the model, or at another path"
        )


def _side_by_side(paths: Iterable[str]) -> None:
    ordered = sorted(paths, key=lambda path: f"{path}/")
    for one, other in pairwise(ordered):
        if covers(one, other):  # what lies within a path comes right after it
            raise PodRefused(
                f"the gate would mount {one} and {other}, which lie within one another: "
                "mount model, signature and trust anchors at paths of their own"
            )


def _read_only(mount: Mount) -> JSON:
    written: JSON = {"name": mount.name, "mountPath": mount.at, "readOnly": True}
    if mount.sub_path:
        written["subPath"] = mount.sub_path
    return written
