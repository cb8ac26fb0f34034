"""A whole cluster of one node: control plane, kubelet, containerd, kube-proxy, CoreDNS."""

from __future__ import annotations

import http.client
import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.e2e.api_server.control_plane import NODE, ControlPlane
from tests.e2e.api_server.processes import ControlPlaneError, Program, until
from tests.e2e.node import archives, settings
from tests.e2e.node.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

START_SECONDS: Final = 300
"""Two clusters that start at once on two busy cores take a minute each; more is a hang."""
LOCAL: Final = "127.0.0.1"
FOLDERS: Final = ("addresses", "containerd", "cni", "kubelet", "static-pods", "logs")


class Node:
    """A context manager: the cluster works inside the block, and nothing of it remains afterwards.

    Attributes:
        machine: Where it runs.
        control_plane: Its API server, and etcd.
    """

    def __init__(
        self, programs: Mapping[str, Path], *, folder: Path, images: Iterable[Path] = ()
    ) -> None:
        self._programs = programs
        self._images = tuple(images)
        self._folder = folder
        self._running = ExitStack()
        self._started: dict[str, Program] = {}
        self.machine = Machine(folder)
        self.control_plane: ControlPlane

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name in FOLDERS:
                stack.callback(shutil.rmtree, self._folder / name, ignore_errors=True)
                (self._folder / name).mkdir()
            stack.enter_context(self.machine)
            self.control_plane = ControlPlane(
                self._programs, folder=self._folder, host=self.machine.host
            )
            self._write_files()
            stack.callback(self._close_programs)
            self.start("containerd")
            stack.enter_context(self.control_plane)
            for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
                self.start(name)
            self._import_images()
            self.start("kubelet")
            self._wait_until_ready()
            self._running = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def start(self, name: str) -> None:
        """Start one of the programs beside the API server, anew if it ran before."""
        if name not in self._started:
            command = {
                "containerd": self._containerd,
                "kube-controller-manager": self._controller_manager,
                "kube-scheduler": self._scheduler,
                "kubelet": self._kubelet,
                "kube-proxy": self._kube_proxy,
            }[name]()
            log = self._folder / f"{name}.log"
            self._started[name] = Program(command, log=log, host=self.machine.host)
        self._started[name].kill()
        self._started[name].start()

    def stop(self, name: str) -> None:
        """Stop one of them as a crash does."""
        self._started[name].kill()

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return self._folder

    @property
    def kubectl(self) -> Path:
        """The program, of the cluster's version."""
        return self._programs["kubectl"]

    def kill(self, namespace: str, pod: str, container: str) -> None:
        """Kill a container's processes at once, as a crash or a lack of memory does."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}"
        status = self.control_plane.call("GET", path).document["status"]
        listed = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        (identity,) = [each["containerID"] for each in listed if each["name"] == container]
        task = identity.removeprefix("containerd://")
        self.runtime("task", "kill", "--all", "--signal", "SIGKILL", task)

    def import_image(self, archive: Path) -> None:
        """Make an image known to the node, under the names that its archive gives it."""
        self.runtime("image", "import", "--no-unpack", str(archive))

    def runtime(self, *arguments: str) -> bytes:
        """Run containerd's own client in the namespace of Kubernetes."""
        address = ("--address", settings.RUNTIME_SOCKET, "--namespace", "k8s.io")
        return self.machine.run("ctr", *address, *arguments)

    def _close_programs(self) -> None:
        for program in self._started.values():
            program.close()

    def _wait_until_ready(self) -> None:
        self.control_plane.kubectl("apply", "-f", str(Path(__file__).with_name("coredns.yaml")))
        try:
            until(self._ready, what="the node and its name server are ready", seconds=START_SECONDS)
        except ControlPlaneError as error:
            listed = ("get", "nodes,pods,events", "--all-namespaces", "--output=wide")
            seen = self.control_plane.kubectl(*listed, check=False).stdout
            raise ControlPlaneError(f"{error}\n{seen}") from None

    def _ready(self) -> bool:
        node = self.control_plane.call("GET", f"/api/v1/nodes/{NODE}")
        path = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
        names = self.control_plane.call("GET", path)
        if not node.status == names.status == http.client.OK:
            return False
        conditions = {c["type"]: c["status"] for c in node.document["status"]["conditions"]}
        resolving = names.document["status"].get("readyReplicas") == 1
        return conditions.get("Ready") == "True" and resolving

    def _import_images(self) -> None:
        dns = self._folder / "coredns.tar"
        archives.one_program(self._programs["coredns"], archives.DNS_IMAGE, dns)
        self._started["containerd"].wait_until(self._runtime_answers, seconds=START_SECONDS)
        for archive in (archives.pause(self._folder), dns, *self._images):
            self.import_image(archive)
        dns.unlink()

    def _runtime_answers(self) -> bool:
        try:
            return bool(self.runtime("version"))
        except ControlPlaneError:
            return False

    def _write_files(self) -> None:
        folder, control_plane = self._folder, self.control_plane
        documents = {
            "cni/pods.conflist": settings.pod_network(folder),
            "kubelet.json": settings.kubelet(control_plane, cgroup=self.machine.cgroup),
            "kube-proxy.json": settings.kube_proxy(control_plane),
        }
        for name, document in documents.items():
            (folder / name).write_text(json.dumps(document))
        (folder / "containerd.toml").write_text(settings.containerd(folder))
        (folder / "resolv.conf").write_text("")

    def _containerd(self) -> list[str]:
        return ["containerd", "--config", str(self._folder / "containerd.toml")]

    def _controller_manager(self) -> list[str]:
        accounts = self._folder / "accounts.key"
        return [
            *self._component("kube-controller-manager"),
            f"--bind-address={LOCAL}",
            "--leader-elect=false",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={accounts}",
            f"--root-ca-file={self._folder / 'ca.pem'}",
            # Not by chance quick: a claim, a namespace or an attachment is noticed at once.
            "--attach-detach-reconcile-sync-period=5s",
        ]

    def _scheduler(self) -> list[str]:
        flags = (f"--bind-address={LOCAL}", "--leader-elect=false")
        return [*self._component("kube-scheduler"), *flags]

    def _kubelet(self) -> list[str]:
        return [
            *self._component("kubelet"),
            f"--config={self._folder / 'kubelet.json'}",
            f"--root-dir={self._folder / 'kubelet'}",
            f"--hostname-override={NODE}",
            f"--node-ip={self.control_plane.address}",
        ]

    def _kube_proxy(self) -> list[str]:
        return [str(self._programs["kube-proxy"]), f"--config={self._folder / 'kube-proxy.json'}"]

    def _component(self, name: str) -> list[str]:
        kubeconfig = self.control_plane.kubeconfig_of(name)
        return [str(self._programs[name]), f"--kubeconfig={kubeconfig}"]
