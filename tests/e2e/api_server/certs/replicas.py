"""Replicas of the webhook that serve with the Secret of an installation, and review pods."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.e2e.api_server.admission.serving import running_webhook
from tests.e2e.api_server.certs.installation import SERVING
from tests.e2e.api_server.certs.stream import create_a_pod, reached_at
from tests.e2e.api_server.mounting import mounted
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.workloads import policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.e2e.api_server.admission.serving import ServingWebhook
    from tests.e2e.api_server.control_plane import ControlPlane


@contextmanager
def running_replica(
    cluster: ControlPlane, folder: Path, *, lag: float, seconds: float = 10
) -> Iterator[tuple[ServingWebhook, Path]]:
    """Run a replica; yield it, and the folder in which it finds the Secret.

    Args:
        cluster: The control plane, with the installation.
        folder: Where to work.
        lag: Seconds after which its kubelet shows a changed Secret.
        seconds: To wait for the Secret.
    """
    tls, own = folder / "tls", folder / "webhook"
    own.mkdir(parents=True)
    with mounted(cluster, SERVING, tls, keys=("tls.crt", "tls.key"), lag=lag):
        until((tls / "tls.crt").exists, what="the Secret is mounted", seconds=seconds)
        with running_webhook(cluster, own, tls=tls) as webhook:
            yield webhook, tls


@contextmanager
def reviewing(
    cluster: ControlPlane, replicas: Sequence[ServingWebhook], *, seconds: float
) -> Iterator[None]:
    """Let the replicas, one for each configuration, review pods of `models` inside the block."""
    reached_at(cluster, [each.endpoint.address.rpartition(":")[2] for each in replicas])
    cluster.make_namespace("models")
    try:
        cluster.created(policy("models"))
        until(lambda: create_a_pod(cluster) is None, what="pods are reviewed", seconds=seconds)
        yield
    finally:
        cluster.remove_namespace("models")
