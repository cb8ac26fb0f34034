"""Faults of the webhook and the cluster, while labelled pods are created all the time."""

from __future__ import annotations

import base64
import http.client
import json
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from cryptography import x509

from tests.e2e.api_server.control_plane import NODE
from tests.e2e.api_server.workloads import workload
from tests.e2e.images import building
from tests.e2e.node import installing
from tests.e2e.node.cluster import condition
from tests.e2e.node.models import serving, serving_spec
from tests.e2e.node.streams import Stream
from tests.support.caching import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory
    from tests.e2e.node.models import ModelStore
    from tests.e2e.node.node import Node

WEBHOOK: Final = "model-validation-webhook"
OURS: Final = installing.NAMESPACE
pytestmark = pytest.mark.usefixtures("own_cluster")

OVER_SECONDS: Final = 5
"""After a crash: seconds after which nothing fails any more."""

OVERLAP_SECONDS: Final = 30
"""Instead of five minutes; this node's kubelet brings a changed Secret to its pods within ten."""


@pytest.fixture
def model(store: StoreFactory) -> ModelStore:
    """A signed model."""
    return store()


@pytest.fixture
def namespace(space: SpaceFactory, model: ModelStore) -> str:
    """A namespace with the model's claim and policy."""
    return space(model)


def replicas(cluster: Cluster) -> list[str]:
    """Return the names of the webhook's ready replicas."""
    pods = cluster.pods(OURS, "app.kubernetes.io/component=webhook")
    return [pod["metadata"]["name"] for pod in pods if condition(pod, "Ready") == "True"]


def scale(cluster: Cluster, count: int) -> None:
    """Have so many replicas of the webhook, and return when it is so."""
    cluster.api.kubectl("-n", OURS, "scale", f"deployment/{WEBHOOK}", f"--replicas={count}")
    cluster.wait(
        lambda: (
            len(cluster.pods(OURS, "app.kubernetes.io/component=webhook"))
            == len(replicas(cluster))
            == count
        ),
        what=f"{count} replicas",
        namespace=OURS,
    )


@pytest.fixture
def webhook_gone(cluster: Cluster, namespace: str) -> Iterator[None]:
    """No replica of the webhook is left inside the test; afterwards there are two again."""
    del namespace  # made before
    scale(cluster, 0)
    yield
    scale(cluster, 2)


@pytest.mark.usefixtures("webhook_gone")
def test_without_the_webhook_labelled_pods_are_refused_and_others_are_not(
    cluster: Cluster, namespace: str
) -> None:
    """The sentence names the webhook; a pod without the label does not notice."""
    answer = cluster.api.create(serving("Pod", namespace))
    assert answer.status != http.client.CREATED
    assert "mutate.validation.rhtas.redhat.com" in answer.message
    cluster.api.created(workload("Pod", namespace, label=None, spec=serving_spec()))
    cluster.wait_until_running(namespace, "vllm")


@pytest.mark.usefixtures("webhook_gone")
def test_without_the_webhook_the_cluster_restarts(cluster: Cluster, node: Node) -> None:
    """Control plane and node start anew, and the cluster's own pods are created."""
    node.control_plane.restart_api_server()
    for program in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"):
        node.start(program)
    cluster.api.kubectl("-n", "kube-system", "delete", "pod", "-l", "k8s-app=kube-dns")
    cluster.api.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", seconds=90)
    cluster.wait(
        lambda: condition(cluster.get(f"/api/v1/nodes/{NODE}") or {}, "Ready") == "True",
        what="the node is ready",
        namespace="kube-system",
    )


def test_without_the_webhook_jobs_and_deletions_go_on(cluster: Cluster, namespace: str) -> None:
    """A labelled Job that runs already completes, loses its finalizer, and is deleted."""
    ends = {"command": ["python3", "-c", "import time; time.sleep(8)"]}
    spec = serving_spec(restartPolicy="Never")
    spec["containers"][0] |= ends
    cluster.api.created(workload("Job", namespace, spec=spec))
    cluster.wait(lambda: bool(cluster.pods(namespace)), what="the Job's pod", namespace=namespace)
    scale(cluster, 0)
    try:
        job = f"/apis/batch/v1/namespaces/{namespace}/jobs/vllm"
        cluster.wait(
            lambda: ((cluster.get(job) or {})["status"].get("succeeded")) == 1,
            what="the Job succeeds",
            namespace=namespace,
        )
        (pod,) = cluster.pods(namespace)
        assert not pod["metadata"].get("finalizers")
        cluster.api.kubectl("-n", namespace, "delete", "job/vllm", "--wait", seconds=60)
        cluster.wait(lambda: not cluster.pods(namespace), what="no pod", namespace=namespace)
    finally:
        scale(cluster, 2)


def test_back_again_it_works_without_help(cluster: Cluster, namespace: str) -> None:
    """A Deployment that could create no pod gets it, once the webhook answers."""
    scale(cluster, 0)
    cluster.api.created(serving("Deployment", namespace))
    cluster.wait(
        lambda: (
            "failed calling webhook" in cluster.api.kubectl("-n", namespace, "get", "events").stdout
        ),
        what="a refused pod",
        namespace=namespace,
    )
    assert not cluster.pods(namespace)
    scale(cluster, 2)
    cluster.wait(
        lambda: [condition(pod, "Ready") for pod in cluster.pods(namespace)] == ["True"],
        what="the Deployment's pod is ready",
        namespace=namespace,
    )


def _roll_out(cluster: Cluster, _: Node, __: str) -> None:
    cluster.api.kubectl("-n", OURS, "rollout", "restart", f"deployment/{WEBHOOK}")
    installing.wait_for_rollout(cluster.api)


def _next_release(cluster: Cluster, node: Node, _: str) -> None:
    """Roll the next release's gate out, and the present one again."""
    installing.tag_next(node)
    ours = building.project_version()
    for gate, previous in ((installing.NEXT, ours), (ours, installing.NEXT)):
        installing.upgrade(cluster.api, node.folder, gate=gate, previous=previous)
    installing.install(cluster.api)


def _drain_one(cluster: Cluster, _: Node, __: str) -> None:
    first = replicas(cluster)[0]
    cluster.api.kubectl("-n", OURS, "delete", "pod", first, seconds=90)
    scale(cluster, 2)


def _forget(cluster: Cluster, node: Node, namespace: str) -> None:
    """Compact etcd, and change the policy for good measure, time and again."""
    for resources in ("64Mi", "128Mi", "256Mi"):
        node.control_plane.compact()
        change = {"spec": {"resources": {"limits": {"memory": resources}}}}
        path = f"/apis/rhtas.redhat.com/v1alpha1/namespaces/{namespace}/modelvalidations/granite"
        merged = "application/merge-patch+json"
        assert cluster.api.call("PATCH", path, change, content_type=merged).status == 200
        time.sleep(1)  # several pods under each generation


def _rotate(cluster: Cluster, _: Node, __: str) -> None:
    """Make a new authority, as docs/operations.md has it, and wait until the old is forgotten."""

    def trusted() -> set[x509.Certificate]:
        path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/"
        (webhook,) = (cluster.get(f"{path}zz-{OURS}") or {})["webhooks"]
        bundle = base64.b64decode(webhook["clientConfig"]["caBundle"])
        return set(x509.load_pem_x509_certificates(bundle))

    patch = ("-n", OURS, "patch")
    arguments = "/spec/template/spec/containers/0/args"
    shorter = [{"op": "add", "path": arguments, "value": [f"--overlap={OVERLAP_SECONDS}s"]}]
    certs = ("deployment/model-validation-certs", "--type=json", "--patch")
    cluster.api.kubectl(*patch, *certs, json.dumps(shorter))
    installing.wait_for_rollout(cluster.api)
    before = trusted()
    leaked = json.dumps({"data": {"tls.crt": None, "tls.key": None}})
    cluster.api.kubectl(*patch, "secret/model-validation-ca", "--type=merge", f"--patch={leaked}")
    cluster.wait(lambda: trusted() > before, what="both are trusted", namespace=OURS)
    cluster.wait(lambda: not trusted() & before, what="the old is forgotten", namespace=OURS)
    cluster.api.kubectl(*patch, *certs, json.dumps([{"op": "remove", "path": arguments}]))
    installing.wait_for_rollout(cluster.api)


@pytest.mark.parametrize(
    "happens",
    [
        pytest.param(_roll_out, id="rollout"),
        pytest.param(_rotate, id="certificate-rotation"),
        pytest.param(_next_release, id="next-release"),
        pytest.param(_drain_one, id="sigterm"),
        pytest.param(_forget, id="compaction-and-changed-policy"),
    ],
)
def test_pods_go_on_being_created(
    cluster: Cluster,
    node: Node,
    namespace: str,
    happens: Callable[[Cluster, Node, str], Any],
) -> None:
    """Planned restarts are not noticed: no pod is refused, and none is created without its gate."""
    with Stream(cluster.api, namespace) as stream:
        happens(cluster, node, namespace)
        stream.wait_for(20)
    say(f"{len(stream.creations)} created, {len(stream.failed)} failed")
    assert not stream.ungated
    assert not stream.failed


def _kill_one(cluster: Cluster, node: Node, _: str) -> None:
    node.kill(OURS, replicas(cluster)[0], "webhook")


def _restart_api_server(_: Cluster, node: Node, __: str) -> None:
    node.control_plane.restart_api_server()


@pytest.mark.parametrize(
    "happens",
    [
        pytest.param(_kill_one, id="sigkill"),
        pytest.param(_restart_api_server, id="api-server"),
    ],
)
def test_a_crash_is_over_in_seconds(
    cluster: Cluster,
    node: Node,
    namespace: str,
    happens: Callable[[Cluster, Node, str], Any],
) -> None:
    """Whatever fails meanwhile is refused, never ungated, and soon nothing fails any more."""
    with Stream(cluster.api, namespace) as stream:
        happens(cluster, node, namespace)
        back = time.monotonic()
        time.sleep(OVER_SECONDS)
        stream.wait_for(50)
    late = [each for each in stream.failed if each.at > back + OVER_SECONDS]
    say(f"{len(stream.creations)} created, {len(stream.failed)} failed, {len(late)} of them late")
    assert not stream.ungated
    assert not late
    scale(cluster, 2)
