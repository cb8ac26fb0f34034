"""Rules on mounts: every container sees at the model's path what was verified there.

Each mount is looked at once, beside at most as many models as a policy has.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from validator import contract
from validator.paths import covers, is_canonical, related
from validator.text import quoted
from webhook.admission.nest import one_place
from webhook.admission.volume import PROC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.admission.pod import Placed
    from webhook.admission.rules.case import Case
    from webhook.admission.storage import ModelStorage, Place
    from webhook.admission.wire import Mount


def differing_mounts(case: Case) -> Iterator[str]:
    """No container sees anything else at, above or below a model, or where its links may lead."""
    for placed in case.workload:
        for mount in placed.mounts:
            yield from _mount(mount, placed, case)
        yield from _devices(placed, case.storage)
        yield from _termination_message(placed, case.storage)


def _mount(mount: Mount, placed: Placed, case: Case) -> Iterator[str]:
    storage = case.storage
    if not is_canonical(mount.mount_path):
        yield (
            f"{placed.where} mounts at {quoted(mount.mount_path)}, which is not spelled in "
            f"the one way that can be compared: write {quoted(mount.at)}"
        )
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
        # What lies elsewhere within the model's volume is `nested_mounts`' business.
        if place.hides(mount.at) or (case.strict and place.holds(mount.at)):
            yield (
                f"{placed.where} mounts the volume {quoted(mount.name)} at "
                f"{quoted(mount.mount_path)}, but what is verified at {place.model.path} is the "
                f"volume {quoted(place.mount.name)} at {quoted(place.mount.mount_path)}"
                f"{_below(place.mount)}: {_way_out(mount, place)}"
            )


def _is_verified(mount: Mount, verified: Mount) -> bool:
    """Tell whether a mount shows what the verified one shows, at the same path."""
    same = (mount.at, mount.name, mount.sub_path or "", mount.sub_path_expr or "")
    return same == (verified.at, verified.name, verified.sub_path or "", "")


def _way_out(mount: Mount, place: Place) -> str:
    """Return what to do about a mount that lies with a model."""
    if related(one_place(mount.at), one_place(place.model.path)):
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


def _in_proc(placed: Placed, path: str) -> str:
    return (
        f"{placed.where} mounts at {quoted(path)}, below {PROC}, where links lead back to other "
        "paths: mount it somewhere else"
    )
