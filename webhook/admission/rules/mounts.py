"""Rules on mounts: every container sees at the model's path what was verified there.

Each mount is looked at once, beside at most as many models as a policy has. Which mount lies
within which is found by sorting, not by comparing pairs.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from validator import contract
from validator.paths import canonical, covers, is_canonical, related
from validator.text import quoted
from webhook.admission.storage import KUBERNETES_WRITES, PROC, one_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from webhook.admission.pod import Placed
    from webhook.admission.rules.case import Case
    from webhook.admission.storage import ModelStorage, Place
    from webhook.admission.wire import Mount

_LINKLESS: Final = KUBERNETES_WRITES - {"gitRepo"}
"""Kinds in which a pod's owner chooses what files say, and cannot place a link."""

_OF_THE_RUNTIME: Final = ("/dev/shm", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""Paths that a runtime mounts into each container beside those that the pod names."""


def differing_mounts(case: Case) -> Iterator[str]:
    """No container sees anything else at, above or below a model, or where its links may lead."""
    for placed in case.workload:
        for mount in placed.mounts:
            yield from _mount(mount, placed, case.storage)
        yield from _devices(placed, case.storage)
        yield from _termination_message(placed, case.storage)


def _mount(mount: Mount, placed: Placed, storage: ModelStorage) -> Iterator[str]:
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
        if place.overlaps(mount.at) and not _is_verified(mount, place.mount):
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
            if place.overlaps(device.at):
                yield (
                    f"{placed.where} has a block device at {quoted(device.device_path)}, on the "
                    f"model's path {place.model.path}: attach it somewhere else"
                )


def _termination_message(placed: Placed, storage: ModelStorage) -> Iterator[str]:
    path = placed.view.termination_message_path
    if path and (
        not is_canonical(path)
        or covers(PROC, path)
        or any(place.overlaps(path) for place in storage.places)
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


def nested_mounts(case: Case) -> Iterator[str]:
    """A container that has a model mounts nothing within another of its volumes.

    A runtime follows links while it mounts, also those of what it has mounted already. One that
    lies on the outer volume leads the inner mount over the model.
    """
    for placed, mount, path in _nested(case):
        if mount.name not in case.storage.private:
            yield (
                f"{placed.where} has {quoted(path)} mounted within the volume "
                f"{quoted(mount.name)} at {quoted(mount.at)}, where a link could lead it over "
                "the model: mount the two side by side, and name the inner one's new path where "
                "it is used (a cache by HF_HOME, VLLM_CACHE_ROOT or XDG_CACHE_HOME)"
            )


def links_after_a_restart(case: Case) -> Iterator[str]:
    """An emptyDir of a container's own is empty at its first start only."""
    for placed, mount, path in _nested(case):
        if mount.name in case.storage.private:
            yield (
                f"{placed.where} has {quoted(path)} mounted within its emptyDir "
                f"{quoted(mount.name)} at {quoted(mount.at)}: after a restart, a link that the "
                "first run left there could lead it over the model; mount the two side by side"
            )


def _nested(case: Case) -> Iterator[tuple[Placed, Mount, str]]:
    """Yield, of containers that have a model, mounts on which links may lie, and what is within."""
    models = {place.mount.at for place in case.storage.places}
    for placed in case.workload:
        if not any(mount.at in models for mount in placed.mounts):
            continue
        inner = _mounted_paths(placed)
        for mount in placed.mounts:
            volume = case.storage.volumes.get(mount.name)
            linkless = volume is not None and volume.kind in _LINKLESS
            # What lies within the model's own volume is `differing_mounts`' business.
            if mount.at in models or linkless:
                continue
            path = _first_within(one_place(mount.at), inner)
            if path is not None:
                yield placed, mount, path


def _mounted_paths(placed: Placed) -> list[str]:
    """Return all paths at which a container has something mounted, in their order."""
    message = placed.view.termination_message_path or contract.TERMINATION_MESSAGE_PATH
    return sorted(
        {
            *(one_place(mount.at) for mount in placed.mounts),
            *(one_place(device.at) for device in placed.devices),
            canonical(message),
            *_OF_THE_RUNTIME,
        }
    )


def _first_within(outer: str, paths: Sequence[str]) -> str | None:
    """Return the first of sorted canonical paths that lies below another."""
    prefix = "/" if outer == "/" else f"{outer}/"
    index = bisect_right(paths, prefix)
    return paths[index] if index < len(paths) and paths[index].startswith(prefix) else None
