"""The gate reads the model with the rights of the workload's user, and no more."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.node.cluster import began, ended, started
from tests.e2e.node.models import downloading, server, serving
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory
    from tests.e2e.node.models import ModelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The owner and mode of the model's files, and the user of the pod.

    Attributes:
        owner: User and group of files and directories.
        mode: Of the files; that of directories follows.
        pod: The pod's security context.
        container: What the workload's adds to it.
        policy: What the policy says of it.
    """

    owner: tuple[int, int]
    mode: int
    pod: Document = field(default_factory=dict)
    container: Document = field(default_factory=dict)
    policy: Document = field(default_factory=dict)

    def prepare(self, model: ModelStore) -> None:
        """Give the files to their owner."""
        for path in (model.model, *model.model.rglob("*")):
            os.chown(path, *self.owner)
            # Who may read a directory may also enter it.
            path.chmod(self.mode | (self.mode & 0o444) >> 2 if path.is_dir() else self.mode)

    def spec(self) -> dict[str, Any]:
        """Return what it changes in a pod's spec."""
        container = server()
        container["securityContext"] |= self.container
        return {"securityContext": self.pod, "containers": [container]}


COPIES_FOR_ITS_GROUP: Final = """
import os, shutil
os.umask(0o027)
shutil.copytree('/store/granite', '/models/granite', copy_function=shutil.copyfile)
"""

READABLE: Final = {
    "root": Case(owner=(0, 0), mode=0o600, container={"runAsUser": 0}),
    "a numeric user": Case(owner=(1001, 1001), mode=0o600, pod={"runAsUser": 1001}),
    "the container's user before the pod's": Case(
        owner=(1002, 1002), mode=0o600, pod={"runAsUser": 1001}, container={"runAsUser": 1002}
    ),
    "a group": Case(owner=(0, 2000), mode=0o640, pod={"runAsUser": 1001, "runAsGroup": 2000}),
    "fsGroup": Case(owner=(0, 2000), mode=0o640, pod={"runAsUser": 1001, "fsGroup": 2000}),
    "supplemental groups": Case(
        owner=(0, 2000), mode=0o640, pod={"runAsUser": 1001, "supplementalGroups": [2000]}
    ),
    "nobody says who": Case(owner=(0, 0), mode=0o644),
    "the policy's, where root needs its privileges": Case(
        owner=(1001, 1001),
        mode=0o600,
        container={"runAsUser": 0, "capabilities": {}},
        policy={"securityContext": {"runAsUser": 1001}},
    ),
}


@pytest.mark.parametrize("who", READABLE)
def test_the_gate_reads_what_the_workload_reads(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, who: str
) -> None:
    """The pod is ready, and the workload can read the weights itself."""
    case, model = READABLE[who], store()
    namespace = space(model, **case.policy)
    case.prepare(model)
    cluster.api.created(serving("Pod", namespace, **case.spec()))
    cluster.wait_until_running(namespace, "vllm")
    read = cluster.execute(namespace, "vllm", "server", "cat", "/models/granite/config.json")
    assert read.stdout == (model.model / "config.json").read_text()


CLOSED: Final = {
    "a numeric user": (Case(owner=(0, 0), mode=0o600, pod={"runAsUser": 1001}), "user 1001"),
    "root without capabilities": (
        Case(owner=(1001, 1001), mode=0o600, container={"runAsUser": 0, "capabilities": {}}),
        "user 0, also without capabilities,",
    ),
    "nobody says who": (Case(owner=(0, 0), mode=0o600), "user 65532"),
}


@pytest.mark.parametrize("who", CLOSED)
def test_what_the_gate_cannot_read_does_not_start_and_says_for_whom(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, who: str
) -> None:
    """Neither signed nor unsigned: undecided, until the user is let read it."""
    (case, user), model = CLOSED[who], store()
    namespace = space(model)
    case.prepare(model)
    cluster.api.created(serving("Pod", namespace, **case.spec()))
    cluster.wait_until_refused(namespace, "vllm")
    shown = cluster.describe(namespace, "vllm")
    assert '{"verdict":"undecided","reason":"the signature file' in shown
    assert f"cannot be read: Permission denied: let {user} read it" in shown
    assert not started(cluster.pod(namespace, "vllm"), "server")
    Case(owner=(0, 0), mode=0o644).prepare(model)
    cluster.wait_until_running(namespace, "vllm")


def test_a_download_by_root_is_read_by_its_group(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """With fsGroup, what root leaves on an emptyDir for the group alone is enough for the gate."""
    namespace = space(store())
    spec = downloading({"name": "model", "emptyDir": {}})
    (download,) = spec["initContainers"]
    download["command"] = ["python3", "-c", COPIES_FOR_ITS_GROUP]
    download["securityContext"] = {"runAsUser": 0}
    pod = {"runAsUser": 1001, "fsGroup": 2000}
    cluster.api.created(serving("Pod", namespace, **spec, securityContext=pod))
    made = cluster.wait_until_running(namespace, "vllm")
    assert ended(made, "download") <= began(made, GATE_CONTAINER)
    shown = cluster.execute(namespace, "vllm", "server", "ls", "-ln", "/models/granite/config.json")
    assert shown.stdout.split()[:4] == ["-rw-r-----", "1", "0", "2000"]
