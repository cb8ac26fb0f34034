"""Helm's verbs on a real API server: install, test, upgrade, rollback, uninstall."""

from __future__ import annotations

import datetime as dt
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server import building
from tests.e2e.api_server.helm.chart import CHART, SECONDS, environment, helm
from tests.e2e.api_server.installation.installing import wait_until_gone
from tests.e2e.api_server.installation.test_installation_again import (
    inventory,
    write_certificates,
)
from tests.e2e.api_server.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.client import Document
    from tests.e2e.api_server.control_plane import ControlPlane

NAMESPACE = "model-validation"
DOCTOR = "model-validation-doctor"
RELEASE = ("ours", str(CHART))
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/model-validation-webhook"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/model-validation-webhook-tls"
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/{}/zz-model-validation"
CONFIGURATIONS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
JOB = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{DOCTOR}"

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("helm_is_built")]


def test_a_release_lives_and_leaves_nothing(empty: ControlPlane, tmp_path: Path) -> None:
    """What was written in the cluster outlives upgrades; the end is as the beginning was."""
    before = inventory(empty)
    with release(empty, tmp_path):
        write_certificates(empty, entries=1)
        succeeds(empty, tmp_path, "upgrade", *RELEASE, "--set=replicas=3")
        assert empty.call("GET", DEPLOYMENT).document["spec"]["replicas"] == 3
        assert_written(empty)
        succeeds(empty, tmp_path, "rollback", "ours", "1")
        assert empty.call("GET", DEPLOYMENT).document["spec"]["replicas"] == 2
        assert_written(empty)
        assert_tested(empty, tmp_path)
    wait_until_gone(empty, lambda: inventory(empty) == before)


@contextmanager
def release(cluster: ControlPlane, home: Path) -> Iterator[None]:
    """Install the chart inside the block; namespaces go by a controller, whose part this plays."""
    try:
        succeeds(cluster, home, "install", *RELEASE)
        yield
    finally:
        with _running(cluster, home, "uninstall", "ours") as uninstalling:
            until(
                lambda: uninstalling.poll() is not None or _finalized(cluster, NAMESPACE),
                what="Helm ends",
                seconds=SECONDS,
                pause=0.2,
            )
            _, complaints = uninstalling.communicate(timeout=SECONDS)
        for name in (DOCTOR, NAMESPACE):
            cluster.remove_namespace(name)
        assert uninstalling.returncode == 0, complaints


def succeeds(cluster: ControlPlane, home: Path, *arguments: str) -> str:
    """Run Helm, and return what it says.

    Raises:
        AssertionError: It fails.
    """
    ran = helm(*arguments, home=home, kubeconfig=cluster.kubeconfig)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def assert_written(cluster: ControlPlane) -> None:
    """Assert that the certificate, and whom the API server trusts, are as they were written."""
    assert cluster.call("GET", SECRET).document["data"] == {"tls.crt": "YQ=="}
    for plural in CONFIGURATIONS:
        configuration = cluster.call("GET", CONFIGURATION.format(plural)).document
        bundles = [each["clientConfig"]["caBundle"] for each in configuration["webhooks"]]
        assert bundles == ["YQ=="]


def assert_tested(cluster: ControlPlane, home: Path) -> None:
    """Assert that `helm test` runs the doctor's Job; that Jobs run is a controller's work."""
    with _running(cluster, home, "test", "ours") as testing:
        until(lambda: cluster.call("GET", JOB).status == 200, what="the Job is there", seconds=30)
        made = cluster.call("GET", JOB).document
        made["status"] = _succeeded()
        answer = cluster.call("PUT", f"{JOB}/status", made)
        assert answer.status == 200, answer.message
        until(
            lambda: testing.poll() is not None or _finalized(cluster, DOCTOR),
            what="Helm ends",
            seconds=SECONDS,
            pause=0.2,
        )
        printed, complaints = testing.communicate(timeout=SECONDS)
    assert testing.returncode == 0, complaints
    assert "Succeeded" in printed


def _succeeded() -> Document:
    """Return the status of a Job that has succeeded."""
    now = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    common = {"status": "True", "lastProbeTime": now, "lastTransitionTime": now}
    kinds = ("SuccessCriteriaMet", "Complete")
    return {
        "startTime": now,
        "completionTime": now,
        "succeeded": 1,
        "conditions": [{"type": kind} | common for kind in kinds],
    }


def _finalized(cluster: ControlPlane, namespace: str) -> bool:
    """Let a namespace go that is being deleted; return `False`, since Helm has not ended."""
    found = cluster.call("GET", f"/api/v1/namespaces/{namespace}").document
    if "deletionTimestamp" in found["metadata"]:
        cluster.remove_namespace(namespace)
    return False


@contextmanager
def _running(cluster: ControlPlane, home: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Helm beside the block; it has ended at its end."""
    program = building.find(["helm"])["helm"]
    with subprocess.Popen(
        [program, *arguments],
        env=environment(home, cluster.kubeconfig),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
