"""The installation applied again, applied the other way, and deleted."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.installation.installing import (
    CLIENT_SIDE,
    NAMESPACE,
    SERVER_SIDE,
    installed,
    stored,
)
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.workloads import policy, workload
from tests.e2e.node.guides.commands import commands

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.control_plane import ControlPlane, Document

NOT_STORED = {"componentstatuses", "events"}  # or not for long
JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
CONFIGURATIONS = (
    "mutatingwebhookconfigurations/zz-model-validation",
    "validatingwebhookconfigurations/zz-model-validation",
)

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def cluster(empty: ControlPlane) -> ControlPlane:
    """A control plane with nothing of ours in it."""
    return empty


def inventory(cluster: ControlPlane) -> list[str]:
    """Return everything that the API server stores, or less while kinds come and go."""
    listed = cluster.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    kinds = ",".join(kind for kind in listed if kind.partition(".")[0] not in NOT_STORED)
    columns = "custom-columns=A:.metadata.namespace,B:.kind,C:.metadata.name"
    found = cluster.kubectl("get", kinds, "-A", "-o", columns, "--no-headers", check=False)
    return sorted(found.stdout.splitlines())


def versions(documents: list[Document]) -> dict[tuple[str, str], str]:
    """Return which change of each object is the last one."""
    return {
        (each["kind"], each["metadata"]["name"]): each["metadata"]["resourceVersion"]
        for each in documents
    }


@pytest.mark.parametrize("how", [CLIENT_SIDE, SERVER_SIDE], ids=["client-side", "server-side"])
def test_applying_again_changes_nothing(how: tuple[str, ...], cluster: ControlPlane) -> None:
    """Contents written in the cluster stay: certificates, authorities, the leader."""
    folder = manifests.overlay_folder("operator-compat")
    with installed(cluster, folder, how=how):
        write_certificates(cluster)
        before = stored(cluster, folder)
        cluster.kubectl(*how, "-k", str(folder))
        after = stored(cluster, folder)
        assert versions(after) == versions(before)
        assert_certificates(after)


@pytest.mark.parametrize("ways", [(CLIENT_SIDE, SERVER_SIDE), (SERVER_SIDE, CLIENT_SIDE)])
def test_applying_the_other_way_meets_no_conflict(
    ways: tuple[tuple[str, ...], tuple[str, ...]], cluster: ControlPlane
) -> None:
    """A GitOps controller may take over from a person, and back."""
    first, second = ways
    folder = manifests.overlay_folder("operator-compat")
    with installed(cluster, folder, how=first):
        write_certificates(cluster)
        cluster.kubectl(*second, "-k", str(folder))
        assert_certificates(stored(cluster, folder))


def write_certificates(cluster: ControlPlane, *, entries: int = 2) -> None:
    """Write what model-validation-certs writes, into this many entries of a configuration."""
    secret = f"/api/v1/namespaces/{NAMESPACE}/secrets"
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/model-validation-certs"
    changes: list[tuple[str, str, Any]] = [
        (f"{secret}/model-validation-webhook-tls", MERGE, {"data": {"tls.crt": "YQ=="}}),
        (f"{secret}/model-validation-ca", MERGE, {"data": {"tls.key": "YQ=="}}),
        (lease, MERGE, {"spec": {"holderIdentity": "somebody"}}),
    ]
    for path in CONFIGURATIONS:
        bundle = [
            {"op": "add", "path": f"/webhooks/{entry}/clientConfig/caBundle", "value": "YQ=="}
            for entry in range(entries)
        ]
        changes.append((f"/apis/admissionregistration.k8s.io/v1/{path}", JSON_PATCH, bundle))
    for path, kind, change in changes:
        answer = cluster.call("PATCH", path, change, content_type=kind)
        assert answer.status == 200, answer.message


def assert_certificates(documents: list[Document]) -> None:
    """Assert that all of it is there."""
    by_kind: dict[str, list[Document]] = {}
    for document in documents:
        by_kind.setdefault(document["kind"], []).append(document)
    secrets = [each["data"] for each in by_kind["Secret"]]
    assert secrets == [{"tls.key": "YQ=="}, {"tls.crt": "YQ=="}]
    assert by_kind["Lease"][0]["spec"]["holderIdentity"] == "somebody"
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        (configuration,) = by_kind[kind]
        bundles = [each["clientConfig"].get("caBundle") for each in configuration["webhooks"]]
        assert bundles == ["YQ==", "YQ=="]


def test_deleting_leaves_nothing_and_blocks_nothing(
    cluster: ControlPlane, namespace_of_models: str
) -> None:
    """Policies go with their definition, and labelled pods are anybody's again."""
    folder = manifests.overlay_folder("operator-compat")
    before = inventory(cluster)
    pod = workload("Pod", namespace_of_models)
    with installed(cluster, folder):
        definition = "crd/modelvalidations.rhtas.redhat.com"
        cluster.kubectl("wait", "--for=condition=Established", definition, "--timeout=30s")
        cluster.created(policy(namespace_of_models))
        until(lambda: cluster.create(pod, dry_run=True).status != 201, what="the pod is refused")
    until(lambda: inventory(cluster) == before, what="nothing is left", seconds=30)
    until(lambda: cluster.create(pod, dry_run=True).status == 201, what="the pod is accepted")


def test_the_old_name_hands_over_without_a_gap(
    cluster: ControlPlane, programs: dict[str, Path]
) -> None:
    """By the guide's commands, each configuration trusts the authority from its first moment on."""
    folder = manifests.overlay_folder("default")
    _, copying, deleting = commands("upgrading.md")
    with installed(cluster, folder):
        write_certificates(cluster, entries=1)
        _rename(cluster, "zz-model-validation", "model-validation")
        run_command(cluster, programs, copying.line)
        assert bundles(cluster, "zz-model-validation") == ["YQ==", "YQ=="]
        cluster.kubectl(*CLIENT_SIDE, "-k", str(folder))
        assert bundles(cluster, "zz-model-validation") == ["YQ==", "YQ=="]
        run_command(cluster, programs, deleting.line)
        assert bundles(cluster, "model-validation") == []


def run_command(cluster: ControlPlane, programs: dict[str, Path], command: str) -> None:
    """Run a shell command as an admin types it."""
    environment = {"PATH": f"{programs['kubectl'].parent}:{os.environ['PATH']}"}
    environment["KUBECONFIG"] = str(cluster.kubeconfig)
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], env=environment, check=True)


def bundles(cluster: ControlPlane, name: str) -> list[str]:
    """Return whom the API server trusts in the configurations of a name; none, if it has none."""
    found = []
    for path in CONFIGURATIONS:
        plural = path.partition("/")[0]
        answer = cluster.call("GET", f"/apis/admissionregistration.k8s.io/v1/{plural}/{name}")
        if answer.status == 200:
            found += [each["clientConfig"]["caBundle"] for each in answer.document["webhooks"]]
    return found


def _rename(cluster: ControlPlane, old: str, new: str) -> None:
    """Leave the configurations of one name under another, as an older release has them."""
    for path in CONFIGURATIONS:
        plural = path.partition("/")[0]
        collection = f"/apis/admissionregistration.k8s.io/v1/{plural}"
        whole = cluster.call("GET", f"{collection}/{old}").document
        whole["metadata"] = {"name": new, "labels": whole["metadata"]["labels"]}
        assert cluster.call("POST", collection, whole).status == 201
        assert cluster.call("DELETE", f"{collection}/{old}").status == 200


@pytest.fixture
def namespace_of_models(cluster: ControlPlane) -> Iterator[str]:
    """A user's namespace."""
    name = f"test-{os.urandom(5).hex()}"
    cluster.make_namespace(name)
    yield name
    cluster.remove_namespace(name)
