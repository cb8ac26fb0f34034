"""The certificates on a real API server: an installation, users who destroy, replicas that end."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64decode, b64encode
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from certs.flaws import certificates
from certs.leadership import LEASE_SECONDS
from certs.objects import Configuration, Lease, Secret
from tests.e2e.api_server.admission.serving import kubeconfig
from tests.e2e.api_server.certs.installation import (
    ACCOUNT,
    AUTHORITY,
    CONFIGURATIONS,
    LEASE,
    MERGE,
    NAMESPACE,
    SERVICE,
    SERVING,
)
from tests.e2e.api_server.certs.running import running_certs
from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.installation.installing import CLIENT_SIDE, SERVER_SIDE, installed
from tests.e2e.api_server.issuing import Authority
from tests.e2e.api_server.processes import until
from tests.e2e.api_server.webhook_registration import KINDS
from webhook.cluster.api import ClusterApi
from webhook.cluster.errors import ApiError, Conflict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from certs.objects import Kind
    from tests.e2e.api_server.certs.running import RunningCerts
    from tests.e2e.api_server.control_plane import ControlPlane, Document

pytestmark = pytest.mark.apiserver

OVERLAY = manifests.overlay_folder("operator-compat")
ENTRIES = 4
TLS_END_SECONDS = 0.25
"""For the answer to a `close_notify`; the figure is of aiohttp's documents."""
ISSUED = tuple(f'issued_total{{certificate="{kind}"}}' for kind in ("authority", "serving"))
"""The metrics that count from the start of the process: a test restarts it."""
PATIENCE = 30
"""Seconds for what takes one or two; on a machine whose cores are busy, several times that."""


@pytest.fixture(scope="module")
def cluster(empty: ControlPlane) -> Iterator[ControlPlane]:
    """A control plane with what `kubectl apply --server-side -k` installs."""
    with installed(empty, OVERLAY, how=SERVER_SIDE):
        yield empty


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
    return bundles(cluster) == [value(cluster, AUTHORITY, "tls.crt")] * ENTRIES


def patched(cluster: ControlPlane, path: str, body: Document) -> None:
    """Change an object as an admin."""
    answer = cluster.call("PATCH", path, body, content_type=MERGE)
    assert answer.status == 200, answer.message


@pytest.fixture
def settled(cluster: ControlPlane, replica: RunningCerts) -> RunningCerts:
    """The replica, with nothing to do."""
    until(lambda: in_order(cluster) and replica.ready, what="all is in order", seconds=PATIENCE)
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
    until(lambda: settled.leads, what="it says that it leads")


@pytest.mark.parametrize("how", [CLIENT_SIDE, SERVER_SIDE], ids=["client-side", "server-side"])
def test_applying_again_leaves_nothing_to_heal(
    how: tuple[str, ...], cluster: ControlPlane, settled: RunningCerts
) -> None:
    """The manifests have neither `data` nor `caBundle`: an apply does not reset them."""
    written = [*ISSUED, "published_total"]
    before = [settled.metric(name) for name in written]
    cluster.kubectl(*how, "-k", str(OVERLAY))
    assert in_order(cluster)
    assert [settled.metric(name) for name in written] == before


def test_a_bundle_that_was_wiped_is_published_again(
    cluster: ControlPlane, settled: RunningCerts
) -> None:
    """As by `kubectl replace` with the manifests, or by hand; of one entry or of all."""
    for configuration in manifests.overlay("operator-compat", *KINDS):
        cluster.kubectl("replace", "-f", "-", given=json.dumps(configuration))
    until(lambda: in_order(cluster), what="it is published again", seconds=PATIENCE)
    entries = cluster.call("GET", CONFIGURATIONS[1]).document["webhooks"]
    entries[1]["clientConfig"]["caBundle"] = b64encode(Authority.new().bundle).decode()
    patched(cluster, CONFIGURATIONS[1], {"webhooks": entries})
    until(lambda: in_order(cluster), what="it is published again", seconds=PATIENCE)
    assert settled.ready


def test_an_authority_that_was_emptied_is_rotated(
    cluster: ControlPlane, settled: RunningCerts
) -> None:
    """The forced rotation of docs/certificates.md: old and new are trusted side by side."""
    old, leaf = value(cluster, AUTHORITY, "tls.crt"), value(cluster, SERVING, "tls.crt")
    before = [settled.metric(name) for name in ISSUED]
    cluster.kubectl(
        *("-n", NAMESPACE, "patch", "secret", "model-validation-ca", "-p", '{"data":null}')
    )
    until(lambda: value(cluster, AUTHORITY, "tls.crt") not in {b"", old}, what="another is made")
    both = value(cluster, AUTHORITY, "tls.crt") + old
    until(lambda: bundles(cluster) == [both] * ENTRIES, what="both are published")
    assert value(cluster, SERVING, "tls.crt") == leaf
    until(lambda: in_order(cluster), what="the old one is forgotten", seconds=PATIENCE)
    assert value(cluster, SERVING, "tls.crt") != leaf
    assert [settled.metric(name) for name in ISSUED] == [count + 1 for count in before]
    assert settled.ready


def test_a_serving_pair_that_was_emptied_is_issued_again(
    cluster: ControlPlane, settled: RunningCerts
) -> None:
    """By the same authority, so that `caBundle` stays."""
    authority, published = value(cluster, AUTHORITY, "tls.crt"), settled.metric("published_total")
    patched(cluster, SERVING, {"data": None})
    until(lambda: in_order(cluster), what="it is issued again", seconds=PATIENCE)
    assert value(cluster, AUTHORITY, "tls.crt") == authority
    assert settled.metric("published_total") == published


@pytest.mark.parametrize("path", [AUTHORITY, SERVING, *CONFIGURATIONS])
def test_what_is_missing_is_said_until_it_is_back(
    path: str, cluster: ControlPlane, settled: RunningCerts
) -> None:
    """The probe and the log name it and say what to do; the process stays, and heals."""
    cluster.call("DELETE", path)
    sentence = f"missing: {path}: apply the webhook's manifests again"
    until(
        lambda: settled.probe("/readyz") == f"not ready: {sentence}\n",
        what="it is said",
        seconds=PATIENCE,
    )
    assert settled.probe("/healthz") == "ok\n"
    assert sentence in [line.get("reason") for line in settled.lines()]
    cluster.kubectl(*SERVER_SIDE, "-k", str(OVERLAY))
    until(lambda: in_order(cluster) and settled.ready, what="it is healed", seconds=PATIENCE)


def test_it_goes_on_after_a_restart_of_the_api_server(
    cluster: ControlPlane, settled: RunningCerts
) -> None:
    """Its watches break, and are begun again."""
    cluster.restart_api_server()
    patched(cluster, SERVING, {"data": None})
    until(lambda: in_order(cluster) and settled.ready, what="it is healed", seconds=PATIENCE)


def test_a_second_replica_stands_by_and_takes_over(
    cluster: ControlPlane, settled: RunningCerts, tmp_path: Path
) -> None:
    """At once where the first is told to end, and when the Lease is over where it is killed."""
    until(lambda: settled.leads, what="the first leads")
    with running_certs(cluster, tmp_path, "--overlap", "2s") as second:
        until(lambda: second.ready, what="it stands by", seconds=PATIENCE)
        assert not second.leads
        settled.terminate()
        assert settled.lines()[-1]["event"] == "ended"
        until(lambda: second.leads, what="it leads", seconds=LEASE_SECONDS - 3)
        patched(cluster, SERVING, {"data": None})
        until(lambda: in_order(cluster), what="it works", seconds=PATIENCE)
        settled.start()
        until(lambda: settled.ready, what="the first stands by", seconds=PATIENCE)
        assert not settled.leads
        second.program.kill()
        until(lambda: settled.leads, what="the first leads again", seconds=LEASE_SECONDS + PATIENCE)
    patched(cluster, SERVING, {"data": None})
    until(lambda: in_order(cluster), what="it works", seconds=PATIENCE)


def test_an_annotation_keeps_nothing_from_being_issued(
    cluster: ControlPlane, settled: RunningCerts
) -> None:
    """Another controller writes one each second; the rotation takes as long as without."""
    before = value(cluster, AUTHORITY, "tls.crt")
    patched(cluster, AUTHORITY, {"data": {"tls.crt": None, "tls.key": None}})

    def rotated() -> bool:
        annotations = {"test.example/time": str(time.monotonic())}
        for path in (*CONFIGURATIONS, AUTHORITY, SERVING):
            patched(cluster, path, {"metadata": {"annotations": annotations}})
        return in_order(cluster) and value(cluster, AUTHORITY, "tls.crt") != before

    until(rotated, what="it is rotated", seconds=PATIENCE)
    assert settled.ready


def test_secrets_from_a_backup_are_healed(cluster: ControlPlane, settled: RunningCerts) -> None:
    """Both are put back as they were under an authority that is forgotten by now."""
    backup = {path: cluster.call("GET", path).document["data"] for path in (AUTHORITY, SERVING)}
    patched(cluster, AUTHORITY, {"data": {"tls.crt": None, "tls.key": None}})
    until(
        lambda: (
            in_order(cluster)
            and value(cluster, AUTHORITY, "tls.crt") != b64decode(backup[AUTHORITY]["tls.crt"])
        ),
        what="it is rotated",
        seconds=PATIENCE,
    )
    present = value(cluster, AUTHORITY, "tls.crt")
    for path, data in backup.items():
        patched(cluster, path, {"data": data})
    until(
        lambda: bundles(cluster) == [value(cluster, AUTHORITY, "tls.crt") + present] * ENTRIES,
        what="both authorities are trusted",
        seconds=PATIENCE,
    )
    until(lambda: in_order(cluster), what="the present one is forgotten", seconds=PATIENCE)
    assert value(cluster, AUTHORITY, "tls.crt") == b64decode(backup[AUTHORITY]["tls.crt"])
    assert settled.ready


def test_it_works_without_a_lease(cluster: ControlPlane, settled: RunningCerts) -> None:
    """As after a sync by Argo CD, which leaves Leases out; one that comes later is claimed."""
    cluster.call("DELETE", LEASE)
    patched(cluster, SERVING, {"data": None})
    until(lambda: in_order(cluster) and settled.ready, what="it works", seconds=PATIENCE)
    cluster.kubectl(*SERVER_SIDE, "-k", str(OVERLAY))
    until(
        lambda: cluster.call("GET", LEASE).document.get("spec", {}).get("holderIdentity"),
        what="the Lease is claimed",
        seconds=PATIENCE,
    )


# The adapter alone


@pytest.fixture
async def api(cluster: ControlPlane, tmp_path: Path) -> AsyncIterator[ClusterApi]:
    """The API server, with our rights."""
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kubeconfig(cluster, ACCOUNT)))
    api = await ClusterApi.connect(path, name="model-validation-certs")
    yield api
    await api.close()
    # The client does not wait for the ends of its TLS connections, and the loop closes after this.
    await asyncio.sleep(TLS_END_SECONDS)


@pytest.mark.parametrize(("path", "kind"), [(LEASE, Lease), (CONFIGURATIONS[0], Configuration)])
async def test_what_was_changed_by_others_is_not_overwritten(
    path: str, kind: type[Kind], cluster: ControlPlane, api: ClusterApi
) -> None:
    """A write names the version that was looked at."""
    seen = await api.get(path, kind)
    assert seen is not None
    patched(cluster, path, {"metadata": {"annotations": {"test.example/time": str(time.time())}}})
    with pytest.raises(Conflict, match="was changed by another client"):
        await api.patch(path, {"metadata": {"resourceVersion": seen.metadata.resource_version}})


async def test_the_server_s_own_sentence_is_passed_on(api: ClusterApi) -> None:
    """The administrator reads which right is missing."""
    other = AUTHORITY.replace("model-validation-ca", "other")
    with pytest.raises(ApiError, match=r"answered 403.*cannot get resource .secrets."):
        await api.get(other, Secret)


async def test_a_change_rings(cluster: ControlPlane, api: ClusterApi) -> None:
    """Without the object's contents: they are read when it is looked at."""
    async with aclosing(api.changes(SERVING)) as changes:
        await anext(changes)
        await anext(changes)
        patched(cluster, SERVING, {"metadata": {"annotations": {"test.example/a": "b"}}})
        async with asyncio.timeout(PATIENCE):
            await anext(changes)
