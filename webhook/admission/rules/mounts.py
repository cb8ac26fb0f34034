"""Rules on mounts: every container sees at the model's path what was verified there.

Each mount is looked at once, beside at most as many models as a policy has.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from validator import contract
from validator.paths import covers, is_canonical
from validator.text import quoted
from webhook.admission.nest import one_place
from webhook.admission.volume import LINKLESS, PROC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.admission.pod import Placed
    from webhook.admission.rules.case import Case
    from webhook.admission.storage import ModelStorage, Place
    from webhook.admission.wire import Mount

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def differing_mounts(case: Case) -> Iterator[str]:
    """No container sees anything else at, above or below a model, or where its links may lead."""
    for placed in case.workload:
        for mount in placed.mounts:
            yield from _mount(mount, placed, case)
        yield from _devices(placed, case.storage)
        yield from _termination_message(placed, case.storage)


def _mount(mount: Mount, placed: Placed, case: Case) -> Iterator[str]:
    storage = case.storage
    yield from _spelling(mount, placed)
    if covers(PROC, mount.at):
        yield _in_proc(placed, mount.mount_path)
    if mount.name in storage.reaching and mount.mount_propagation not in (None, "", "None"):
        yield (
            f"{placed.where} mounts {quoted(mount.mount_path)} with mountPropagation "
            f"{quoted(mount.mount_propagation)}, through which another model can come: leave it out"
        )
    for place in storage.places:
        if _is_verified(mount, place.mount):
            continue
        if _is_around(mount, placed, place, storage):
            yield from _around(mount, placed, place, case)
        # What lies elsewhere within the model's volume is `nested_mounts`' business.
        elif place.hides(mount.at) or (case.strict and place.holds(mount.at)):
            yield (
                f"{placed.where} mounts the volume {quoted(mount.name)} at "
                f"{quoted(mount.mount_path)}, but what is verified at {place.model.path} is the "
                f"volume {quoted(place.mount.name)} at {quoted(place.mount.mount_path)}"
                f"{_below(place.mount)}: {_way_out(mount, place, storage)}"
            )


def _spelling(mount: Mount, placed: Placed) -> Iterator[str]:
    if _CONTROLS.search(mount.mount_path):
        yield _with_controls(placed, mount.mount_path)
    elif mount.at == "/":
        yield (
            f"{placed.where} mounts at {quoted(mount.mount_path)}, over the whole image: mount the "
            "volume at a path of its own"
        )
    elif not is_canonical(mount.mount_path.removesuffix("/")):  # which every runtime leaves out
        yield (
            f"{placed.where} mounts at {quoted(mount.mount_path)}, which is not spelled in the one "
            f"way that can be compared: write {quoted(mount.at)}"
        )


def _is_around(mount: Mount, placed: Placed, place: Place, storage: ModelStorage) -> bool:
    """Tell whether a container mounts the model's verified volume within this one.

    By its own path: runtimes mount longer paths later, and links of the image do not count there.
    """
    return (
        mount.at != place.mount.at
        and covers(mount.at, place.mount.at)
        and all(mount.at != each.mount.at for each in storage.places)
        and any(_is_verified(each, place.mount) for each in placed.mounts)
    )


def _around(mount: Mount, placed: Placed, place: Place, case: Case) -> Iterator[str]:
    """Yield why the model's volume must not be mounted within this one.

    `nested_mounts` judges who may write it.
    """
    volume = case.storage.volumes.get(mount.name)
    where = (
        f"{placed.where} has the model's volume {quoted(place.mount.name)} at "
        f"{quoted(place.mount.mount_path)}, within the volume {quoted(mount.name)} at "
        f"{quoted(mount.mount_path)}"
    )
    if case.strict:
        yield (
            f"{where}, which workload.arguments Strict does not allow, since whoever writes the "
            "outer volume could put other files in the model's place: mount the two side by side"
        )
    elif volume is None or volume.kind in LINKLESS:
        yield (
            f"{where}, whose folders Kubernetes replaces under a running pod: mount the two side "
            "by side"
        )


def _is_verified(mount: Mount, verified: Mount) -> bool:
    """Tell whether a mount shows what the verified one shows, at the same path."""
    return (
        mount.name == verified.name
        and mount.at == verified.at
        and (mount.sub_path or "") == (verified.sub_path or "")
        and not mount.sub_path_expr
    )


def _way_out(mount: Mount, place: Place, storage: ModelStorage) -> str:
    """Return what to do about a mount that lies with a model."""
    if mount.at != place.mount.at and covers(mount.at, place.mount.at):
        if any(mount.at == each.mount.at for each in storage.places):
            return "mount the folder of each model alone, side by side"
        return "mount that one here too, within this one, or this one at another path"
    at, path = one_place(mount.at), one_place(place.model.path)
    if at != path and covers(path, at):
        return "it would hide a part of the model; mount it at another path"
    if covers(at, path):
        return "mount that one alone there"
    if place.hides(mount.at):
        return "the model's files are links to there; mount the other one outside of the cache"
    folder = posixpath.relpath(place.model.path, place.mount.at)
    folder = posixpath.join(place.mount.sub_path or "", folder)
    return (
        "a link of the model could lead to where they differ; mount the other one outside of it, "
        f"or the model's folder alone, at {place.model.path} with subPath {quoted(folder)}"
    )


def _below(mount: Mount) -> str:
    return f" (subPath {quoted(mount.sub_path)})" if mount.sub_path else ""


def _devices(placed: Placed, storage: ModelStorage) -> Iterator[str]:
    for device in placed.devices:
        if _CONTROLS.search(device.device_path):
            yield _with_controls(placed, device.device_path)
        if covers(PROC, device.at):
            yield _in_proc(placed, device.device_path)
        for place in storage.places:
            if place.hides(device.at) or place.holds(device.at):
                yield (
                    f"{placed.where} has a block device at {quoted(device.device_path)}, on the "
                    f"model's path {place.model.path}: attach it somewhere else"
                )


def _termination_message(placed: Placed, storage: ModelStorage) -> Iterator[str]:
    path = placed.view.termination_message_path
    if path and (
        not is_canonical(path)
        or covers(PROC, path)
        or any(place.hides(path) or place.holds(path) for place in storage.places)
    ):
        # The kubelet mounts an empty file there, which the container can write.
        yield (
            f"{placed.where} has its terminationMessagePath at {quoted(path)}, where it may "
            f"hide a file of the model: leave it out, or write {contract.TERMINATION_MESSAGE_PATH}"
        )


def _with_controls(placed: Placed, path: str) -> str:
    return (
        f"{placed.where} mounts at {quoted(path)}, a path with control characters, which programs "
        "may read in two ways: leave them out"
    )


def _in_proc(placed: Placed, path: str) -> str:
    return (
        f"{placed.where} mounts at {quoted(path)}, below {PROC}, where links lead back to other "
        "paths: mount it somewhere else"
    )
