"""Rules on privileges: nothing in the pod can undo the verdict."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from validator.paths import related
from validator.text import quoted
from webhook.admission.nest import one_place
from webhook.admission.wire import SecurityContext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validator.policy.document import ModelValidation
    from webhook.admission.pod import Placed
    from webhook.admission.rules.case import Case

CAPABILITIES: Final = frozenset(
    {
        "ALL",
        "BPF",  # loads programs into the kernel
        "DAC_READ_SEARCH",  # opens files of the node by handle, past every mount
        "SYS_ADMIN",  # remounts the model writable, or something else over it
        "SYS_BOOT",  # starts another kernel (kexec)
        "SYS_MODULE",  # loads code into the kernel
        "SYS_PTRACE",  # writes into the memory of other containers' processes
        "SYS_RAWIO",  # writes memory and disks below the kernel
        "SYS_TIME",  # sets the node's clock, by which certificates are judged
    }
)
"""Capabilities with which a container can undo what the gate has verified."""

_RUNTIMES: Final = (
    *("/run/containerd", "/run/crio", "/run/docker.sock", "/run/k3s", "/run/podman"),
    *("/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/rancher"),
)
"""Folders and sockets of container runtimes, where these have them by default."""

_LINKS_TO_A_ROOT: Final = re.compile(r"\bln\s+-\S+\s+/proc/\S+/root\b")
"""The command of KServe's modelcar (`modelcarCommand` in its pkg/utils/storage.go)."""


def pod_settings(case: Case) -> Iterator[str]:
    """The pod runs on Linux, and its containers do not share processes."""
    spec = case.pod.spec
    if spec.os is not None and spec.os.name == "windows":
        yield "spec.os: a model can be verified on Linux nodes only: remove os.name windows"
    if spec.host_pid:
        yield "spec.hostPID lets containers reach into the gate's and each other's memory: drop it"
    if spec.share_process_namespace:
        said = (
            "spec.shareProcessNamespace lets containers reach into one another's files and memory"
        )
        car = next(filter(_is_modelcar, case.pod.all_containers), None)
        if car is None:
            yield f"{said}: remove it"
        else:
            yield (
                f"{said}; KServe sets it for a modelcar, {car.where}, whose own files are the "
                "model, which no gate can mount: have KServe mount the model, by storageUri "
                "oci+native:// with the image's digest, or by pvc://"
            )


def _is_modelcar(placed: Placed) -> bool:
    """Tell whether a container is KServe's, which links the model's path to its own root."""
    words = (*(placed.view.command or ()), *(placed.view.args or ()))
    return any(_LINKS_TO_A_ROOT.search(word) for word in words)


def container_privileges(case: Case) -> Iterator[str]:
    """No container can change what another one has verified or loaded."""
    for placed in case.pod.all_containers:
        if not case.policy.spec.allow_privileged:
            yield from privileges(placed, case.policy)
        for device in placed.devices:
            if device.name in case.storage.reaching:
                yield (
                    f"{placed.where} has the model's volume {quoted(device.name)} as a block "
                    "device, past every read-only mount: leave it out of volumeDevices"
                )


def node_access(case: Case) -> Iterator[str]:
    """Yield a warning of each volume by which a container may command the node's runtime.

    A socket takes commands through a read-only mount too.
    """
    reaching = {
        volume.name: volume.place
        for volume in case.storage.volumes.values()
        if volume.kind == "hostPath"
        and any(related(one_place(volume.place), path) for path in _RUNTIMES)
    }
    for placed in case.pod.all_containers:
        for name in sorted(placed.uses & reaching.keys()):
            yield (
                f"{placed.where} has {quoted(reaching[name])} of the node, with which it may "
                "command the container runtime, and so change what was verified; see that it needs "
                "that, or enforce Pod Security baseline in the namespace"
            )


def privileges(placed: Placed, policy: ModelValidation | None) -> Iterator[str]:
    """Yield the privileges by which a container could undo a verdict.

    Args:
        placed: The container.
        policy: The pod's policy, which does not allow them; `None` where it is not known.
    """
    context = placed.view.security_context or SecurityContext()
    remedy = "remove it"
    if policy is not None:
        remedy += f", or {policy.remedy('set allowPrivileged', field='allowPrivileged')}"
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
