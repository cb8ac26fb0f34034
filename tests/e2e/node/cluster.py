"""A cluster, with the operations that scenarios use."""

from __future__ import annotations

import json
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.api_server.client import ApiServer, Document
from tests.e2e.api_server.processes import ControlPlaneError, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

JOIN: Final = "MODEL_VALIDATION_NODE"
"""Names the folder of a cluster that runs: `python -m tests.e2e.node` says which."""

NEW: Final = "new"
"""Said instead of a folder, it has the tests start a cluster of their own."""

STATE: Final = "node.json"
Executed = subprocess.CompletedProcess[str]

WAIT_SECONDS: Final = 120
"""Seconds at the most for what takes a few on an idle machine."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that runs, with the webhook installed.

    Attributes:
        api: Its API server.
        folder: A folder of the node, for models that pods mount.
    """

    api: ApiServer
    folder: Path

    @classmethod
    def join(cls, folder: Path) -> Cluster:
        """Join the cluster whose files lie in a folder."""
        state = json.loads((folder / STATE).read_text())
        kubectl = Path(state.pop("kubectl"))
        return cls(ApiServer(**state, kubectl=kubectl, folder=folder), folder)

    def invite(self, kubectl: Path) -> None:
        """Leave in the cluster's folder what `join` needs."""
        state = {"address": self.api.address, "port": self.api.port, "token": self.api.token}
        file = self.folder / STATE
        file.touch(mode=0o600)
        file.write_text(json.dumps(state | {"kubectl": str(kubectl)}))

    # Making

    def namespace(self, labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace, with the ServiceAccount that its pods need, and return its name."""
        name = f"test-{secrets.token_hex(4)}"
        metadata = {"name": name, "labels": dict(labels or {})}
        self.api.created({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        until(lambda: self.get(account) is not None, what="a ServiceAccount", seconds=WAIT_SECONDS)
        return name

    def claim(self, namespace: str, folder: Path, *, name: str = "granite", **spec: Any) -> str:
        """Create a claim that is bound to a folder of the node, and return its name."""
        volume = f"{namespace}-{name}"
        shared = {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
        } | spec
        self.api.created(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": volume},
                "spec": {
                    **shared,
                    "capacity": {"storage": "1Gi"},
                    "hostPath": {"path": str(folder)},
                    "claimRef": {"namespace": namespace, "name": name},
                },
            }
        )
        self.api.created(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    **shared,
                    "resources": {"requests": {"storage": "1Gi"}},
                    "volumeName": volume,
                },
            }
        )
        return name

    def remove_namespace(self, name: str) -> None:
        """Delete a namespace and its volumes, without waiting for the end of it."""
        self.api.call("DELETE", f"/api/v1/namespaces/{name}")
        volumes = self.api.call("GET", "/api/v1/persistentvolumes").document["items"]
        for volume in volumes:
            if volume["spec"].get("claimRef", {}).get("namespace") == name:
                path = f"/api/v1/persistentvolumes/{volume['metadata']['name']}"
                self.api.call("DELETE", path)

    # Looking

    def get(self, path: str) -> Document | None:
        """Return the object at a path, `None` where there is none."""
        answer = self.api.call("GET", path)
        return answer.document if answer.status == 200 else None

    def pod(self, namespace: str, name: str) -> Document:
        """Return a pod.

        Raises:
            ControlPlaneError: There is none.
        """
        found = self.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
        if found is None:
            raise ControlPlaneError(f"there is no pod {name} in {namespace}")
        return found

    def pods(self, namespace: str, selector: str = "") -> list[Document]:
        """Return the pods of a namespace, oldest first."""
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}"
        items: list[Document] = self.api.call("GET", path).document["items"]
        return sorted(items, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def wait(
        self, holds: Callable[[], bool], *, what: str, namespace: str, seconds: float = WAIT_SECONDS
    ) -> None:
        """Return when something holds.

        Raises:
            ControlPlaneError: It did not in time; with the pods and events of the namespace.
        """
        try:
            until(holds, what=what, seconds=seconds, pause=0.2)
        except ControlPlaneError as error:
            seen = self.api.kubectl("-n", namespace, "get", "pods,events", check=False).stdout
            raise ControlPlaneError(f"{error}\n{seen}") from None

    def wait_until_running(self, namespace: str, name: str) -> Document:
        """Return a pod when all of its containers are ready."""
        self.wait(
            lambda: condition(self.pod(namespace, name), "Ready") == "True",
            what=f"the pod {name} is ready",
            namespace=namespace,
        )
        return self.pod(namespace, name)

    def wait_until_refused(self, namespace: str, name: str) -> str:
        """Return what the gate said of a pod's model when it has failed."""
        said: list[str] = []

        def failed() -> bool:
            said[:] = gate_messages(self.pod(namespace, name))
            return bool(said)

        self.wait(failed, what=f"the gate of {name} fails", namespace=namespace)
        return said[0]

    def logs(self, namespace: str, name: str, container: str) -> str:
        """Return what `kubectl logs` shows."""
        return self.api.kubectl("-n", namespace, "logs", name, "-c", container).stdout

    def execute(self, namespace: str, name: str, container: str, *command: str) -> Executed:
        """Run a command in a container as `kubectl exec` does, whatever its exit code is."""
        target = ("-n", namespace, "exec", name, "-c", container, "--")
        return self.api.kubectl(*target, *command, check=False)

    def describe(self, namespace: str, name: str) -> str:
        """Return what `kubectl describe pod` shows."""
        return self.api.kubectl("-n", namespace, "describe", "pod", name).stdout


def condition(pod: Document, name: str) -> str | None:
    """Return the status of one of a pod's conditions."""
    conditions = pod["status"].get("conditions", [])
    return next((each["status"] for each in conditions if each["type"] == name), None)


def statuses(pod: Document) -> dict[str, Document]:
    """Return the status of each container, init containers included, by name."""
    status = pod["status"]
    listed = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return {each["name"]: each for each in listed}


def gate_messages(pod: Document) -> list[str]:
    """Return what a gate that failed has left as its message, the present one first."""
    status = statuses(pod).get("model-validation", {})
    ended = [status.get(when, {}).get("terminated") for when in ("state", "lastState")]
    return [each["message"] for each in ended if each and each["exitCode"] and each.get("message")]


def started(pod: Document, container: str) -> bool:
    """Tell whether a container of a pod has ever run."""
    status = statuses(pod).get(container, {})
    return bool(
        status.get("restartCount")
        or set(status.get("state", {})) & {"running", "terminated"}
        or status.get("lastState")
    )


def began(pod: Document, container: str) -> str:
    """Return when a container started that runs or has ended for good; these times can be compared.

    Kubernetes keeps whole seconds, in UTC.
    """
    (state,) = statuses(pod)[container]["state"].values()
    return str(state["startedAt"])


def ended(pod: Document, container: str) -> str:
    """Return when a container ended that does not run again."""
    return str(statuses(pod)[container]["state"]["terminated"]["finishedAt"])
