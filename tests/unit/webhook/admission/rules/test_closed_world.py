"""`workload.arguments: Strict`: a pod in which everything is on a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pods import (
    DIGEST,
    claim,
    container,
    gate_of,
    mount,
    mutated,
    pod,
    run,
    strict_policy,
    vllm,
)
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from tests.support.pods import Document

STRICT = strict_policy()
PINNED = {"image": f"docker.io/vllm/vllm-openai@{DIGEST}"}
APART = {
    "runAsUser": 2000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
"""The security context of a container that cannot take vLLM's port."""
TMP = "/tmp"  # noqa: S108 — a mount point


def serving(**changes: Any) -> Document:
    """Return a vLLM that Strict has nothing against."""
    mounts = [mount(), mount("shm", "/dev/shm"), mount("tmp", TMP)]  # noqa: S108 — mount points
    return vllm(*mounts) | PINNED | {"securityContext": {"runAsUser": 1000}} | changes


def beside(**changes: Any) -> Document:
    """Return another container that Strict has nothing against."""
    made = container("other", securityContext=APART)
    return made | {"image": f"registry.example/other@{DIGEST}"} | changes


def strictly(*containers: Document, **spec: Any) -> Document:
    """Return a pod with the volumes of `serving`."""
    volumes = [claim(), {"name": "shm", "emptyDir": {"medium": "Memory"}}]
    volumes += [{"name": "tmp", "emptyDir": {}}, *spec.pop("volumes", [])]
    return pod(*(containers or (serving(),)), volumes=volumes, **spec)


FULL = strictly(
    serving(
        livenessProbe={"httpGet": {"path": "/health", "port": 8000}},
        lifecycle={"preStop": {"sleep": {"seconds": 5}}},
        securityContext={"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}},
    ),
    beside(ports=[{"name": "metrics", "containerPort": 9090}], env=[{"name": "A", "value": "b"}]),
    initContainers=[beside(name="init")],
    securityContext={"fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    tolerations=[{"key": "nvidia.com/gpu"}],
    runtimeClassName="nvidia",
    terminationGracePeriodSeconds=30,
    volumes=[{"name": "conf", "configMap": {"name": "x"}}],
)


def test_a_usual_deployment_passes() -> None:
    """With an exporter, probes, GPUs; and what the webhook has made of it, again."""
    once = mutated(FULL, STRICT)
    assert gate_of(once)
    assert mutated(once, STRICT) == once


REFUSED: dict[str, tuple[Document, str]] = {
    "a raw device where Python looks": (
        strictly(
            serving(volumeDevices=[{"name": "raw", "devicePath": "/usr/lib/python3/x.pth"}]),
            volumes=[claim("raw", of="raw")],
        ),
        r"spec\.containers\[0\]\.volumeDevices is not on the list of workload\.arguments Strict",
    ),
    "a media cache": (
        strictly(serving(env=[{"name": "VLLM_MEDIA_CACHE", "value": f"{TMP}/x"}])),
        "'VLLM_MEDIA_CACHE' is not on the list",
    ),
    "the node's network": (strictly(hostNetwork=True), r"spec\.hostNetwork is not on the list"),
    "a field of next year": (strictly(brandNew={"a": 1}), r"spec\.brandNew is not on the list"),
    "a volume kind of next year": (
        strictly(volumes=[{"name": "x", "brandNew": {"a": 1}}]),
        r"spec\.volumes\[3\]\.brandNew",
    ),
    "a directory of the node": (
        strictly(volumes=[{"name": "x", "hostPath": {"path": "/run/containerd"}}]),
        r"spec\.volumes\[3\]\.hostPath",
    ),
    "an unknown image": (
        strictly(serving(image=f"docker.io/vllm/vllm-openai@sha256:{'b' * 64}")),
        r"not one that the policy allows.*workload\.images",
    ),
    "an unknown image beside": (
        strictly(serving(), beside(image=f"registry.example/x@sha256:{'b' * 64}")),
        r"not one that the policy allows.*workload\.otherImages",
    ),
    "an unknown image before": (
        strictly(initContainers=[beside(image=f"registry.example/x@sha256:{'b' * 64}")]),
        r"initContainers\[0\] 'other': the image .*workload\.otherImages",
    ),
    "an impostor on the pod's address": (
        strictly(serving(args=["--host=127.0.0.1"]), beside()),
        "--host '127.0.0.1'",
    ),
    "an impostor beside a socket": (strictly(serving(args=["--uds=/run/x"]), beside()), "--uds"),
    "an impostor by iptables": (
        strictly(initContainers=[beside(securityContext={"capabilities": {"add": ["NET_ADMIN"]}})]),
        r"spec\.initContainers\[0\]\.securityContext\.capabilities\.add 'NET_ADMIN'",
    ),
    "an impostor by raw packets": (
        strictly(serving(), beside(securityContext=APART | {"capabilities": {}})),
        "drop its capabilities",
    ),
    "an impostor by the port's name": (
        strictly(beside(ports=[{"name": "http", "containerPort": 9000}]), serving()),
        "its port 'http' is vLLM's",
    ),
    "an impostor by the port's number": (
        strictly(serving(ports=[{"name": "http", "containerPort": 9000}])),
        "let both agree",
    ),
    "a port of the node": (
        strictly(serving(ports=[{"containerPort": 8000, "hostPort": 8000}])),
        r"ports\[0\]\.hostPort",
    ),
    "other machines": (
        strictly(serving(args=["--data-parallel-size=2", "--data-parallel-size-local=1"])),
        "lets other processes or machines join",
    ),
    "a vLLM of another model before the gate": (
        strictly(initContainers=[vllm(command=["vllm", "serve", "/x"], volumeMounts=[]) | PINNED]),
        "starts vLLM without the verified model",
    ),
    "an annotation of the runtime": (
        strictly() | {"metadata": {"annotations": {"cdi.k8s.io/x": "y"}}},
        "is read by container runtimes",
    ),
}


MAY_SHARE = r"'other' may run as vLLM's user, whose programs can share vLLM's port"


@pytest.mark.parametrize(
    "context",
    [
        {"runAsUser": 1000},
        {"runAsUser": 0},
        {"runAsUser": None},
        {"allowPrivilegeEscalation": True},
        {"allowPrivilegeEscalation": None},
        {"capabilities": {"drop": ["NET_RAW"]}},
        {"capabilities": {"drop": ["ALL"], "add": ["SETUID"]}},
    ],
)
@pytest.mark.parametrize("sidecar", [False, True])
def test_nobody_beside_vllm_may_run_as_its_user(context: Document, *, sidecar: bool) -> None:
    """Linux lets programs of one user listen on one port together, and root becomes any user."""
    other = beside(securityContext=APART | context)
    given = strictly(serving(), *([] if sidecar else [other]))
    if sidecar:
        given["spec"]["initContainers"] = [other | {"restartPolicy": "Always"}]
    with pytest.raises(PodRefused, match=MAY_SHARE):
        run(given, STRICT)
    given["spec"]["initContainers"] = [other]
    given["spec"]["containers"] = [serving()]
    assert gate_of(mutated(given, STRICT)), "it ends before vLLM starts"


def test_the_pods_user_counts_where_a_container_names_none() -> None:
    """As in Kubernetes; and where neither does, the image decides, and nobody knows."""
    given = strictly(serving(securityContext={}), beside())
    with pytest.raises(PodRefused, match="'vllm' does not say as which user it runs"):
        run(given, STRICT)
    given["spec"]["securityContext"] = {"runAsUser": 1000}
    assert gate_of(mutated(given, STRICT))
    given["spec"]["securityContext"] = {"runAsUser": 2000}
    with pytest.raises(PodRefused, match=MAY_SHARE):
        run(given, STRICT)


@pytest.mark.parametrize("volume", [None, {"name": "model"}])
def test_the_policy_names_the_storage(volume: Document | None) -> None:
    """Else the pod's author brings a server of their own, which shows the gate other bytes."""
    model = {"volume": volume} if volume else {}
    with pytest.raises(PodRefused, match=r"does not name the storage of /models/granite"):
        run(strictly(), strict_policy(model=model))


@pytest.mark.parametrize("way", REFUSED)
def test_each_way_round_is_refused_with_its_path(way: str) -> None:
    """By its own sentence; the same pod passes under Check, or says there what it may do."""
    given, words = REFUSED[way]
    with pytest.raises(PodRefused, match=words):
        run(given, STRICT)


def test_a_policy_that_names_no_image_admits_none() -> None:
    """Any image with a digest would bind nobody."""
    with pytest.raises(PodRefused, match=r"names no workload\.images"):
        run(FULL, strict_policy(workload={"arguments": "Strict"}))
