"""The certificates on a real API server: an installation, users who destroy, replicas that end."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from certs.judging import certificates
from tests.cluster import manifests
from tests.cluster.certs_installation import (
    AUTHORITY,
    CONFIGURATIONS,
    MERGE,
    NAMESPACE,
    SERVICE,
    SERVING,
)
from tests.cluster.certs_running import running_certs
from tests.cluster.installing import empty_cluster, installed
from tests.cluster.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.certs_running import RunningCerts
    from tests.cluster.control_plane import ControlPlane, Document

pytestmark = pytest.mark.apiserver

OVERLAY = manifests.overlay_folder("operator-compat")
HEALED_SECONDS = 10
"""Takes a second; a machine whose cores are all busy takes several times that."""


@pytest.fixture(scope="module")
def cluster(
    programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A control plane of this module's own, with what `kubectl apply -k` installs."""
    with (
        empty_cluster(programs, tmp_path_factory.mktemp("control-plane")) as running,
        installed(running, OVERLAY),
    ):
        yield running


@pytest.fixture(scope="module")
def replica(
    cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningCerts]:
    """A replica that runs as long as the module's tests, with little patience."""
    folder = tmp_path_factory.mktemp("certs")
    with running_certs(cluster, folder, "--overlap", "2s") as running:
        yield running


def value(cluster: ControlPlane, path: str, key: str) -> bytes:
    """Return a value of a Secret, empty where there is none."""
    data = cluster.call("GET", path).document.get("data") or {}
    return b64decode(data.get(key, ""))


def bundles(cluster: ControlPlane) -> list[bytes]:
    """Return the `caBundle` of all entries of both configurations."""
    return [
        b64decode(entry["clientConfig"].get("caBundle", ""))
        for path in CONFIGURATIONS
        for entry in cluster.call("GET", path).document.get("webhooks", [])
    ]


def in_order(cluster: ControlPlane) -> bool:
    """Tell whether there is one authority, published in four entries, and a certificate by it."""
    authority = certificates(value(cluster, AUTHORITY, "tls.crt"))
    leaf = certificates(value(cluster, SERVING, "tls.crt"))
    if not authority or not leaf or leaf[0].issuer != authority[0].subject:
        return False
    return bundles(cluster) == [value(cluster, AUTHORITY, "tls.crt")] * 4


def patched(cluster: ControlPlane, path: str, body: Document) -> None:
    """Change an object as an admin."""
    answer = cluster.call("PATCH", path, body, content_type=MERGE)
    assert answer.status == 200, answer.message


@pytest.fixture
def settled(cluster: ControlPlane, replica: RunningCerts) -> RunningCerts:
    """The replica, with nothing to do."""
    until(lambda: in_order(cluster) and replica.ready, what="all is in order", seconds=30)
    return replica


def test_an_installation_has_its_certificate(cluster: ControlPlane, settled: RunningCerts) -> None:
    """For the names that the API server asks for; the metrics say when it ends."""
    (leaf,) = certificates(value(cluster, SERVING, "tls.crt"))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    host = f"{SERVICE}.{NAMESPACE}"
    assert set(names.get_values_for_type(x509.DNSName)) == {
        host,
        f"{host}.svc",
        f"{host}.svc.cluster.local",
    }
    ends = leaf.not_valid_after_utc.timestamp()
    until(
        lambda: settled.metric('expiry_timestamp_seconds{certificate="serving"}') == ends,
        what="the metric is the certificate's",
    )
    assert settled.metric('issued_total{certificate="authority"}') >= 1
    assert settled.leads
