"""A replica on a cluster: from empty Secrets to the next authority, and what damage becomes of."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from certs.flaws import certificates
from certs.issuing import issue, new_authority
from certs.objects import CONFIGURATIONS
from certs.rotation import OVERLAP, SETTLING, Waits
from tests.support.fakes.certs_simulation import (
    AUTHORITY_PATH,
    SERVING_PATH,
    SETTINGS,
    Cluster,
    Replica,
    bundled,
    encoded,
    merged,
    run,
)

if TYPE_CHECKING:
    from certs.objects import Object

DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
OTHER = new_authority(now=dt.datetime(2026, 11, 24, tzinfo=dt.UTC))
OTHER_PAIR = issue(OTHER, names=SETTINGS.names, now=dt.datetime(2026, 11, 24, tzinfo=dt.UTC))


@pytest.fixture
def cluster() -> Cluster:
    """A cluster in which everything was issued long ago."""
    made = Cluster()
    assert run(made, Replica(made), duration=MINUTE) == []
    made.elapsed += DAY
    return made


def leaf(cluster: Cluster) -> x509.Certificate:
    """Return the serving certificate."""
    return x509.load_pem_x509_certificate(cluster.secret(SERVING_PATH, "tls.crt"))


def due(cluster: Cluster) -> x509.Name:
    """Let two thirds of the authority's life pass, with a certificate in use; return its issuer."""
    cluster.elapsed += 240 * DAY
    run(cluster, Replica(cluster), duration=MINUTE)
    cluster.elapsed += 10 * DAY
    return leaf(cluster).issuer


def trusted(cluster: Cluster) -> int:
    """Return how many authorities are published; all entries must agree."""
    (bundle,) = cluster.published()
    return len(x509.load_pem_x509_certificates(bundle))


def test_an_empty_cluster_is_served_in_three_steps() -> None:
    """Authority, `caBundle`, certificate: with nothing in use yet, nothing is waited for."""
    cluster = Cluster()
    replica = Replica(cluster)
    assert [replica.turn() for _ in range(4)] == [0, 0, 0, 30]
    assert cluster.elapsed == dt.timedelta()
    assert len(cluster.leaves()) == 1
    assert cluster.gaps() == []
    assert cluster.secret(AUTHORITY_PATH, "tls.crt") == cluster.secret(AUTHORITY_PATH, "ca.crt")


def test_nothing_is_written_where_all_is_well(cluster: Cluster) -> None:
    """A replica that starts on a good state changes not one object."""
    before = {path: each["metadata"] for path, each in cluster.objects.items()}
    run(cluster, Replica(cluster), duration=20 * MINUTE)
    assert {path: each["metadata"] for path, each in cluster.objects.items()} == before


def test_a_certificate_is_renewed_by_the_same_authority(cluster: Cluster) -> None:
    """After two thirds of its life, without a word to the API server."""
    before = leaf(cluster)
    cluster.elapsed += 61 * DAY
    assert run(cluster, Replica(cluster), duration=MINUTE) == []
    assert leaf(cluster) != before
    assert leaf(cluster).issuer == before.issuer


def test_an_authority_is_rotated_in_the_order_that_leaves_no_gap(cluster: Cluster) -> None:
    """New beside old; the settling time; the certificate; the overlap; new alone."""
    before = due(cluster)
    replica = Replica(cluster)
    trace: list[tuple[dt.timedelta, int, bool]] = []
    end = cluster.elapsed + 20 * MINUTE
    start = cluster.elapsed
    while cluster.elapsed < end:
        pause = dt.timedelta(seconds=max(0.5, replica.turn()))
        assert cluster.gaps() == []
        seen = (trusted(cluster), leaf(cluster).issuer == before)
        if not trace or trace[-1][1:] != seen:
            trace.append((cluster.elapsed - start, *seen))
        cluster.elapsed += pause
    stages, times = [each[1:] for each in trace], [each[0] for each in trace]
    assert stages == [(1, True), (2, True), (2, False), (1, False)]
    assert times[2] - times[1] >= SETTLING
    assert times[3] - times[2] >= OVERLAP


def test_a_change_begins_the_wait_anew(cluster: Cluster) -> None:
    """An object that changed during the wait may have had other contents meanwhile."""
    cluster.user_patches(AUTHORITY_PATH, encoded(tls_key=None))
    replica = Replica(cluster)
    run(cluster, replica, duration=SETTLING - dt.timedelta(seconds=5))
    before = leaf(cluster)
    cluster.user_patches(CONFIGURATIONS[0], bundled(OTHER.certificate))
    run(cluster, replica, duration=SETTLING - dt.timedelta(seconds=5))
    assert leaf(cluster) == before
    run(cluster, replica, duration=dt.timedelta(seconds=10))
    assert leaf(cluster) != before


def touched(cluster: Cluster, replica: Replica, *, seconds: int) -> list[str]:
    """Let a replica work while another controller writes an annotation every ten seconds."""
    gaps = []
    for turn in range(seconds // 10):
        for path in (*CONFIGURATIONS, AUTHORITY_PATH, SERVING_PATH):
            cluster.user_patches(path, {"metadata": {"annotations": {"time": str(turn)}}})
        gaps += run(cluster, replica, duration=dt.timedelta(seconds=10))
    return gaps


def test_an_annotation_delays_nothing(cluster: Cluster) -> None:
    """The rotation does not depend on it, and so takes as long as without it."""
    before = due(cluster)
    replica = Replica(cluster)
    assert touched(cluster, replica, seconds=50) == []
    assert leaf(cluster).issuer != before
    assert touched(cluster, replica, seconds=320) == []
    assert trusted(cluster) == 1


@pytest.mark.parametrize("days", [95, 300, 400])
def test_what_has_expired_is_replaced_at_once(days: int, cluster: Cluster) -> None:
    """Nobody is served by it, so there is nothing to wait for; whatever else is due follows."""
    cluster.elapsed += days * DAY
    replica = Replica(cluster)
    run(cluster, replica, duration=dt.timedelta(seconds=5))
    assert len(cluster.leaves()) == 1
    assert run(cluster, replica, duration=10 * MINUTE) == []
    assert trusted(cluster) == 1


SECRETS = {
    "both": (AUTHORITY_PATH, SERVING_PATH),
    "the authority": (AUTHORITY_PATH,),
}


@pytest.mark.parametrize("secrets", SECRETS)
@pytest.mark.parametrize("age", [1, 30])
def test_a_backup_that_is_put_back_is_no_gap(age: int, secrets: str, cluster: Cluster) -> None:
    """The authority of then issues again; replicas present the present certificate for a while."""
    cluster.elapsed += 240 * DAY
    run(cluster, Replica(cluster), duration=10 * MINUTE)
    backup = {path: dict(cluster.objects[path]["data"]) for path in SECRETS[secrets]}
    cluster.elapsed += age * DAY
    cluster.user_patches(AUTHORITY_PATH, encoded(tls_key=None))
    replica = Replica(cluster)
    assert run(cluster, replica, duration=10 * MINUTE) == []
    present = leaf(cluster)
    for path, data in backup.items():
        cluster.user_patches(path, {"data": data})
    assert run(cluster, replica, duration=10 * MINUTE) == []
    assert trusted(cluster) == 1
    assert leaf(cluster).issuer != present.issuer
    assert cluster.gaps() == []


@pytest.mark.parametrize("path", [AUTHORITY_PATH, SERVING_PATH])
def test_one_secret_of_two_is_lost(path: str, cluster: Cluster) -> None:
    """Deleted, and applied again as the manifests ship it: empty."""
    del cluster.objects[path]
    replica = Replica(cluster)
    run(cluster, replica, duration=MINUTE)
    complaints = [replica.complaint]
    cluster._put(path, {"kind": "Secret"}, by_user=True)
    assert run(cluster, replica, duration=10 * MINUTE) == []
    complaints.append(replica.complaint)
    assert complaints == [f"missing: {path}: apply the webhook's manifests again", None]
    assert trusted(cluster) == 1
    assert cluster.leaves() == {cluster.secret(SERVING_PATH, "tls.crt")}


DAMAGE: dict[str, tuple[str, Object]] = {
    "authority: data gone": (AUTHORITY_PATH, {"data": None}),
    "authority: key gone": (AUTHORITY_PATH, encoded(tls_key=None)),
    "authority: certificate gone": (AUTHORITY_PATH, encoded(tls_crt=None)),
    "authority: list gone": (AUTHORITY_PATH, encoded(ca_crt=None)),
    "authority: key garbled": (AUTHORITY_PATH, encoded(tls_key=b"junk")),
    "authority: certificate garbled": (AUTHORITY_PATH, encoded(tls_crt=b"junk")),
    "authority: list garbled": (AUTHORITY_PATH, encoded(ca_crt=b"junk")),
    "authority: all garbled": (
        AUTHORITY_PATH,
        encoded(ca_crt=b"\0", tls_crt=b"\0", tls_key=b"\0"),
    ),
    "authority: another's key": (AUTHORITY_PATH, encoded(tls_key=OTHER.key)),
    "authority: another's list": (AUTHORITY_PATH, encoded(ca_crt=OTHER.certificate)),
    "authority: a leaf in its place": (
        AUTHORITY_PATH,
        encoded(tls_crt=OTHER_PAIR.certificate, tls_key=OTHER_PAIR.key),
    ),
    "authority: another, whole": (
        AUTHORITY_PATH,
        encoded(ca_crt=OTHER.certificate, tls_crt=OTHER.certificate, tls_key=OTHER.key),
    ),
    "serving: data gone": (SERVING_PATH, {"data": None}),
    "serving: key garbled": (SERVING_PATH, encoded(tls_key=b"junk")),
    "serving: certificate garbled": (SERVING_PATH, encoded(tls_crt=b"junk")),
    "serving: another's key": (SERVING_PATH, encoded(tls_key=OTHER_PAIR.key)),
    "serving: another's pair": (
        SERVING_PATH,
        encoded(tls_crt=OTHER_PAIR.certificate, tls_key=OTHER_PAIR.key),
    ),
    "caBundle: gone": (CONFIGURATIONS[0], {"webhooks": None}),
    "caBundle: another's": (CONFIGURATIONS[1], bundled(OTHER.certificate)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_healed_without_a_gap(damage: str, cluster: Cluster) -> None:
    """Served within a minute (the rest of the rotation follows), and never refused."""
    path, change = DAMAGE[damage]
    if change == {"webhooks": None}:
        cluster.reapply(path)
    else:
        cluster.user_patches(path, change)
    replica = Replica(cluster)
    assert run(cluster, replica, duration=MINUTE) == []
    healed = set(cluster.leaves())
    assert healed
    assert all(cluster.covered(bundle) for bundle in cluster.bundles())
    assert run(cluster, replica, duration=10 * MINUTE) == []
    assert trusted(cluster) == 1
    assert cluster.secret(SERVING_PATH, "tls.crt") in cluster.leaves()


def test_another_s_authority_stays_trusted_until_ours_serves() -> None:
    """As by a move from cert-manager: our Secrets are empty, its certificate is in use."""
    cluster = Cluster()
    for path in CONFIGURATIONS:
        cluster._put(path, merged(cluster.objects[path], bundled(OTHER.certificate)), by_user=False)
    theirs = encoded(tls_crt=OTHER_PAIR.certificate, tls_key=OTHER_PAIR.key)
    cluster._put(SERVING_PATH, theirs, by_user=False)
    cluster.elapsed += DAY
    assert len(cluster.leaves()) == 1
    cluster.user_patches(SERVING_PATH, {"data": None})
    assert run(cluster, Replica(cluster), duration=10 * MINUTE) == []
    assert trusted(cluster) == 1
    assert leaf(cluster).issuer != certificates(OTHER.certificate)[0].subject


def test_an_authority_of_one_s_own_is_rotated_in(cluster: Cluster) -> None:
    """A user puts a pair into the Secret, and it issues from then on."""
    own = new_authority(now=cluster.now)
    cluster.user_patches(AUTHORITY_PATH, encoded(tls_crt=own.certificate, tls_key=own.key))
    assert run(cluster, Replica(cluster), duration=10 * MINUTE) == []
    assert cluster.published() == {own.certificate}
    assert leaf(cluster).issuer == certificates(own.certificate)[0].subject


@pytest.mark.parametrize(("settling", "overlap"), [(0, 300), (30, 1)])
def test_without_a_wait_the_simulation_finds_the_gap(
    settling: int, overlap: int, cluster: Cluster
) -> None:
    """Both waits are needed; and these tests would see it."""
    waits = Waits(dt.timedelta(seconds=settling), dt.timedelta(seconds=overlap))
    cluster.user_patches(AUTHORITY_PATH, {"data": None})
    assert run(cluster, Replica(cluster, waits=waits), duration=2 * MINUTE)


def test_endless_damage_does_not_grow_the_bundle_without_bound(cluster: Cluster) -> None:
    """An authority that is lost again and again keeps the one in use trusted, and few others."""
    replica = Replica(cluster)
    for _ in range(30):
        cluster.user_patches(AUTHORITY_PATH, encoded(tls_key=None))
        replica.turn()
        cluster.elapsed += dt.timedelta(seconds=1)
    assert run(cluster, replica, duration=20 * MINUTE) == []
    assert trusted(cluster) == 1


def test_a_missing_authority_is_said_and_waited_for(cluster: Cluster) -> None:
    """It may not be created by us: the sentence says what to apply."""
    kept = cluster.objects.pop(AUTHORITY_PATH)
    replica = Replica(cluster)
    replica.turn()
    assert replica.complaint == (f"missing: {AUTHORITY_PATH}: apply the webhook's manifests again")
    cluster.objects[AUTHORITY_PATH] = kept
    replica.turn()
    assert replica.complaint is None


def test_what_is_there_is_served_while_something_is_missing() -> None:
    """A configuration that was taken away, to break the glass, does not end the renewal."""
    cluster = Cluster()
    del cluster.objects[CONFIGURATIONS[0]]
    replica = Replica(cluster)
    run(cluster, replica, duration=MINUTE)
    complaints = [replica.complaint]
    assert len(cluster.leaves()) == 1
    cluster.reapply(CONFIGURATIONS[0])
    run(cluster, replica, duration=MINUTE)
    complaints.append(replica.complaint)
    sentence = f"missing: {CONFIGURATIONS[0]}: apply the webhook's manifests again"
    assert complaints == [sentence, None]
    assert trusted(cluster) == 1


def test_a_missing_serving_secret_is_filled_when_it_is_back() -> None:
    """Until then the authority is published."""
    cluster = Cluster()
    kept = cluster.objects.pop(SERVING_PATH)
    replica = Replica(cluster)
    run(cluster, replica, duration=MINUTE)
    assert replica.complaint is not None
    assert trusted(cluster) == 1
    cluster.objects[SERVING_PATH] = kept
    run(cluster, replica, duration=MINUTE)
    assert len(cluster.leaves()) == 1


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("meanwhile", range(6))
def test_a_replica_that_stalls_undoes_nothing(
    before: int, meanwhile: int, cluster: Cluster
) -> None:
    """It looked before and while another rotated, and writes when that is done."""
    slow, quick = Replica(cluster), Replica(cluster)
    for _ in range(before):
        slow.move()
    cluster.user_patches(AUTHORITY_PATH, encoded(tls_key=None))
    quick.turn()
    quick.turn()
    for _ in range(meanwhile):
        slow.move()
    assert run(cluster, quick, duration=SETTLING + dt.timedelta(seconds=10)) == []
    slow.turn()
    assert cluster.gaps() == []


def test_a_slow_look_is_not_acted_upon(cluster: Cluster) -> None:
    """Objects that were read slowly may not belong to one state."""
    cluster.user_patches(AUTHORITY_PATH, {"data": None})
    replica = Replica(cluster)
    replica.move()
    cluster.elapsed += dt.timedelta(seconds=11)
    replica.turn()
    assert replica.complaint == "the API server took 11 seconds to answer four reads"
    assert cluster.secret(AUTHORITY_PATH, "tls.crt") == b""
