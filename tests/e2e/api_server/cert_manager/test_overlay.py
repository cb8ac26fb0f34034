"""The overlay for cert-manager on a real API server, with cert-manager's own controllers."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from certs.flaws import certificates, is_issued_by
from tests.e2e.api_server import building
from tests.e2e.api_server.certs.installation import CONFIGURATIONS, SERVING
from tests.e2e.api_server.certs.replicas import reviewing, running_replica
from tests.e2e.api_server.certs.stream import (
    bundle,
    create_a_pod,
    under_load,
    value_of,
)
from tests.e2e.api_server.control_plane import ControlPlane
from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.installation.installing import installed
from tests.e2e.api_server.processes import Program, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import Document

pytestmark = pytest.mark.apiserver

LANE = "MODEL_VALIDATION_E2E_CERT_MANAGER"
MODULE = "github.com/cert-manager/cert-manager"
CERTIFICATE = (
    "/apis/cert-manager.io/v1/namespaces/model-validation/certificates/model-validation-webhook"
)
PATIENCE = 90
"""Seconds for what takes a few; on a machine whose cores are busy, several times that."""


@pytest.fixture(scope="module")
def issuer() -> Path:
    """The program, in the lane of its own."""
    if os.environ.get(LANE) != "1":
        pytest.skip("cert-manager is tried by `make e2e-cert-manager`")
    return building.find(["cert-manager"])["cert-manager"]


def definitions() -> list[Document]:
    """Return the resource definitions of the module that the program is built from."""
    folder = Path(__file__).parent
    command = ["go", "list", "-m", "-f", "{{.Dir}}", MODULE]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    crds = Path(ran.stdout.strip()) / "deploy" / "crds"
    return [
        yaml.safe_load(path.read_text()) for path in sorted(crds.glob("cert-manager.io_*.yaml"))
    ]


@pytest.fixture(scope="module")
def cluster(
    issuer: Path, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A control plane with cert-manager, and what `kubectl apply -k` installs."""
    folder = tmp_path_factory.mktemp("cert-manager")
    with ControlPlane(programs, folder=folder) as running:
        running.apply(definitions())
        program = Program([str(issuer), str(running.kubeconfig)], log=folder / "cert-manager.log")
        with ExitStack() as stack:
            stack.callback(program.close)
            program.start()
            stack.enter_context(installed(running, manifests.overlay_folder("cert-manager")))
            yield running


def trusted(cluster: ControlPlane) -> bool:
    """Tell whether both configurations trust who issued the serving certificate."""
    leaf = certificates(value_of(cluster, SERVING, "tls.crt"))
    bundles = [certificates(bundle(cluster, path)) for path in CONFIGURATIONS]
    return bool(leaf) and all(bool(found) and is_issued_by(leaf[0], found[-1]) for found in bundles)


def renew(cluster: ControlPlane) -> None:
    """Ask for another certificate now, as `cmctl renew` does."""
    condition = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = cluster.call("GET", CERTIFICATE).document
    status["status"]["conditions"].append(condition)
    answer = cluster.call("PUT", f"{CERTIFICATE}/status", status)
    assert answer.status == 200, answer.message


def test_pods_are_reviewed_while_it_renews(cluster: ControlPlane, tmp_path: Path) -> None:
    """It issues the pair, injects the authority, and renews the pair; no review fails."""
    until(lambda: trusted(cluster), what="it is issued and injected", seconds=PATIENCE)
    with (
        running_replica(cluster, tmp_path, lag=1.0, seconds=PATIENCE) as (webhook, tls),
        reviewing(cluster, [webhook] * 2, seconds=PATIENCE),
    ):
        before = value_of(cluster, SERVING, "tls.crt")
        with under_load(partial(create_a_pod, cluster)) as (load,):
            renew(cluster)
            until(
                lambda: (tls / "tls.crt").read_bytes() not in {b"", before},
                what="it is renewed, and mounted",
                seconds=PATIENCE,
            )
            until(lambda: trusted(cluster), what="it is trusted", seconds=PATIENCE)
            seen = load.answered
            until(lambda: load.answered > seen + 5, what="pods are reviewed", seconds=PATIENCE)
    assert load.failed == []


def test_what_it_issues_is_what_the_overlay_asks_for(cluster: ControlPlane) -> None:
    """The keys of the Secret, the name that the API server asks for, and EC keys."""
    until(lambda: trusted(cluster), what="it is issued and injected", seconds=PATIENCE)
    data = cluster.call("GET", SERVING).document["data"]
    assert {"tls.crt", "tls.key", "ca.crt"} <= set(data)
    assert b"BEGIN EC PRIVATE KEY" in b64decode(data["tls.key"])
    conditions = cluster.call("GET", CERTIFICATE).document["status"]["conditions"]
    ready = [each["status"] for each in conditions if each["type"] == "Ready"]
    assert ready == ["True"], json.dumps(conditions)
