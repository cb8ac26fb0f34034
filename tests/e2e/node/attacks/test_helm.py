"""Helm's verbs on a real node, while labelled pods are created all the time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.api_server.helm.chart import CHART, helm
from tests.e2e.api_server.processes import until
from tests.e2e.images.building import project_version
from tests.e2e.node import installing
from tests.e2e.node.cluster import condition
from tests.e2e.node.models import ModelStore, serving
from tests.e2e.node.streams import Stream
from tests.support.caching import say
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.node import Node

RELEASE: Final = "ours"
TO_NEXT: Final = f"--set=previousGateImage={installing.VALIDATOR}:{installing.NEXT}"
OURS: Final = "app.kubernetes.io/part-of=model-validation"
CLUSTER_WIDE: Final = (
    "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,namespaces,priorityclasses,"
    "validatingadmissionpolicies,validatingadmissionpolicybindings,validatingwebhookconfigurations"
)

pytestmark = pytest.mark.usefixtures("helm_is_built")


class Release:
    """The chart's release in a cluster, by Helm without any file of the user's."""

    def __init__(self, cluster: Cluster, home: Path) -> None:
        self._kubeconfig = cluster.api.kubeconfig
        self._home = home

    def __call__(self, *arguments: str) -> str:
        """Run Helm, and return what it prints.

        Raises:
            AssertionError: It fails.
        """
        ran = helm(*arguments, home=self._home, kubeconfig=self._kubeconfig)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout + ran.stderr


def test_a_release_lives_under_a_stream_of_pods(
    bare_cluster: tuple[Cluster, Node], tmp_path: Path
) -> None:
    """No pod is created without its gate, and none is refused once the webhook is there.

    To the next release and back as docs/operations.md has it: both gates are accepted before.
    """
    cluster, node = bare_cluster
    release = Release(cluster, tmp_path)
    installing.tag_next(node)
    model = ModelStore.new(cluster.folder / "models" / "helm")
    namespace = cluster.namespace()
    cluster.claim(namespace, model.folder)
    release("install", RELEASE, str(CHART))
    cluster.api.created(model.policy(namespace))
    until(
        lambda: cluster.api.create(serving("Pod", namespace), dry_run=True).status != 201,
        what="the API server knows the webhook",
        seconds=10,
    )
    with Stream(cluster.api, namespace) as stream:
        installing.wait_for_rollout(cluster.api)
        ready = time.monotonic()
        cluster.api.created(serving("Deployment", namespace))
        release("upgrade", RELEASE, str(CHART), "--reuse-values", TO_NEXT)
        release("upgrade", RELEASE, str(CHART), "--reset-then-reuse-values", *_next_release())
        _wait_for_gate(cluster, namespace, installing.NEXT)
        release("rollback", RELEASE, "2")
        _wait_for_gate(cluster, namespace, project_version())
        said = release("test", RELEASE)
        assert "no errors, 1 warning" in said
        assert "[gate-image-previous]" in said
        stream.wait_for(20)
    say(f"{len(stream.creations)} created, {len(stream.failed)} of them refused at first")
    assert not stream.ungated
    assert [each for each in stream.failed if each.at > ready] == []
    _leaves_nothing_but_running_pods(cluster, namespace, release)


def _next_release() -> tuple[str, ...]:
    """Return the values of an upgrade to the next release."""
    return (
        f"--set=images.webhook.tag={installing.NEXT}",
        f"--set=images.validator.tag={installing.NEXT}",
        f"--set=previousGateImage={installing.VALIDATOR}:{project_version()}",
    )


def _wait_for_gate(cluster: Cluster, namespace: str, tag: str) -> None:
    """Return when the webhook is rolled out whose gate has this tag."""

    def gates() -> list[str]:
        pod = cluster.api.created(serving("Pod", namespace), dry_run=True)
        added = [each for each in pod["spec"]["initContainers"] if each["name"] == GATE_CONTAINER]
        return [each["image"].rpartition(":")[2] for each in added]

    installing.wait_for_rollout(cluster.api)
    # Replicas of the revision before answer for ten seconds more.
    until(lambda: gates() == [tag], what=f"the gate {tag} is added", seconds=60, pause=0.2)


def _leaves_nothing_but_running_pods(cluster: Cluster, namespace: str, release: Release) -> None:
    """Uninstall: what runs goes on, and a labelled pod is an ordinary one."""

    def running() -> list[str]:
        pods = cluster.pods(namespace)
        return [each["metadata"]["uid"] for each in pods if condition(each, "Ready") == "True"]

    cluster.wait(lambda: len(running()) == 1, what="the pod is ready", namespace=namespace)
    before = running()
    release("uninstall", RELEASE)
    listed = ("get", CLUSTER_WIDE, "--output=name", f"--selector={OURS}")
    until(
        lambda: not cluster.api.kubectl(*listed).stdout,
        what="nothing of ours is left",
        seconds=installing.ROLLOUT_SECONDS,
        pause=0.5,
    )
    assert running() == before
    pod = cluster.api.created(serving("Pod", namespace), dry_run=True)
    assert "initContainers" not in pod["spec"]
