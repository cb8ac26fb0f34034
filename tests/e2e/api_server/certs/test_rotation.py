"""A rotation of the authority under load: no review fails, and no new connection is refused."""

from __future__ import annotations

import logging
import time
from base64 import b64decode
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest

from certs.flaws import certificates, is_issued_by
from tests.e2e.api_server.certs.installation import (
    AUTHORITY,
    SERVING,
    STRATEGIC,
)
from tests.e2e.api_server.certs.replicas import reviewing, running_replica
from tests.e2e.api_server.certs.running import running_certs
from tests.e2e.api_server.certs.stream import (
    bundle,
    connect_anew,
    create_a_pod,
    under_load,
)
from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.installation.installing import SERVER_SIDE, installed
from tests.e2e.api_server.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.api_server.certs.stream import Load
    from tests.e2e.api_server.control_plane import ControlPlane

pytestmark = pytest.mark.apiserver

OVERLAP = 7
"""Seconds for both replicas to serve with a new certificate: they take up to `LAGS` + 2."""

LAGS = (0.5, 2.0)
"""Seconds after which the two kubelets show a changed Secret."""

ROTATION_SECONDS = 120
"""For a rotation of 18 seconds; a machine whose cores are all busy takes more."""

_log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def cluster(empty: ControlPlane) -> Iterator[ControlPlane]:
    """A control plane with what `kubectl apply --server-side -k` installs."""
    with installed(empty, manifests.overlay_folder("default"), how=SERVER_SIDE):
        yield empty


def test_no_review_fails_while_the_authority_is_rotated(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    """Old alone, both, a certificate by the new one, new alone: at each moment all is answered.

    The rotation is the forced one of docs/certificates.md, so that nobody waits for a lifetime.
    """
    with ExitStack() as stack:
        certs = stack.enter_context(
            running_certs(cluster, tmp_path / "certs", "--overlap", f"{OVERLAP}s")
        )
        until(lambda: certs.ready and bundle(cluster) != b"", what="it is issued", seconds=30)
        replicas = []
        for number, lag in enumerate(LAGS):
            replica = running_replica(cluster, tmp_path / f"replica-{number}", lag=lag)
            replicas.append(stack.enter_context(replica)[0])
        stack.enter_context(reviewing(cluster, replicas, seconds=30))

        asks = [partial(create_a_pod, cluster)] * 2
        asks += [partial(connect_anew, cluster, each) for each in replicas]
        with under_load(*asks) as loads:
            following = _stages(cluster, loads, end=time.monotonic() + ROTATION_SECONDS)
            stages = [next(following)]
            answer = cluster.call("PATCH", AUTHORITY, {"data": None}, content_type=STRATEGIC)
            assert answer.status == 200, answer.message
            stages += following
        lines = certs.lines()

    creates, connections = loads[:2], loads[2:]
    assert [each.failed for each in loads] == [[], [], [], []]
    assert stages == [(1, "old"), (2, "old"), (2, "new"), (1, "new")]
    # A hundred, on idle cores.
    assert sum(each.answered for each in creates) > 10
    assert sum(each.answered for each in connections) > 10
    assert "not done" not in [line["event"] for line in lines]


def _stages(cluster: ControlPlane, loads: list[Load], *, end: float) -> Iterator[tuple[int, str]]:
    """Yield how many are trusted and who issued the certificate, at each change of these.

    Ends half an overlap after the last of four stages, or at the time `end`.
    """
    start, last, old = time.monotonic(), (0, ""), certificates(bundle(cluster))[0]
    seen = 0
    while time.monotonic() < end and seen < 4:
        trusted = certificates(bundle(cluster))
        leaf = b64decode(cluster.call("GET", SERVING).document["data"]["tls.crt"])
        by_old = is_issued_by(certificates(leaf)[0], old)
        stage = len(trusted), "old" if by_old else "new"
        if stage != last:
            last, seen = stage, seen + 1
            answered = [each.answered for each in loads]
            _log.info("%.1f s: %s, answered %s", time.monotonic() - start, stage, answered)
            yield stage
        time.sleep(0.1)
    time.sleep(OVERLAP / 2)
    answered, failed = [each.answered for each in loads], [len(each.failed) for each in loads]
    _log.info("%.1f s: answered %s, failed %s", time.monotonic() - start, answered, failed)
