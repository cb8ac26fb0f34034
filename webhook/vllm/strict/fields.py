"""The fields of a pod that `Strict` allows, each with the reason why it is harmless.

The names are those of the API server's OpenAPI. A field that is on no list is refused: also
one that a later Kubernetes adds. Harmless means: it decides neither what vLLM runs, opens or
hears, nor who answers on its port.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Allowed:
    """A field that may be set.

    Attributes:
        reason: Why it is harmless, whatever its value, or with those that are listed.
        values: The values that are allowed; any, if there are none.
    """

    reason: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A field that must not be set; `reason` says what it could do."""

    reason: str


@dataclass(frozen=True, slots=True)
class Within:
    """A field whose own fields are judged, by the list of a definition."""

    definition: str


Entry = Allowed | Refused | Within

_SCHEDULING: Final = Allowed("decides where and when the pod runs, and not what")
_IDENTITY: Final = Allowed("names the pod, or what it may ask of others")
_LIFETIME: Final = Allowed("decides how long it runs, and what happens when it ends")
_USER: Final = Allowed("decides whose rights it runs with, which the gate takes over")
_CONFINEMENT: Final = Allowed("confines the container; the default confines no less than needed")
_PROGRAM: Final = Allowed("is judged by the rules on arguments, variables, images and ports")
_RESOURCES: Final = Allowed("decides how much it may use")
_NETWORK: Final = Allowed("decides which names it resolves; what is served is not looked up")
_OTHERS_DATA: Final = Allowed("is seen by other containers only: what serves must not mount it")
_OTHERS_PROGRAM: Final = Allowed("is part of a program that the policy allows by its image")
_HOST: Final = Refused("shares the node's namespace with other pods and programs of the node")
_WINDOWS: Final = Refused("is for Windows")
_RUNS: Final = Refused("runs a program beside vLLM")
_DRIVER: Final = Refused("lets a driver or the node decide what the pod sees")

POD_SPEC: Final[dict[str, Entry]] = {
    **dict.fromkeys(
        (
            *("affinity", "nodeName", "nodeSelector", "overhead", "preemptionPolicy", "priority"),
            *("priorityClassName", "schedulerName", "schedulingGates", "schedulingGroup"),
            *("tolerations", "topologySpreadConstraints", "workloadRef", "os"),
        ),
        _SCHEDULING,
    ),
    **dict.fromkeys(
        (
            *("automountServiceAccountToken", "hostname", "hostnameOverride", "imagePullSecrets"),
            *("serviceAccount", "serviceAccountName", "setHostnameAsFQDN", "subdomain"),
            "enableServiceLinks",
        ),
        _IDENTITY,
    ),
    **dict.fromkeys(
        (
            *("activeDeadlineSeconds", "evictionResponders", "readinessGates", "restartPolicy"),
            "terminationGracePeriodSeconds",
        ),
        _LIFETIME,
    ),
    "dnsConfig": _NETWORK,
    "dnsPolicy": _NETWORK,
    "resources": _RESOURCES,
    "resourceClaims": Allowed("asks for devices of drivers that the cluster's admin installs"),
    "runtimeClassName": Allowed("chooses a runtime that the cluster's admin installs"),
    "hostUsers": Allowed("takes rights on the node away"),
    "containers": Within("Container"),
    "initContainers": Within("Container"),
    "volumes": Within("Volume"),
    "securityContext": Within("PodSecurityContext"),
    "ephemeralContainers": Refused("is for running pods"),
    "hostAliases": Refused("gives names such as localhost other addresses"),
    "hostIPC": _HOST,
    "hostNetwork": _HOST,
    "hostPID": _HOST,
    "shareProcessNamespace": Refused("lets containers reach into one another's memory"),
}

CONTAINER: Final[dict[str, Entry]] = {
    **dict.fromkeys(("args", "command", "env", "image", "name"), _PROGRAM),
    "imagePullPolicy": Allowed("an image that is named by its digest is the same by any policy"),
    **dict.fromkeys(("resizePolicy", "resources"), _RESOURCES),
    **dict.fromkeys(("restartPolicy", "restartPolicyRules", "terminationMessagePolicy"), _LIFETIME),
    **dict.fromkeys(
        ("envFrom", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "workingDir"),
        _OTHERS_PROGRAM,
    ),
    "ports": Within("ContainerPort"),
    "securityContext": Within("SecurityContext"),
    "volumeMounts": Within("VolumeMount"),
    "terminationMessagePath": Allowed("is the file of the default", ("/dev/termination-log",)),
    "volumeDevices": Refused("shows a block device as a file, at any path"),
    **dict.fromkeys(("stdin", "stdinOnce", "tty"), Refused("lets people type into the program")),
}

SERVING_CONTAINER: Final[dict[str, Entry]] = {
    **CONTAINER,
    "envFrom": Refused("sets variables that cannot be read; name them in env"),
    "workingDir": Refused("decides what relative names mean"),
    "lifecycle": Within("Lifecycle"),
    "livenessProbe": Within("Probe"),
    "readinessProbe": Within("Probe"),
    "startupProbe": Within("Probe"),
    "volumeMounts": Within("VolumeMount"),
}

_KUBELET_ASKS: Final = Allowed("the kubelet asks over the network, and only counts the answers")

DEFINITIONS: Final[dict[str, dict[str, Entry]]] = {
    "PodSpec": POD_SPEC,
    "Container": CONTAINER,
    "ServingContainer": SERVING_CONTAINER,
    "PodSecurityContext": {
        **dict.fromkeys(
            (
                *("fsGroup", "fsGroupChangePolicy", "runAsGroup", "runAsNonRoot", "runAsUser"),
                *("supplementalGroups", "supplementalGroupsPolicy"),
            ),
            _USER,
        ),
        **dict.fromkeys(
            ("appArmorProfile", "seLinuxChangePolicy", "seLinuxOptions", "seccompProfile"),
            _CONFINEMENT,
        ),
        "sysctls": Refused("changes how the kernel treats the pod's network and memory"),
        "windowsOptions": _WINDOWS,
    },
    "SecurityContext": {
        **dict.fromkeys(("runAsGroup", "runAsNonRoot", "runAsUser"), _USER),
        **dict.fromkeys(
            (
                *("allowPrivilegeEscalation", "appArmorProfile", "readOnlyRootFilesystem"),
                *("seLinuxOptions", "seccompProfile"),
            ),
            _CONFINEMENT,
        ),
        "capabilities": Within("Capabilities"),
        "privileged": Refused("may do on the node whatever root may"),
        "procMount": Allowed("is the default", ("Default",)),
        "windowsOptions": _WINDOWS,
    },
    "Capabilities": {
        "add": Allowed(
            "concern the container's own files, memory and low ports",
            ("CHOWN", "FOWNER", "IPC_LOCK", "NET_BIND_SERVICE", "SETGID", "SETUID", "SYS_NICE"),
        ),
        "drop": Allowed("takes rights away"),
    },
    "ContainerPort": {
        **dict.fromkeys(("containerPort", "name", "protocol"), _PROGRAM),
        "hostIP": Refused("opens a port of the node"),
        "hostPort": Refused("opens a port of the node"),
    },
    "VolumeMount": {
        **dict.fromkeys(
            ("mountPath", "name", "readOnly", "recursiveReadOnly", "subPath"),
            Allowed("is judged by the rules on mounts"),
        ),
        "bindMountOptions": Refused("changes how a mount treats devices and programs"),
        "mountPropagation": Allowed("is the default", ("None",)),
        "subPathExpr": Refused("names a directory that is not known before the start"),
    },
    "Lifecycle": {
        "postStart": _RUNS,
        "preStop": Within("LifecycleHandler"),
        "stopSignal": _LIFETIME,
    },
    "LifecycleHandler": {
        "exec": _RUNS,
        "httpGet": Refused("has the kubelet call vLLM or others at the end"),
        "sleep": Allowed("only waits"),
        "tcpSocket": Refused("is deprecated"),
    },
    "Probe": {
        **dict.fromkeys(
            (
                *("failureThreshold", "initialDelaySeconds", "periodSeconds", "successThreshold"),
                *("terminationGracePeriodSeconds", "timeoutSeconds"),
            ),
            _LIFETIME,
        ),
        **dict.fromkeys(("grpc", "httpGet", "tcpSocket"), _KUBELET_ASKS),
        "exec": _RUNS,
    },
    "Volume": {
        "name": _IDENTITY,
        "emptyDir": Allowed("is empty, or holds what the pod's own containers wrote"),
        **dict.fromkeys(
            (
                *("configMap", "downwardAPI", "ephemeral", "image", "persistentVolumeClaim"),
                *("projected", "secret"),
            ),
            _OTHERS_DATA,
        ),
        **dict.fromkeys(
            (
                *("awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi"),
                *("fc", "flexVolume", "flocker", "gcePersistentDisk", "gitRepo", "glusterfs"),
                *("hostPath", "iscsi", "nfs", "photonPersistentDisk", "portworxVolume"),
                *("quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume"),
            ),
            _DRIVER,
        ),
    },
}

OF_KUBERNETES: Final = {"ServingContainer": "Container"}
"""Lists that are of a definition by another name in Kubernetes."""

_RUNTIMES: Final = frozenset(
    {"cdi", "cni", "containerd", "cri", "cri-o", "gvisor", "katacontainers", "multus-cni", "nri"}
)
"""Parts of an annotation's name by which container runtimes and network plugins know it as theirs,
by their documentation: `nvidia.cdi.k8s.io/…`, `dev.gvisor.spec.mount.…`,
`io.katacontainers.config.…`, `v1.multus-cni.io/default-network`. They add devices, mounts, hooks
and networks."""

_RUNTIME_STARTS: Final = ("module.wasm.image/", "run.oci.", "org.systemd.")
"""Starts of those that crun reads."""

_BETWEEN_PARTS: Final = re.compile(r"[./]")


def refused(value: Any, definition: str, *, path: str) -> Iterator[str]:
    """Yield which fields of an object are not allowed, a sentence each.

    Args:
        value: The object; absent and empty fields count as not set.
        definition: The list that it is judged by.
        path: Where it stands, as a person writes it.
    """
    if not isinstance(value, dict):
        yield f"{path} is not an object, as Kubernetes defines it"
        return
    for name, inner in value.items():
        if inner is None or inner is False or inner in ("", [], {}):
            continue
        at = f"{path}.{name}"
        entry = DEFINITIONS[definition].get(name)
        if isinstance(entry, Within):
            yield from _each(inner, entry.definition, path=at)
        elif isinstance(entry, Allowed):
            yield from _values(inner, entry, path=at)
        else:
            yield _not_listed(at, entry)


def _each(value: Any, definition: str, *, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield from refused(value, definition, path=path)
        return
    for index, inner in enumerate(value):
        yield from refused(inner, definition, path=f"{path}[{index}]")


def _values(value: Any, entry: Allowed, *, path: str) -> Iterator[str]:
    for each in value if isinstance(value, list) else [value]:
        if entry.values and each not in entry.values:
            yield (
                f"{path} {quoted(each)} is not on the list of workload.arguments Strict "
                f"({', '.join(entry.values)}); remove it"
            )


def _not_listed(path: str, entry: Refused | None) -> str:
    reason = f": it {entry.reason}" if entry else ""
    return f"{path} is not on the list of workload.arguments Strict{reason}; remove it"


def refused_annotations(annotations: Mapping[str, Any]) -> Iterator[str]:
    """Yield the annotations that a container runtime or a network plugin reads."""
    for name in annotations:
        parts = _BETWEEN_PARTS.split(name.lower())
        if name.startswith(_RUNTIME_STARTS) or not _RUNTIMES.isdisjoint(parts):
            yield (
                f"metadata.annotations: {quoted(name)} is read by container runtimes or network "
                "plugins, which may add devices, mounts, programs or networks: not on the list of "
                "workload.arguments Strict; remove it"
            )
