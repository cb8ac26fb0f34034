"""Ways to change a verified model, or what is seen of it: tried on a real node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.e2e.api_server.workloads import MODEL
from tests.e2e.node.cluster import gate_messages, started, statuses
from tests.e2e.node.models import WEIGHTS, server, serving

if TYPE_CHECKING:
    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory

MODEL_MOUNT: Final = {"name": "model", "mountPath": "/models"}


def tool(name: str, program: str, *mounts: Document, **changes: Any) -> Document:
    """Return a container that runs a Python program."""
    return server(
        name=name, command=["python3", "-uc", program], volumeMounts=list(mounts), **changes
    )


def test_a_later_init_container_does_not_write(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """One without a writable mount comes after the gate, and cannot write even as root."""
    model = store()
    namespace = space(model)
    program = f"open('{MODEL}/config.json', 'w').write('mine')"
    root = {"runAsUser": 0, "runAsNonRoot": False}
    later = tool("later", program, MODEL_MOUNT | {"readOnly": True}, securityContext=root)
    cluster.api.created(serving("Pod", namespace, initContainers=[later]))
    cluster.wait(
        lambda: (
            "Read-only file system" in cluster.logs(namespace, "vllm", "later")
            if started(cluster.pod(namespace, "vllm"), "later")
            else False
        ),
        what="the later one has tried",
        namespace=namespace,
    )
    assert not started(cluster.pod(namespace, "vllm"), "server")


def test_a_user_namespace_does_not_make_the_model_writable(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """There every process is root and may mount; what it has inherited read-only stays so."""
    model = store()
    model.model.chmod(0o777)
    namespace = space(model)
    # The node's own profile of system calls would not even let it try.
    unconfined = {"runAsUser": 1001, "seccompProfile": {"type": "Unconfined"}}
    cluster.api.created(serving("Pod", namespace, securityContext=unconfined))
    cluster.wait_until_running(namespace, "vllm")
    for mount in ("mount -o remount,bind,rw /models", "umount /models"):
        program = f"id -u; {mount}; touch {MODEL}/mine"
        inside = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", program)
        ran = cluster.execute(namespace, "vllm", "server", *inside)
        assert ran.stdout.startswith("0"), ran.stderr
        assert "Read-only file system" in ran.stderr
    assert not (model.model / "mine").exists()


def test_mounts_within_the_containers_own_scratch(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """Mounts within an emptyDir of the container's own are admitted: there is no link in it."""
    namespace = space(store())
    mounts = [
        MODEL_MOUNT,
        {"name": "cache", "mountPath": "/cache"},
        {"name": "inner", "mountPath": "/cache/inner"},
    ]
    volumes = [
        {"name": "model", "persistentVolumeClaim": {"claimName": "granite"}},
        {"name": "cache", "emptyDir": {}},
        {"name": "inner", "emptyDir": {}},
    ]
    cluster.api.created(
        serving("Pod", namespace, containers=[server(volumeMounts=mounts)], volumes=volumes)
    )
    cluster.wait_until_running(namespace, "vllm")
    ran = cluster.execute(namespace, "vllm", "server", "cat", f"{MODEL}/config.json")
    assert ran.stdout == '{"model_type": "granite"}'


def test_an_open_file_outlives_whoever_opened_it(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """As documented, a writer of the model may keep it open. `Strict` refuses writers."""
    model = store()
    (model.model / "config.json").chmod(0o666)
    namespace = space(model)
    holder = tool("holder", HOLDS, restartPolicy="Always")
    writer = tool("writer", HANDS_ON, MODEL_MOUNT)
    cluster.api.created(serving("Pod", namespace, initContainers=[holder, writer]))
    cluster.wait_until_running(namespace, "vllm")
    assert gate_messages(cluster.pod(namespace, "vllm")) == []
    cluster.wait(
        lambda: (model.model / "config.json").read_text().startswith("mine"),
        what="the sidecar writes after the verdict",
        namespace=namespace,
    )


HOLDS: Final = """
import array, os, socket, time, urllib.request
listener = socket.socket(socket.AF_UNIX)
listener.bind('\\0kept')
listener.listen()
_, given, _, _ = listener.accept()[0].recvmsg(1, 64)
file = array.array('i', given[0][2])[0]
while True:
    try:
        urllib.request.urlopen('http://127.0.0.1:8000/config.json')
        break
    except OSError:
        time.sleep(0.2)
os.pwrite(file, b'mine', 0)
time.sleep(3600)
"""
"""A sidecar that takes an open file, and writes it when the server serves."""

HANDS_ON: Final = f"""
import array, os, socket
file = os.open('{MODEL}/config.json', os.O_RDWR)
holder = socket.socket(socket.AF_UNIX)
holder.connect('\\0kept')
holder.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [file]))])
"""
"""An init container that opens the model, hands the file on, and ends."""


def test_a_restart_of_all_containers_runs_the_gate_again(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """A workload can ask Kubernetes for it, and is then not restarted on a changed model."""
    model = store()
    namespace = space(model)
    program = "import os, time\nwhile not os.path.exists('/models/end'): time.sleep(.2)\nexit(42)"
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
    ending = tool("server", program, MODEL_MOUNT, restartPolicy="Always", restartPolicyRules=[rule])
    cluster.api.created(serving("Pod", namespace, containers=[ending]))
    cluster.wait_until_running(namespace, "vllm")
    (model.model / WEIGHTS).write_bytes(b"another model")
    (model.folder / "end").touch()
    cluster.wait(
        lambda: any(WEIGHTS in said for said in gate_messages(cluster.pod(namespace, "vllm"))),
        what="the gate refuses",
        namespace=namespace,
    )
    assert "running" not in statuses(cluster.pod(namespace, "vllm"))["server"]["state"]
