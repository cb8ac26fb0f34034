"""OpenShift's admission plugin for SecurityContextConstraints, as it changes and judges pods.

Written after `openshift/apiserver-library-go`, `pkg/securitycontextconstraints`, and the SCCs that
OpenShift ships. The plugin runs before the webhooks and once more after them; then a webhook with
`reinvocationPolicy: IfNeeded` is asked again, and in the end the plugin must have nothing to
change.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final

Document = dict[str, Any]

UID_RANGE: Final = (1000650000, 1000659999)
"""Of the namespace, by its annotation `openshift.io/sa.scc.uid-range`; groups have the same."""

LEVEL: Final = "s0:c26,c5"
"""Of the namespace, by its annotation `openshift.io/sa.scc.mcs`."""

ANNOTATION: Final = "openshift.io/scc"
SECCOMP_ANNOTATION: Final = "seccomp.security.alpha.kubernetes.io/pod"
VOLUMES: Final = frozenset(
    {
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"),
        *("persistentVolumeClaim", "projected", "secret"),
    }
)


class NotAllowedError(Exception):
    """No pod of this kind passes the constraint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One SecurityContextConstraints.

    Attributes:
        user: The strategy of `runAsUser`.
        fs_group: Whether it is of the namespace's range.
        drops: `requiredDropCapabilities`.
        escalation: `allowPrivilegeEscalation`.
        seccomp: Whether `runtime/default` is the only profile.
    """

    name: str
    user: str
    fs_group: bool
    drops: tuple[str, ...]
    escalation: bool
    seccomp: bool


CONSTRAINTS: Final = {
    each.name: each
    for each in (
        Constraint(
            name="restricted-v2",
            user="MustRunAsRange",
            fs_group=True,
            drops=("ALL",),
            escalation=False,
            seccomp=True,
        ),
        Constraint(
            name="nonroot-v2",
            user="MustRunAsNonRoot",
            fs_group=False,
            drops=("ALL",),
            escalation=False,
            seccomp=True,
        ),
        Constraint(
            name="anyuid",
            user="RunAsAny",
            fs_group=False,
            drops=("MKNOD",),
            escalation=True,
            seccomp=False,
        ),
    )
}


def admitted(pod: Document, constraint: Constraint) -> Document:
    """Return the pod as the plugin changes it.

    Raises:
        NotAllowedError: The constraint does not allow it.
    """
    changed = copy.deepcopy(pod)
    metadata, spec = changed["metadata"], changed["spec"]
    shared = spec.setdefault("securityContext", {})
    if constraint.fs_group:
        shared.setdefault("fsGroup", UID_RANGE[0])
    shared.setdefault("seLinuxOptions", {"level": LEVEL})
    annotations = metadata.setdefault("annotations", {})
    if constraint.seccomp and "seccompProfile" not in shared:
        shared["seccompProfile"] = {"type": "RuntimeDefault"}
        annotations[SECCOMP_ANNOTATION] = "runtime/default"
    _check_pod(spec, constraint)
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        _assign(container.setdefault("securityContext", {}), shared, constraint)
        _check(container, shared, constraint)
    annotations[ANNOTATION] = constraint.name
    return changed


def _assign(context: Document, shared: Document, constraint: Constraint) -> None:
    """Fill in what a container leaves out, and nothing that it says."""
    user = context.get("runAsUser", shared.get("runAsUser"))
    if user is None and constraint.user == "MustRunAsRange":
        user = context["runAsUser"] = UID_RANGE[0]
    dropped = (context.get("capabilities") or {}).get("drop") or []
    if needed := {*constraint.drops} - {*dropped}:
        context["capabilities"] = {
            **(context.get("capabilities") or {}),
            "drop": sorted({*dropped, *needed}),
        }
    if context.get("runAsNonRoot", shared.get("runAsNonRoot")) is None and (
        constraint.user == "MustRunAsNonRoot" if user is None else user > 0
    ):
        context["runAsNonRoot"] = True
    if not constraint.escalation:
        context.setdefault("allowPrivilegeEscalation", False)


def _check_pod(spec: Document, constraint: Constraint) -> None:
    group = spec["securityContext"].get("fsGroup")
    if constraint.fs_group and not UID_RANGE[0] <= group <= UID_RANGE[1]:
        raise NotAllowedError(f"fsGroup: {group} is not an allowed group")
    for volume in spec.get("volumes", ()):
        if kinds := {*volume} - {"name"} - VOLUMES:
            raise NotAllowedError(f"{kinds.pop()} volumes are not allowed to be used")


def _check(container: Document, shared: Document, constraint: Constraint) -> None:
    context = container["securityContext"]
    user = context.get("runAsUser", shared.get("runAsUser"))
    if constraint.user == "MustRunAsRange" and not UID_RANGE[0] <= user <= UID_RANGE[1]:
        raise NotAllowedError(f"{container['name']}: runAsUser {user} is not in the range")
    nonroot = context.get("runAsNonRoot", shared.get("runAsNonRoot"))
    if constraint.user == "MustRunAsNonRoot" and (user == 0 or nonroot is False):
        raise NotAllowedError(f"{container['name']}: running with the root UID is forbidden")
    options = context.get("seLinuxOptions") or shared["seLinuxOptions"]
    if options.get("level") != LEVEL:
        raise NotAllowedError(f"{container['name']}: seLinuxOptions.level is not {LEVEL}")
    if context.get("privileged") or (
        context.get("allowPrivilegeEscalation", True) and not constraint.escalation
    ):
        raise NotAllowedError(f"{container['name']}: privilege is not allowed")
    added = {*((context.get("capabilities") or {}).get("add") or ())} - {"NET_BIND_SERVICE"}
    if added:
        raise NotAllowedError(f"{container['name']}: capability may not be added: {added.pop()}")
    profile = context.get("seccompProfile") or shared.get("seccompProfile") or {}
    if constraint.seccomp and profile.get("type") != "RuntimeDefault":
        raise NotAllowedError(f"{container['name']}: the seccomp profile is not allowed")
