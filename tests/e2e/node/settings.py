"""The configuration files of a node's programs, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.e2e.api_server.control_plane import NODE
from tests.e2e.node.archives import PAUSE_IMAGE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.control_plane import ControlPlane

PODS: Final = "10.244.0.0/16"
DNS_SERVICE: Final = "10.96.0.10"
RUNTIME_SOCKET: Final = "/run/containerd/containerd.sock"
CNI_PLUGINS: Final = "/usr/lib/cni"
"""Where Debian's package puts them."""


def containerd(folder: Path) -> str:
    """Return containerd's configuration, TOML."""
    return f"""
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{RUNTIME_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
# A sandbox of CI may lack CAP_SYS_RESOURCE, without which no process may be favoured.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{folder}/cni"
"""


def pod_network(folder: Path) -> dict[str, Any]:
    """Return the network of pods, CNI: a link for each, so that all traffic is routed.

    On a bridge the answer of a Service's pod to its neighbour would go past the node's rules.
    """
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": f"{folder}/addresses",
                    "ranges": [[{"subnet": PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet(control_plane: ControlPlane, *, cgroup: str) -> dict[str, Any]:
    """Return a KubeletConfiguration that is quick to notice and quick to retry."""
    folder = control_plane.folder
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "x509": {"clientCAFile": str(folder / "ca.pem")},
            "anonymous": {"enabled": False},
        },
        "authorization": {"mode": "Webhook"},
        "address": control_plane.address,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{RUNTIME_SOCKET}",
        "crashLoopBackOff": {"maxContainerRestartPeriod": "2s"},
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(folder / "logs"),
        "resolvConf": str(folder / "resolv.conf"),
        "staticPodPath": str(folder / "static-pods"),
        "syncFrequency": "5s",
    }


def kube_proxy(control_plane: ControlPlane) -> dict[str, Any]:
    """Return a KubeProxyConfiguration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(control_plane.kubeconfig_of("kube-proxy"))},
        "clusterCIDR": PODS,
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "hostnameOverride": NODE,
        "mode": "nftables",
        "nftables": {"syncPeriod": "10s", "minSyncPeriod": "100ms"},
    }
