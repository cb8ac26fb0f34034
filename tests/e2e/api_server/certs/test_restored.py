"""Certificates that come back from a backup, or are lost, while pods are created."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from certs.flaws import certificates, is_issued_by
from tests.e2e.api_server.certs.installation import AUTHORITY, CONFIGURATIONS, MERGE, SERVING
from tests.e2e.api_server.certs.replicas import reviewing, running_replica
from tests.e2e.api_server.certs.running import running_certs
from tests.e2e.api_server.certs.stream import (
    bundle,
    create_a_pod,
    under_load,
    value_of,
)
from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.installation.installing import SERVER_SIDE, installed
from tests.e2e.api_server.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.certs.running import RunningCerts
    from tests.e2e.api_server.control_plane import ControlPlane, Document

pytestmark = pytest.mark.apiserver

OVERLAY = manifests.overlay_folder("default")
LAGS = (1.0, 2.0)
"""Seconds after which the two kubelets show a changed Secret; real ones take up to 90."""
OVERLAP = 6
"""Seconds for both replicas to serve with a new certificate: they take up to `LAGS` + 2."""
PATIENCE = 90
"""Seconds for a rotation of 12; on a machine whose cores are busy, several times that."""


@dataclass(frozen=True, slots=True)
class Site:
    """An installation that serves."""

    cluster: ControlPlane
    certs: RunningCerts
    mounts: tuple[Path, ...]

    def data(self, path: str) -> Document:
        """Return what a Secret holds."""
        return self.cluster.call("GET", path).document.get("data") or {}

    def put(self, path: str, data: Document | None) -> None:
        """Let a Secret hold this, whatever it held."""
        for body in ({"data": None}, {"data": data}):
            assert self.cluster.call("PATCH", path, body, content_type=MERGE).status == 200

    @property
    def in_order(self) -> bool:
        """Whether one authority is trusted, and all replicas have a certificate by it."""
        trusted = {bundle(self.cluster, path) for path in CONFIGURATIONS}
        if trusted != {value_of(self.cluster, AUTHORITY, "tls.crt")} or not self.certs.ready:
            return False
        shown = {(mount / "tls.crt").read_bytes() for mount in self.mounts}
        if shown != {value_of(self.cluster, SERVING, "tls.crt")}:
            return False
        (authority,), (leaf,) = certificates(trusted.pop()), certificates(shown.pop())
        return is_issued_by(leaf, authority)

    def settle(self) -> None:
        """Return when all is in order."""
        until(lambda: self.in_order, what="all is in order", seconds=PATIENCE, pause=0.2)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Create pods inside the block; none may fail."""
        with under_load(*[partial(self._create, self.cluster)] * 2) as loads:
            yield
        assert [each.failed for each in loads] == [[], []]
        assert sum(each.answered for each in loads) > 5

    @staticmethod
    def _create(cluster: ControlPlane) -> str | None:
        try:
            return create_a_pod(cluster)
        except ConnectionError:
            return None  # the API server is away: there is no review


@pytest.fixture(scope="module")
def site(empty: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A whole installation, one controller, and two replicas of the webhook."""
    folder = tmp_path_factory.mktemp("site")
    with installed(empty, OVERLAY, how=SERVER_SIDE), ExitStack() as stack:
        options = ("--overlap", f"{OVERLAP}s")
        certs = stack.enter_context(running_certs(empty, folder / "certs", *options))
        until(lambda: certs.ready and bundle(empty) != b"", what="it is issued", seconds=PATIENCE)
        replicas, mounts = zip(
            *(
                stack.enter_context(
                    running_replica(empty, folder / f"replica-{number}", lag=lag, seconds=PATIENCE)
                )
                for number, lag in enumerate(LAGS)
            ),
            strict=True,
        )
        stack.enter_context(reviewing(empty, replicas, seconds=PATIENCE))
        yield Site(empty, certs, mounts)


def test_both_secrets_come_back_from_before_a_rotation(site: Site) -> None:
    """The authority that they bring is trusted beside the present one, before it is served with."""
    site.settle()
    backup = {path: site.data(path) for path in (AUTHORITY, SERVING)}
    lost = backup[AUTHORITY]["tls.crt"]
    with site.stream():
        site.put(AUTHORITY, None)
        until(
            lambda: site.data(AUTHORITY).get("tls.crt", lost) != lost,
            what="another is made",
            seconds=PATIENCE,
        )
        site.settle()
        for path, data in backup.items():
            site.put(path, data)
        site.settle()
    assert site.data(AUTHORITY)["tls.crt"] == lost


@pytest.mark.parametrize("path", [AUTHORITY, SERVING])
def test_one_secret_of_two_is_lost(site: Site, path: str) -> None:
    """It is deleted, and the manifests are applied again."""
    site.settle()
    lost = site.data(path)["tls.crt"]
    with site.stream():
        site.cluster.call("DELETE", path)
        site.cluster.apply(manifests.overlay("default", "Secret"))
        site.settle()
    assert site.data(path)["tls.crt"] != lost


def test_etcd_comes_back_from_before_a_renewal(site: Site) -> None:
    """The authority is the same, so that each certificate by it is trusted throughout."""
    site.settle()
    before, saved = site.data(SERVING), site.cluster.save()
    with site.stream():
        site.put(SERVING, None)
        site.settle()
        site.cluster.restore(saved)
        assert site.data(SERVING) == before
        site.settle()
